"""Reading stored tables as streams, for tuwen's own loops and for DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from tuwen.corpus.readable import readable_schema
from tuwen.errors import UsageError

SCAN_ROWS = 8_192
BLOB_SCAN_ROWS, BLOB_SCAN_BYTES = 256, 32 << 20


class Stored(pyarrow.dataset.Dataset):  # type: ignore[misc]
    """Columns of a stored table as something DuckDB can scan as often as it likes; a query reads those that it names.

    DuckDB hands columns and filters to what is a pyarrow Dataset, and takes `schema` and `scanner` of it. Filters run
    in pyarrow, as DuckDB expects, not in Lance, whose expressions are another language.
    """

    def __init__(self, dataset: lance.LanceDataset, columns: Sequence[str]) -> None:
        self._dataset, self._columns = dataset, list(columns)
        self._schema = readable_schema(scanned_schema(dataset.schema, columns))

    @property
    def schema(self) -> pa.Schema:
        """Names and types as DuckDB reads them."""
        return self._schema

    def scanner(
        self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> pyarrow.dataset.Scanner:
        """Rows in storage order where `filter` is true, with some of the columns."""
        wanted = self._columns if columns is None else list(columns)
        # An expression does not tell which fields it names, but its text does; one too many costs time alone.
        named = (
            [name for name in self._columns if name not in wanted and name in str(filter)] if filter is not None else []
        )
        reader = scan_dataset(self._dataset, [*wanted, *named])
        schema = pa.schema([self._schema.field(name) for name in reader.schema.names])
        reader = reader if schema.equals(reader.schema) else reader.cast(schema)
        return pyarrow.dataset.Scanner.from_batches(reader, columns=wanted, filter=filter, use_threads=False)


def scan_dataset(
    source: lance.LanceDataset | lance.LanceFragment,
    columns: list[str],
    where: str | None = None,
    rows: int = SCAN_ROWS,
) -> pa.RecordBatchReader:
    """Stream columns of a dataset or fragment in storage order, in batches of at most `rows`.

    Blobs come as large_binary, in batches of at most `BLOB_SCAN_ROWS` rows and (a larger blob apart) `BLOB_SCAN_BYTES`.
    """
    stored = source.schema  # Lance makes it anew at each look
    blobs = [name for name in columns if isinstance(stored.field(name).type, pa.BaseExtensionType)]
    if not blobs:
        readahead = 4 if rows > BLOB_SCAN_ROWS else 2
        return source.scanner(columns=columns, filter=where, batch_size=rows, batch_readahead=readahead).to_reader()
    if where is not None:
        raise UsageError(f"{', '.join(blobs)} cannot be read with a filter; ask for ids first, then for their bytes")
    schema = scanned_schema(stored, columns)
    fragments = source.get_fragments() if isinstance(source, lance.LanceDataset) else [source]
    return pa.RecordBatchReader.from_batches(schema, _blob_batches(fragments, schema, blobs, min(rows, BLOB_SCAN_ROWS)))


def scanned_schema(stored: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """What a scan of `columns` gives: blobs are large_binary."""
    fields = (stored.field(name).remove_metadata() for name in columns)
    return pa.schema(
        [each.with_type(pa.large_binary()) if isinstance(each.type, pa.BaseExtensionType) else each for each in fields]
    )


def _blob_batches(
    fragments: Sequence[lance.LanceFragment], schema: pa.Schema, blobs: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    for fragment in fragments:
        described = fragment.scanner(columns=blobs, blob_handling="blobs_descriptions").to_table()
        fields = (described[name].combine_chunks().field("size") for name in blobs)
        sizes = sum(field.fill_null(0).to_numpy(zero_copy_only=False) for field in fields)
        for start, length in _windows(sizes, rows):
            read = fragment.scanner(columns=schema.names, blob_handling="all_binary", offset=start, limit=length)
            table = read.to_table().combine_chunks()
            yield pa.RecordBatch.from_arrays([column.chunk(0) for column in table.columns], schema=schema)


def _windows(sizes: Any, rows: int) -> Iterator[tuple[int, int]]:
    """(start, length) of runs of at most `rows` blobs and, unless one alone is larger, `BLOB_SCAN_BYTES`."""
    start, total = 0, 0
    for position, size in enumerate(sizes):
        if position > start and (position - start == rows or total + size > BLOB_SCAN_BYTES):
            yield start, position - start
            start, total = position, 0
        total += int(size)
    if len(sizes) > start:
        yield start, len(sizes) - start
