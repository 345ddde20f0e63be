"""How a list of URLs lies in its file: cut into units, and read back batch by batch."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any, BinaryIO, Literal, NamedTuple

import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.sources import Report, Unit
from tuwen.sources.datasets.files import open_binary
from tuwen.sources.datasets.mapping import ColumnMapping, Mapped, text_array
from tuwen.sources.datasets.parquet_rows import row_groups
from tuwen.sources.datasets.rows import CODECS, chunks, delimited, first_row, json_lines, json_list, lines

Format = Literal["parquet", "csv", "tsv", "jsonl", "json"]

_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
_SUFFIX = re.compile(r"(\.[a-z]+)(\.gz|\.zst|\.bz2)?(?:\?.*)?", re.IGNORECASE)
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_UNIT_BYTES = 32 << 20  # of text
_UNIT_ROWS = 100_000  # of Parquet, where row groups are not larger
_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 16_384
_SAMPLE_ROWS = 20  # of JSON, where every row has columns of its own


class Part(NamedTuple):
    """What a unit is of its file: bytes of text from `start` up to `end`, or row groups of Parquet."""

    format: Format
    codec: str | None = None
    names: tuple[str, ...] = ()  # columns of CSV and TSV
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Layout:
    """What a recipe says about the files; see `UrlList`."""

    format: Format | None
    header: bool
    names: tuple[str, ...] | None
    quoting: bool | None

    def suffixes(self) -> tuple[str, ...]:
        """Of the files that are looked for in folders."""
        plain = [suffix for suffix, format in _FORMATS.items() if self.format in (None, format)]
        return tuple(suffix + codec for suffix in plain for codec in ("", *CODECS) if not codec or suffix != ".parquet")

    def units(self, whole: Unit, mapping: ColumnMapping) -> Iterator[Unit]:
        """The units of a file, after a look at its first rows. `UsageError` if it lacks a mapped column."""
        suffix, codec = _suffix(whole.location)
        format = self.format or _FORMATS.get(suffix)
        if format is None:
            raise UsageError(f"{whole.location!r} has no suffix that tells its format; give `format`")
        with open_binary(whole.location) as stream:
            if format == "parquet":
                yield from _row_groups(whole, stream, mapping)
                return
            part = Part(format, codec, self._look(whole, stream, format, codec, mapping))
        borders = [0, whole.num_bytes]
        if codec is None and format != "json" and not self._quoted(format):
            borders = [*range(0, whole.num_bytes, _UNIT_BYTES), whole.num_bytes]
        if len(borders) < 3:
            yield replace(whole, payload=part)
            return
        for number, (start, end) in enumerate(pairwise(borders)):
            payload = part._replace(start=start, end=end)
            yield replace(whole, name=f"{whole.name}:{number}", payload=payload, num_bytes=end - start)

    def read(self, unit: Unit, mapping: ColumnMapping, report: Report) -> Iterator[tuple[pa.Array, Mapped]]:
        """The column of URLs and everything else, in batches of about 8 MB at most."""
        part = unit.payload
        if not isinstance(part, Part):
            raise TypeError(f"unit {unit.name!r} is not of the source url_list")
        with open_binary(unit.location) as stream:
            if part.format == "parquet":
                yield from _parquet(stream, part, mapping, report)
                return
            stream.seek(max(0, part.start - 1))
            pieces = chunks(stream, part.codec, report)
            if part.format == "json":
                yield from _of_objects(json_list(pieces, report), mapping, report)
                return
            blocks = _without_mark(lines(pieces, report, start=part.start, end=part.end), part.start)
            if part.format == "jsonl":
                yield from _of_objects(json_lines(blocks, report), mapping, report)
                return
            delimiter, quoting = _DELIMITERS[part.format], self._quoted(part.format)
            if self.header and part.start == 0:
                _, blocks = first_row(blocks, quoting)
            yield from _of_fields(delimited(blocks, delimiter, quoting, len(part.names), report), part, mapping, report)

    def _quoted(self, format: Format) -> bool:
        return format == "csv" if self.quoting is None else self.quoting

    def _look(
        self, whole: Unit, stream: BinaryIO, format: Format, codec: str | None, mapping: ColumnMapping
    ) -> tuple[str, ...]:
        """Names of the columns of CSV and TSV; of JSON none, for every row has its own."""
        where, report = repr(whole.location), Report()
        pieces = chunks(stream, codec, report)
        if format in ("json", "jsonl"):
            rows = json_list(pieces, report) if format == "json" else json_lines(lines(pieces, report), report)
            found = list(dict.fromkeys(name for row, _ in islice(rows, _SAMPLE_ROWS) for name in row))
            if found:  # texts and hashes may come later
                replace(mapping, texts=(), hashes=(), renamed={}, keep=()).check(found, where)
            return ()
        first, _ = first_row(_without_mark(lines(pieces, report), 0), self._quoted(format))
        if not first:
            return ()
        fields = self._fields(first, _DELIMITERS[format], self._quoted(format), where)
        if self.names is not None and len(self.names) != len(fields):
            raise UsageError(f"{where} has {len(fields)} columns, but names has {len(self.names)}: {first[0][:200]!r}")
        names = self.names or tuple(fields if self.header else map(str, range(len(fields))))
        mapping.check(names, where)
        return names

    def _fields(self, first: list[str], delimiter: str, quoting: bool, where: str) -> list[str]:
        text = "\n".join(first)
        try:
            fields = next(csv.reader([line + "\n" for line in first], delimiter=delimiter)) if quoting else None
        except csv.Error:
            fields = []
        if fields == [] or (self.header and "\r" in text):
            raise UsageError(
                f"{where}: the first row cannot be read; if lines end in CR alone, convert them to LF: {text[:100]!r}"
            )
        return text.split(delimiter) if fields is None else fields


def _suffix(location: str) -> tuple[str, str | None]:
    """The suffix that tells the format, and the compression."""
    match = re.search(_SUFFIX.pattern + "$", location, re.IGNORECASE)
    return (match[1].lower(), CODECS[match[2].lower()] if match[2] else None) if match else ("", None)


def _row_groups(whole: Unit, stream: BinaryIO, mapping: ColumnMapping) -> Iterator[Unit]:
    """Neighbouring row groups together, up to 100,000 rows; one unit if the file's footer cannot be read."""
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
    except (OSError, pa.ArrowException, UnicodeDecodeError):  # the last: of a column's name
        yield replace(whole, payload=Part("parquet"))
        return
    mapping.check(file.schema_arrow.names, repr(whole.location))
    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    borders, num_rows = [0], 0
    for index, group in enumerate(groups):
        if num_rows and num_rows + group.num_rows > _UNIT_ROWS:
            borders.append(index)
            num_rows = 0
        num_rows += group.num_rows
    for start, end in pairwise([*borders, len(groups)]):
        name = whole.name if len(borders) == 1 else f"{whole.name}:{start}"
        num_bytes = sum(group.total_byte_size for group in groups[start:end])
        yield replace(whole, name=name, payload=Part("parquet", start=start, end=end), num_bytes=num_bytes)


def _parquet(stream: BinaryIO, part: Part, mapping: ColumnMapping, report: Report) -> Iterator[tuple[pa.Array, Mapped]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(stream)
    columns = mapping.columns_of(file.schema_arrow)
    groups = range(part.start, file.num_row_groups if part.end is None else part.end)
    for batch in row_groups(file, groups, report, _BATCH_ROWS, columns):
        report.num_records += batch.num_rows
        yield mapping.column(batch, "url"), mapping.of_batch(batch)


def _of_objects(
    rows: Iterable[tuple[dict[str, Any], int]], mapping: ColumnMapping, report: Report
) -> Iterator[tuple[pa.Array, Mapped]]:
    for batch in _batches(rows, report):
        yield text_array(row.get(mapping.own["url"]) for row in batch), mapping.of_rows(batch)


def _of_fields(
    rows: Iterable[tuple[list[str], int]], part: Part, mapping: ColumnMapping, report: Report
) -> Iterator[tuple[pa.Array, Mapped]]:
    for batch in _batches(rows, report):
        columns = [pa.array([field or None for field in column], pa.string()) for column in zip(*batch, strict=True)]
        table = pa.RecordBatch.from_arrays(columns, names=list(part.names))
        yield mapping.column(table, "url"), mapping.of_batch(table)


def _batches(rows: Iterable[tuple[Any, int]], report: Report) -> Iterator[list[Any]]:
    batch: list[Any] = []
    num_bytes = 0
    for row, size in rows:
        report.num_records += 1
        batch.append(row)
        num_bytes += size
        if len(batch) >= _BATCH_ROWS or num_bytes >= _BATCH_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


def _without_mark(blocks: Iterator[list[bytes]], start: int) -> Iterator[list[bytes]]:
    """Without the byte order mark that some programs put before the first line."""
    for number, block in enumerate(blocks):
        if number == 0 and start == 0 and block:
            block[0] = block[0].removeprefix(b"\xef\xbb\xbf")
        yield block
