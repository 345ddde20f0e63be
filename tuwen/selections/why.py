"""One row's whole life: where it came from, every column with the stage that wrote it, and what each selection said."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import ID_CHARACTERS, SHA256_CHARACTERS, TABLES, digest
from tuwen.errors import UsageError
from tuwen.selections.ledger import Ledger, LedgerRow
from tuwen.selections.life import Cell, Life, Relation, Verdict
from tuwen.selections.life import render as render
from tuwen.selections.places import Places
from tuwen.selections.selection import UNITS, Selection, selections_of
from tuwen.selections.steps import WITHIN

MIN_PREFIX = 4
SHOWN = 20  # pages, fetches and texts listed; `num_*` counts them all


def why(
    corpus: Corpus,
    row_id: str,
    selections: Mapping[str, Selection] | None = None,
    places: Places | None = None,
) -> Life:
    """The life of the row with this id, or with the only id that starts so (4 characters and more).

    `selections`: default, those of the corpus' recipe; what is stale is judged first. `places`: where rows are looked
    up, by default in a scan of their tables. `UsageError` where no id or more than one fits.
    """
    places = Places(corpus) if places is None else places
    kind, key = find(corpus, row_id, places)
    table = UNITS[kind]
    (row,) = places.rows(kind, [key])
    selections = selections_of(corpus) if selections is None else selections
    judge = _Judge(places, selections)
    verdicts = [judge.verdicts(name, [key])[0] for name, each in selections.items() if each.unit == kind]
    relations = [
        judge.relation(name, _related(places, kind, row, each.unit))
        for name, each in selections.items()
        if each.unit != kind
    ]
    return Life(kind, key, _origin(places, kind, row), _cells(places, table, row), tuple(verdicts), tuple(relations))


def find(corpus: Corpus, row_id: str, places: Places | None = None) -> tuple[str, str]:
    """(unit, whole id) of the only image, pair or document whose id starts with `row_id`, or of an image's file."""
    places = Places(corpus) if places is None else places
    prefix = row_id.strip().lower()
    if len(prefix) == SHA256_CHARACTERS:  # as sha256sum prints it
        prefix = prefix[:ID_CHARACTERS]
    elif Path(row_id).is_file():
        prefix = digest(Path(row_id).read_bytes())
    if not re.fullmatch(rf"[0-9a-f]{{{MIN_PREFIX},{ID_CHARACTERS}}}", prefix):
        raise UsageError(
            f"{row_id!r} is no id: give {MIN_PREFIX} to {ID_CHARACTERS} of its hexadecimal digits, as `sha256sum` of "
            "an image file or the ids of a release show them, or the file itself"
        )
    found = [(unit, each) for unit in UNITS for each in places.starting_with(unit, prefix)]
    if not found:
        gone = "".join(
            f"; the image {stone['value']} was taken down ({stone['reason'] or 'no reason is recorded'}) and removed"
            for stone in corpus.table("tombstones", ["kind", "value", "reason"]).to_pylist()
            if stone["kind"] == "image" and stone["value"].startswith(prefix)
        )
        raise UsageError(f"no image, pair or document of {corpus.path} has an id that starts with {prefix}{gone}")
    if len(found) > 1:
        listed = ", ".join(f"{unit} {each}" for unit, each in found[:10])
        raise UsageError(f"{prefix} is the start of {len(found)} ids; give more of it: {listed}")
    return found[0]


class _Judge:
    """Verdicts from ledgers, each opened once."""

    def __init__(self, places: Places, selections: Mapping[str, Selection]) -> None:
        self._places = places
        self._selections = selections
        self._ledgers: dict[str, Ledger] = {}

    def _ledger(self, name: str) -> Ledger:
        if name not in self._ledgers:
            self._ledgers[name] = self._places.ledger(name, self._selections)
        return self._ledgers[name]

    def verdicts(self, name: str, ids: Sequence[str]) -> list[Verdict]:
        """What a selection said of rows of its own unit, in the order of the ids; unknown ids are left out."""
        found = self._ledger(name).rows(ids)
        return [self._verdict(self._selections[name], found[each]) for each in ids if each in found]

    def _verdict(self, selection: Selection, row: LedgerRow) -> Verdict:
        because = None
        if row.step:
            reads = selection.steps[row.step - 1].step.reads
            inner = next((name.removeprefix(WITHIN) for name in reads if name.startswith(WITHIN)), None)
            because = self._because(selection, row.id, inner) if inner else None
        return Verdict(
            selection.name, selection.unit, row.id, row.kept, row.step, row.name, row.rule, row.value, because
        )

    def _because(self, selection: Selection, row_id: str, inner: str) -> Verdict | None:
        """The inner selection's word on what the row belongs to: the first of them, if they are many."""
        unit = self._selections[inner].unit
        related = [row_id]
        if unit != selection.unit:
            (row,) = self._places.rows(selection.unit, [row_id])
            related = _related(self._places, selection.unit, row, unit)
        return next(iter(self.verdicts(inner, related[:1])), None)

    def relation(self, name: str, ids: Sequence[str]) -> Relation:
        """What a selection of another unit keeps of `ids`."""
        unit = self._selections[name].unit
        found = self._ledger(name).rows(ids)
        first = sorted(found.values(), key=lambda row: (not row.kept, row.id))[:5]
        verdicts = tuple(self._verdict(self._selections[name], row) for row in first)
        steps = sorted((row.step, row.name or "takedown") for row in found.values() if row.step is not None)
        refused = {step: sum(1 for _ in group) for (_, step), group in itertools.groupby(steps)}
        return Relation(name, unit, len(found), len(found) - len(steps), verdicts, refused)


def _related(places: Places, kind: str, row: Mapping[str, Any], unit: str) -> list[str]:
    """Ids of the rows of `unit` that belong to this row, sorted, each once."""
    if unit == "pair":
        return places.pairs_of(kind, row[f"{kind}_id"])
    if kind == "image":
        return places.documents_of(row["image_id"])
    found = list(row.get("image_ids") or []) if kind == "document" else [row.get(f"{unit}_id")]
    return sorted({each for each in found if each is not None})


def _cells(places: Places, table: str, row: Mapping[str, Any]) -> tuple[Cell, ...]:
    cells = []
    schema = places.corpus.schema(table)
    for name, stage in places.corpus.columns(table).items():
        value = row.get(name)
        if name in TABLES[table].blobs:
            data = places.image(row["image_id"])
            value = None if data is None else {"num_bytes": len(data)}
        elif isinstance(value, float) and pa.types.is_float32(schema.field(name).type):
            value = float(str(np.float32(value)))  # 0.1, not 0.10000000149011612
        cells.append(Cell(name, value, stage))
    return tuple(cells)


def _origin(places: Places, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    origin = {
        "source": row["source"],
        "source_unit": row["source_unit"],
        "location": places.location(row["source_unit"]),
    }
    return {**origin, **{"image": _image_origin, "pair": _pair_origin, "document": _document_origin}[kind](places, row)}


_PAGE = ["document_id", "url", "title", "captured_at"]
_FETCH = ["fetch_id", "url", "captured_at", "status", "error", "content_type"]
_TEXT = ["pair_id", "text_source", "text"]


def _image_origin(places: Places, row: Mapping[str, Any]) -> dict[str, Any]:
    pages = places.documents_of(row["image_id"])
    fetches = places.fetches_of(row["image_id"], _FETCH)
    texts = places.pairs_of("image", row["image_id"])
    return {
        "has_bytes": places.image(row["image_id"]) is not None,
        "num_texts": len(texts),
        "texts": places.rows("pair", texts[:SHOWN], _TEXT),
        "num_pages": len(pages),
        "pages": places.rows("document", pages[:SHOWN], _PAGE),
        "num_fetches": len(fetches),
        "fetches": fetches[:SHOWN],
    }


def _pair_origin(places: Places, row: Mapping[str, Any]) -> dict[str, Any]:
    others: list[str] = []
    if row.get("image_id") is not None:
        others = [each for each in places.pairs_of("image", row["image_id"]) if each != row["pair_id"]]
    document = [row["document_id"]] if row["document_id"] is not None else []
    return {
        "document": next(iter(places.rows("document", document, _PAGE)), None),
        "image": {"image_id": row.get("image_id"), "image_ref": row["image_ref"]},
        "num_other_texts": len(others),
        "other_texts": places.rows("pair", others[:SHOWN], _TEXT),
    }


def _document_origin(places: Places, row: Mapping[str, Any]) -> dict[str, Any]:
    nodes = row["nodes"] or []
    images = row.get("image_ids") or [None] * len(nodes)
    shown = [
        {"position": position, "image_ref": node["image_ref"], "image_id": image_id}
        for position, (node, image_id) in enumerate(zip(nodes, images, strict=False))
        if node["image_ref"] is not None
    ]
    return {
        "url": row["url"],
        "captured_at": row["captured_at"],
        "num_images": len(shown),
        "images": shown[:SHOWN],
    }
