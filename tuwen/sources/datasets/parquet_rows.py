"""Rows of Parquet files, row group by row group: a damaged one costs itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from tuwen.sources import Report
from tuwen.sources.datasets.row_batches import BATCH_BYTES
from tuwen.sources.datasets.rows import complain

_MOST_LOST = 1 << 40  # what a damaged footer claims is not believed beyond this


def row_groups(
    file: Any, groups: Iterable[int], report: Report, most_rows: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of at most `most_rows`, about 8 MB each, of some row groups of a `pyarrow.parquet.ParquetFile`.

    The rows of a group from where it is damaged are bad records.
    """
    for index in groups:
        group = file.metadata.row_group(index)
        num_read = 0
        try:
            for batch in file.iter_batches(
                _batch_rows(group, most_rows), row_groups=[index], columns=columns, use_threads=False
            ):
                num_read += batch.num_rows
                yield batch
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            lost = max(1, min(group.num_rows - num_read, _MOST_LOST))
            complain(report, f"row group {index}: {lost} rows cannot be read: {str(error)[:300]}", "damaged")
            report.num_bad_records += lost - 1


def _batch_rows(group: Any, most_rows: int) -> int:
    """How many rows of a row group (its metadata) come to about 8 MB."""
    return int(max(1, min(most_rows, BATCH_BYTES * max(1, group.num_rows) // max(1, group.total_byte_size))))
