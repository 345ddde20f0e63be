"""Interleaved documents: MMC4, OBELICS, WanJuan, and those that tuwen released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.sources import Report, Unit
from tuwen.sources.datasets.document_layouts import LAYOUTS, Interleaved, layouts_of
from tuwen.sources.datasets.files import find_files, open_binary, unit_of
from tuwen.sources.datasets.mapping import json_object, json_value
from tuwen.sources.datasets.parquet_rows import row_groups
from tuwen.sources.datasets.released import ReleasedDocuments, shards_in
from tuwen.sources.datasets.row_batches import RowBatches
from tuwen.sources.datasets.rows import CODECS, chunks, complain, json_lines, lines
from tuwen.sources.datasets.table_rows import plain_rows

LayoutName = Literal["mmc4", "obelics", "wanjuan", "tuwen"]
_SUFFIXES = (*(f"{kind}{codec}" for kind in (".jsonl", ".ndjson") for codec in ("", *CODECS)), ".parquet")
_PARQUET = ".parquet"
_BATCH_ROWS = 64  # documents as Python values at a time


@dataclass(frozen=True)
class Documents:
    """Documents of texts and images in reading order, one unit per file: JSON Lines (.gz, .zst, .bz2) or Parquet.

    Images are URLs for the fetcher. Texts that a data set assigns to an image become pairs: MMC4's matched sentences
    (`matched_sim` in `given`), OBELICS' alternative texts, WanJuan's captions.

    `tuwen` is the format `documents` of tuwen's releases, images included: ids, order and images come back as they
    were; heading levels, regions and nodes that were not released do not.
    """

    paths: list[str]
    """Files, folders (searched for .jsonl, .ndjson, with .gz, .zst or .bz2, and .parquet), globs and URLs."""
    layout: LayoutName | None = None
    """How records are laid out; null: as the first record says."""

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths",)
    whole_documents: ClassVar[bool] = False

    def units(self) -> list[Unit]:
        """One unit per file, sorted by location. `UsageError` where the layout is not given and cannot be told."""
        locations = shards_in(find_files(self.paths, _SUFFIXES, "documents"))
        layout = self.layout or self._guess(locations)
        units: dict[str, Unit] = {}
        for location in locations:
            unit = unit_of(location, "documents")
            units.setdefault(unit.name, replace(unit, payload=layout))
        return list(units.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of one file, in the order of its records."""
        rows = RowBatches()
        released = ReleasedDocuments(rows, report)
        num_bad_images = 0
        for record in _records(unit.location, report):
            report.num_records += 1
            if unit.payload == "tuwen":
                released.add(record)
            else:
                document = LAYOUTS[str(unit.payload)](record)
                num_bad_images += document.num_bad_images
                if document.nodes:
                    _add(rows, document, record)
                else:
                    report.num_bad_records += 1
            yield from rows.batches()
        yield from rows.batches(last=True)
        if not (report.num_records or report.error or unit.location.endswith(_PARQUET)):
            complain(report, "the file holds no record", "unreadable")
        if num_bad_images:
            report.messages.append(f"{num_bad_images} images have no http(s) URL and were left out")
        if report.num_bad_records and not report.messages:
            report.messages.append(f"{report.num_bad_records} records hold no document of the layout {unit.payload}")

    def _guess(self, locations: list[str]) -> str:
        for location in locations:
            for record in _records(location, Report()):
                found = layouts_of(set(record))
                if len(found) == 1:
                    return found[0]
                what = f"may be {' or '.join(found)}" if found else "has no layout known here"
                raise UsageError(
                    f"documents: the first record of {location!r} {what} (fields: {', '.join(sorted(record))[:300]}); "
                    f"give `layout`: {', '.join(get_args(LayoutName))}"
                )
        return "mmc4"  # nothing can be read: each file will say why


def _add(rows: RowBatches, document: Interleaved, record: Mapping[str, Any]) -> None:
    document_id = digest(document.url, None, json_value(record) or "")
    for pair in document.pairs:
        rows.add_pair(
            document.nodes[pair.position]["image_ref"],
            pair.text,
            pair.text_source,
            document_id=document_id,
            position=pair.position,
            text_position=pair.text_position,
            given=json_object(pair.given),
        )
    rows.add(
        "documents",
        {
            "document_id": document_id,
            "url": document.url,
            "title": document.title,
            "rights": [],
            "nodes": document.nodes,
            "given": json_object(document.given),
        },
    )


def _records(location: str, report: Report) -> Iterator[dict[str, Any]]:
    """Records of a file as plain values; what is wrong with it stands in the report."""
    try:
        with open_binary(location) as stream:
            if location.endswith(_PARQUET):
                yield from _parquet_records(stream, report)
            else:
                codec = next((codec for suffix, codec in CODECS.items() if location.endswith(suffix)), None)
                for record, _ in json_lines(lines(chunks(stream, codec, report), report), report):
                    yield record
    except OSError as error:
        complain(report, f"{type(error).__name__}: {error.strerror or error}", "unreadable")


def _parquet_records(stream: Any, report: Report) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream, pre_buffer=False) as file:
            for batch in row_groups(file, range(file.num_row_groups), report, _BATCH_ROWS):
                yield from plain_rows(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        complain(report, f"{type(error).__name__}: {str(error)[:300]}", "damaged")
    if report.error and not report.num_records:
        report.error = "unreadable"
