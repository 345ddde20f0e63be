"""Parquet files with images in them, as on the Hugging Face hub, or with URLs of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pyarrow as pa

from tuwen.sources import Report, Unit
from tuwen.sources.datasets.files import find_files, open_binary, unit_of
from tuwen.sources.datasets.mapping import ColumnMapping, Columns, Keep
from tuwen.sources.datasets.parquet_rows import row_groups
from tuwen.sources.datasets.released import shards_in
from tuwen.sources.datasets.rows import complain
from tuwen.sources.datasets.table_rows import TableRows, layout_of
from tuwen.sources.webdataset import MAX_IMAGE_BYTES

_BATCH_ROWS = 1_024
_UNIT_BYTES = 256 << 20  # of row groups, uncompressed


@dataclass(frozen=True)
class Parquet:
    """Parquet with one image per row, one unit per range of row groups (about 256 MB before compression).

    The image is a struct of `bytes` and `path` (Hugging Face layout) or plain bytes, kept as they are. Without such a
    column, rows are URLs for the fetcher, as in `url_list`. Texts and other columns are named as there; without
    `columns`, a column `text`, `caption` or `captions` is the text.

    Releases of tuwen (`parquet`, `index`) are recognised by their columns and come back with their own ids; an index
    holds no bytes, so its rows are URLs with `expected_hash`. See `tuwen.sources.datasets.released`.
    """

    paths: list[str]
    """Files, folders (searched for .parquet) and globs."""
    columns: Columns = field(default_factory=dict)
    """Our name → theirs: image, url, text, sha256, md5; any other name is a field of `given`."""
    keep: Keep = "all"
    """Other columns that go into `given`: all, or these. Binary columns never do."""
    max_image_bytes: int = MAX_IMAGE_BYTES

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths",)
    whole_documents: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._mapping()

    def _mapping(self) -> ColumnMapping:
        return ColumnMapping.of(self.columns, self.keep, own=("image", "url"))

    def units(self) -> list[Unit]:
        """Units in the order of paths and row groups. `UsageError` where columns do not say what the images are."""
        import pyarrow.parquet as pq

        found: dict[str, Unit] = {}
        for location in shards_in(find_files(self.paths, (".parquet",), "parquet")):
            unit = unit_of(location, "parquet")
            try:
                with open_binary(location) as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
                    layout_of(file.schema_arrow, self._mapping(), unit.location)
                    ranges = _ranges(file.metadata)
            except (pa.ArrowException, OSError, UnicodeDecodeError):
                ranges = [(0, -1)]  # told when it is read
            for start, end in ranges:
                name = unit.name if len(ranges) == 1 else f"{unit.name}:{start}-{end}"
                found.setdefault(name, replace(unit, name=name, payload=(start, end)))
        return list(found.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of a range of row groups, in their order."""
        import pyarrow.parquet as pq

        start, end = unit.payload if isinstance(unit.payload, tuple) else (0, -1)
        rows: TableRows | None = None
        try:
            with open_binary(unit.location) as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
                layout = layout_of(file.schema_arrow, self._mapping(), unit.location)
                rows = TableRows(layout, report, self.max_image_bytes)
                groups = range(start, end if end >= 0 else file.num_row_groups)
                for batch in row_groups(file, groups, report, _BATCH_ROWS):
                    yield from rows.add(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            complain(report, f"{type(error).__name__}: {str(error)[:300]}", "damaged")
        if report.error and not report.num_records:
            report.error = "unreadable"
        if rows is not None:
            yield from rows.finish()


def _ranges(metadata: Any) -> list[tuple[int, int]]:
    """Consecutive row groups that come to `_UNIT_BYTES`."""
    ranges, start, size = [], 0, 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= _UNIT_BYTES or group == metadata.num_row_groups - 1:
            ranges.append((start, group + 1))
            start, size = group + 1, 0
    return ranges or [(0, 0)]
