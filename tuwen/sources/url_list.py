"""Lists of image URLs with texts: Parquet, CSV, TSV, JSON Lines, JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.keys import KeySet
from tuwen.sources import Report, Unit
from tuwen.sources.datasets.files import find_files, unit_of
from tuwen.sources.datasets.layouts import Format, Layout
from tuwen.sources.datasets.mapping import ColumnMapping, Columns, Keep, image_refs, pair_rows
from tuwen.sources.datasets.row_batches import repeats
from tuwen.sources.datasets.rows import complain


@dataclass(frozen=True)
class UrlList:
    """Rows of (image URL, texts, hash, anything) as pairs without a document, whose images are to be fetched.

    A row becomes a pair per text, or one pair without text. URLs are spelled as WARC targets are; rows without a
    usable one are bad records. Parquet is cut into units at row groups (up to 100,000 rows, or one group), plain
    JSON Lines, and CSV and TSV without quoting, at lines (32 MiB); of all else a file is a unit. What cannot be read
    is passed over and told.
    """

    paths: list[str]
    """Files, folders, globs, and URLs that fsspec knows (s3://, https://, …)."""
    columns: Columns = field(default_factory=lambda: {"url": "url", "text": "text"})
    """Ours → theirs: `url`, `text` (a column, several, or {text_source: column}), `sha256`, `md5`; others rename."""
    format: Format | None = None
    """Of every file; null: by its suffix (.parquet .csv .tsv .jsonl .ndjson .json, and .gz .zst .bz2 after it)."""
    header: bool = True
    """CSV and TSV: the first line holds the names of the columns."""
    names: list[str] | None = None
    """CSV and TSV without header: names of the columns; null: numbers from 0."""
    quoting: bool | None = None
    """CSV and TSV: fields may be quoted, as in RFC 4180. Null: in CSV, not in TSV."""
    keep: Keep = "all"
    """Columns that go into `given`: all that are not mapped, or these."""

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths",)

    def __post_init__(self) -> None:
        if "url" not in self._mapping().own:
            raise ValueError("columns lacks url: which column holds the address of the image?")
        if self.header and self.names is not None:
            raise ValueError("names stands in place of a header: set header: false, or leave names out")

    def units(self) -> list[Unit]:
        """Units in the order of the files' locations; of files with the same base name and bytes, those of one.

        `UsageError` where a file lacks a column that is mapped, as far as its first rows show.
        """
        units: dict[str, Unit] = {}
        layout, mapping = self._layout(), self._mapping()
        for location in find_files(self.paths, layout.suffixes(), "url_list"):
            for unit in layout.units(unit_of(location, "url_list"), mapping):
                units.setdefault(unit.name, unit)
        return list(units.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Pairs in the order of the rows, each once."""
        seen, num_repeats = KeySet(), 0
        try:
            for urls, mapped in self._layout().read(unit, self._mapping(), report):
                refs = image_refs(urls)
                _count(urls, refs, report)
                every = pair_rows(refs, mapped)
                pairs = every.filter(seen.add_new(every["pair_id"]))
                num_repeats += every.num_rows - pairs.num_rows
                if pairs.num_rows:
                    yield "pairs", pairs
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:  # the last: of a Parquet column's name
            complain(report, f"{type(error).__name__}: {error}", "damaged")
        report.messages += repeats(num_repeats)
        if not report.num_records:
            if not report.messages:
                complain(report, "the file holds no row")
            report.error = "unreadable"

    def _mapping(self) -> ColumnMapping:
        return ColumnMapping.of(self.columns, self.keep)

    def _layout(self) -> Layout:
        return Layout(self.format, self.header, tuple(self.names) if self.names else None, self.quoting)


def _count(urls: pa.Array, refs: pa.Array, report: Report) -> None:
    """Rows whose URL cannot be used are bad records; the first of a batch is told."""
    if not refs.null_count:
        return
    first = report.num_records - len(refs) + pc.index(refs.is_null(), True).as_py()
    value = urls[first - report.num_records + len(refs)].as_py()
    complain(report, f"row {first + 1}: no usable URL: {value if value is None else value[:200]!r}")
    report.num_bad_records += refs.null_count - 1
