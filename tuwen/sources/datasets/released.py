"""Rows of tuwen's own releases become again what they were.

A released row names its image, its text and its page, and carries columns of all three. Ids, references, positions and
texts come back as they were; `image_url` becomes the reference, and a past fetch says which image it stood for, so that
`pair.resolve` finds exactly that one. Nodes of pages were not released. Everything that stages had computed goes into
`given`, from where `pair.given` makes columns of it.

Images that the release re-encoded come with their own `sha256`. They are stored under their own ids, and the pair
refers to the image that is there; id and URL of the original are `original_image_id` and `image_url` in `given`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from tuwen.corpus.tables import digest, source_schema
from tuwen.sources import Report
from tuwen.sources.datasets.mapping import json_object
from tuwen.sources.datasets.plain_json import BadJson, integer_or_none, microseconds_or_none, parse_object, text_or_none
from tuwen.sources.datasets.row_batches import RowBatches, embedded

_ID = re.compile(r"[0-9a-f]{32}")
_KEYS = frozenset({"image_id", "image_url"})
_PAIRS = frozenset(source_schema("pairs").names)
_DOCUMENT_TEXTS = ("url", "title", "declared_language", "charset", "generator", "license", "given")
_OF_DOCUMENT = frozenset({f"document_{name}" for name in (*_DOCUMENT_TEXTS, "captured_at", "rights")})
_NOT_GIVEN = _KEYS | _PAIRS | _OF_DOCUMENT | {"image", "texts", "image_rights"}
_OF_RELEASED_DOCUMENT = frozenset(source_schema("documents").names) | {
    "texts", "images", "image_urls", "kinds", "num_written_texts", "num_written_images", "num_removed_images"
}  # fmt: skip


def shards_in(locations: Iterable[str]) -> list[str]:
    """Without the tables that only describe a release, where one was found in its folder."""
    return [
        location
        for location in locations
        if not (location.endswith("decisions.parquet") and Path(location).with_name("manifest.json").is_file())
    ]


def is_released_pair(names: Collection[str]) -> bool:
    """Whether columns of these names are those of a release of pairs."""
    return {*_KEYS, "pair_id", "text", "text_source", "position"} <= set(names)


def is_released_image(row: Mapping[str, Any], data: bytes | None) -> bool:
    """Whether a row is one of a release of images: others have such names too, but not our ids."""
    if not row.keys() >= _KEYS or {"pair_id", "texts"} & row.keys():
        return False
    return _is_id(row["image_id"]) if data is None else row["image_id"] == digest(data) or _is_reencoded(row, data)


class ReleasedRows:
    """Adds released rows, plain values by column name, to `rows`. `keep`: fields of `given`; None: all."""

    def __init__(self, rows: RowBatches, report: Report, keep: Collection[str] | None = None) -> None:
        self._rows, self._report, self._keep = rows, report, keep
        self.num_without_url = 0
        """Rows of an index whose image was embedded in its page: nobody can fetch it again."""
        self._bad: Counter[str] = Counter()

    def add(self, row: Mapping[str, Any], data: bytes | None) -> None:
        """Add one row, with the bytes of its image if the release has them."""
        image_id, url = row.get("image_id"), text_or_none(row.get("image_url"))
        reencoded = data is not None and _is_id(image_id) and digest(data) != image_id
        if not _is_id(image_id) or (reencoded and not _is_reencoded(row, data)):
            self._refuse("rows of a release have bytes that neither image_id nor sha256 is the digest of")
            return
        if "pair_id" in row and not _is_id(row["pair_id"]):
            self._refuse("rows of a release have a pair_id that is no id")
            return
        if data is None and url is None:
            self.num_without_url += 1
            return
        captured_at = self._add_document(row)
        if data is not None:
            stored_id = self._rows.add_image(data)
            if url is not None and not reencoded:
                self._rows.add_fetch(url, captured_at, image_id, evidence(row.get("image_rights")))
        reference = embedded(stored_id) if reencoded else url or embedded(image_id)
        expected = text_or_none(row.get("expected_hash")) or (f"sha256:{image_id}" if data is None else None)
        more = {"expected_hash": expected, "given": self._given(row, data, reencoded)}
        if "pair_id" in row:
            self._rows.add("pairs", {**_pair(row), "image_ref": reference, **more})
        else:
            self._rows.add_pair(reference, None, "given", **more)

    def finish(self) -> None:
        """Tell what was wrong."""
        self._report.messages += [f"{count} {what}" for what, count in self._bad.most_common()]
        if count := self.num_without_url:
            self._report.messages.append(
                f"{count} rows of an index have no image_url: their images were embedded in pages "
                "and cannot be fetched again"
            )

    def _refuse(self, what: str) -> None:
        self._report.num_bad_records += 1
        self._bad[what] += 1

    def _add_document(self, row: Mapping[str, Any]) -> int | None:
        captured_at = microseconds_or_none(row.get("document_captured_at"))
        if _is_id(row.get("document_id")):
            document = {name: text_or_none(row.get(f"document_{name}")) for name in _DOCUMENT_TEXTS}
            rights = evidence(row.get("document_rights"))
            self._rows.add(
                "documents",
                {
                    "document_id": row["document_id"],
                    **document,
                    "captured_at": captured_at,
                    "rights": rights,
                    "nodes": [],
                },
            )
        return captured_at

    def _given(self, row: Mapping[str, Any], data: bytes | None, reencoded: bool) -> str | None:
        found = given_object(row.get("given"))
        found |= {name: value for name, value in row.items() if name not in _NOT_GIVEN and value is not None}
        if _is_reencoded(row, data):
            del found["sha256"]  # the release wrote it, it was no column
        if reencoded:
            found |= {"original_image_id": row["image_id"], "image_url": text_or_none(row.get("image_url"))}
        if self._keep is not None:
            found = {name: found[name] for name in sorted(set(self._keep) & found.keys())}
        return json_object({name: found[name] for name in sorted(found)})


class ReleasedDocuments:
    """Adds rows of the release format `documents`, its documents and its images, to `rows`."""

    def __init__(self, rows: RowBatches, report: Report) -> None:
        self._rows, self._report = rows, report

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of `data/` or of `images/`."""
        if "document_id" in row:
            self._add_document(row)
        else:
            image = row.get("image")
            data = image.get("bytes") if isinstance(image, dict) else None
            if isinstance(data, bytes) and digest(data) == row.get("image_id"):
                self._rows.add_image(data)
            else:
                self._report.num_bad_records += 1

    def _add_document(self, row: Mapping[str, Any]) -> None:
        parts = [row.get(name) for name in ("texts", "images", "image_urls", "kinds")]
        columns = [part for part in parts if isinstance(part, list)]
        if not _is_id(row["document_id"]) or len({len(column) for column in columns}) != 1 or len(columns) < len(parts):
            self._report.num_bad_records += 1
            return
        captured_at = microseconds_or_none(row.get("captured_at"))
        nodes = []
        for text, image_id, url, kind in zip(*columns, strict=True):
            node: dict[str, Any] = {"kind": text_or_none(kind), "text": text_or_none(text)}
            if _is_id(image_id):
                node["image_ref"] = text_or_none(url) or embedded(image_id)
                if text_or_none(url) is not None:
                    self._rows.add_fetch(url, captured_at, image_id)
            nodes.append(node)
        base = {name: text_or_none(row.get(name)) for name in _DOCUMENT_TEXTS}
        found = given_object(row.get("given"))
        found |= {name: value for name, value in row.items() if name not in _OF_RELEASED_DOCUMENT and value is not None}
        given = json_object({name: found[name] for name in sorted(found)})
        more = {"captured_at": captured_at, "rights": evidence(row.get("rights")), "nodes": nodes, "given": given}
        self._rows.add("documents", {"document_id": row["document_id"], **base, **more})


def given_object(given: object) -> dict[str, Any]:
    """The fields of a column `given`; empty for anything that is no JSON object."""
    try:
        return parse_object(given) if isinstance(given, str) else {}
    except BadJson:
        return {}


def evidence(value: object) -> list[dict[str, str | None]] | None:
    """Rights evidence as it was; None for anything else."""
    if not isinstance(value, list):
        return None
    return [
        {"kind": text_or_none(entry.get("kind")), "value": text_or_none(entry.get("value"))}
        for entry in value
        if isinstance(entry, dict)
    ]


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    derived_from = row.get("derived_from")
    return {
        "pair_id": row["pair_id"],
        "document_id": row["document_id"] if _is_id(row.get("document_id")) else None,
        **{name: integer_or_none(row.get(name)) for name in ("position", "text_position")},
        **{name: text_or_none(row.get(name)) for name in ("text", "text_source", "region")},
        "derived_from": list(filter(_is_id, derived_from)) if isinstance(derived_from, list) else None,
    }


def _is_reencoded(row: Mapping[str, Any], data: bytes | None) -> bool:
    """Whether the row has the digest of just these bytes, as releases with `reencode` write it."""
    return data is not None and bool(row.get("sha256")) and row["sha256"] == hashlib.sha256(data).hexdigest()


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
