"""The rows of a join, sorted by the 64-bit key of their text: made with DuckDB, memory bounded, mapped by workers.

The file is uncompressed Arrow IPC: column 0 is `key` (uint64, ascending, unique; see `tuwen.stages.lookup`), then the
columns that are joined, by position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.content import ContentDigest
from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError
from tuwen.stages.lookup import keys_of

CHUNK_BYTES = 64 << 20  # of a batch of the file: few enough batches to search, small enough to gather
BATCH_ROWS = 32_768
BATCH_BYTES = 32 << 20  # of vectors while rows are sorted
_PLACE = "place"


@dataclass(frozen=True)
class Sorted:
    """What was written: digest of keys, values and names, distinct keys, rows that repeated one, rows without one."""

    content: str
    num_rows: int
    num_duplicates: int
    num_without_key: int


class DifferentDuplicates(TuwenError):
    """Two rows have one key and different values. `key` is its hash."""

    def __init__(self, key: int) -> None:
        super().__init__("two rows have one key and different values")
        self.key = key


def write_sorted(
    corpus: Corpus, rows: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, *, first: bool = False
) -> Sorted:
    """Sort `rows` (keys as text, then the columns of `schema`) into a file.

    Of rows with equal keys and values one stays; where values differ, `DifferentDuplicates`, or with `first` the one
    that came first.
    """
    stored = pa.schema([pa.field("key", pa.uint64()), *schema])
    keyed = _Keyed(rows, schema, numbered=first)
    digest, num_rows = ContentDigest(), 0
    places = [f"{place} {name}" for place, name in enumerate(stored.names)]  # a column may be called key, too
    with (
        keyed.errors_as_they_were(),
        corpus.connect() as connection,
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, stored) as writer,
    ):
        connection.register("given", pa.RecordBatchReader.from_batches(keyed.schema, keyed))
        query = f"SELECT * FROM given ORDER BY key{f', {_PLACE}' if first else ''}"
        distinct = _distinct(connection.sql(query).to_arrow_reader(_rows_at_once(keyed.schema)), first=first)
        for chunk in _chunks(_decoded(batch, stored) for batch in distinct):
            writer.write_batch(chunk)
            digest.update(chunk.rename_columns(places))
            num_rows += chunk.num_rows
    return Sorted(digest.hexdigest(), num_rows, keyed.num_rows - num_rows, keyed.num_without_key)


def without_keys(state: pa.Table, keys: np.ndarray[Any, np.dtype[np.uint64]], path: Path) -> tuple[str, int]:
    """Write sorted rows again without those of some keys; returns the digest of what is left, and its rows."""
    digest, num_rows = ContentDigest(), 0
    places = [f"{place} {name}" for place, name in enumerate(state.schema.names)]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, state.schema) as writer:
        for chunk in state.to_batches():
            left = chunk.filter(pa.array(~np.isin(chunk.column(0).to_numpy(), keys)))
            if left.num_rows:
                writer.write_batch(left)
                digest.update(left.rename_columns(places))
                num_rows += left.num_rows
    return digest.hexdigest(), num_rows


class _Keyed:
    """Rows with the hash of their key and columns that DuckDB can sort, counted while it reads them."""

    def __init__(self, rows: Iterable[pa.RecordBatch], schema: pa.Schema, *, numbered: bool) -> None:
        self._rows, self._numbered = rows, numbered
        # Whatever the columns are called: DuckDB has objections to some names.
        columns = [pa.field(f"c{place}", _sortable(kind)) for place, kind in enumerate(schema.types)]
        places = [pa.field(_PLACE, pa.int64())] if numbered else []
        self.schema = pa.schema([pa.field("key", pa.uint64()), *columns, *places])
        self.num_rows = self.num_without_key = 0
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._rows:
                known = batch.filter(batch.column(0).is_valid())
                self.num_without_key += batch.num_rows - known.num_rows
                places = np.arange(self.num_rows, self.num_rows + known.num_rows)
                self.num_rows += known.num_rows
                columns = [_encoded(column) for column in known.columns[1:]]
                arrays = [keys_of(known.column(0)), *columns, *([places] if self._numbered else [])]
                yield pa.record_batch(arrays, schema=self.schema)
        except Exception as error:
            self._error = error
            raise

    @contextmanager
    def errors_as_they_were(self) -> Iterator[None]:
        """DuckDB wraps the errors of what it reads in its own: raise them instead."""
        try:
            yield
        except Exception as wrapped:
            raise (self._error or wrapped) from None


def _distinct(batches: Iterable[pa.RecordBatch], *, first: bool) -> Iterator[pa.RecordBatch]:
    """The first row of each key."""
    last: pa.RecordBatch | None = None
    for batch in batches:
        whole = batch if last is None else pa.concat_batches([last, batch])
        keys = whole["key"].to_numpy()
        repeats = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        if len(repeats) and not first:
            rows, before = whole.take(pa.array(repeats)), whole.take(pa.array(repeats - 1))
            if (differing := _first_difference(rows, before)) is not None:
                raise DifferentDuplicates(int(keys[repeats[differing]]))
        keep = np.ones(whole.num_rows, dtype=bool)
        keep[repeats] = False
        keep[: whole.num_rows - batch.num_rows] = False  # has been handed over
        yield whole.filter(pa.array(keep))
        last = batch.slice(batch.num_rows - 1, 1) if batch.num_rows else last


def _first_difference(rows: pa.RecordBatch, others: pa.RecordBatch) -> int | None:
    """Number of the first row that differs; not-a-number equals itself, and so does null."""
    differing = np.zeros(rows.num_rows, dtype=bool)
    for one, other in zip(rows.columns, others.columns, strict=True):
        if pa.types.is_nested(one.type):
            pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
            differing |= np.array([repr(a) != repr(b) for a, b in pairs], dtype=bool)
            continue
        same = pc.fill_null(pc.equal(one, other), False)
        same = pc.or_(same, pc.and_(one.is_null(), other.is_null()))
        if pa.types.is_floating(one.type):
            same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(one), pc.is_nan(other)), False))
        differing |= ~same.to_numpy(zero_copy_only=False)
    return int(np.argmax(differing)) if differing.any() else None


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about `CHUNK_BYTES`."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
            size += batch.nbytes
        if size >= CHUNK_BYTES:
            yield pa.concat_batches(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_batches(waiting)


def _rows_at_once(schema: pa.Schema) -> int:
    """So many rows that a batch of their vectors stays below `BATCH_BYTES`; DuckDB makes them 2,048 at least."""
    width = 1 + sum(int(kind.byte_width) for kind in schema.types if pa.types.is_fixed_size_binary(kind))
    return max(1, min(BATCH_ROWS, BATCH_BYTES // width))


def _is_vector(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind)) and bool(
        pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
    )


def _sortable(kind: pa.DataType) -> pa.DataType:
    """What a type becomes while it is sorted: DuckDB knows no half floats, and moves a vector fastest as bytes."""
    return pa.binary(kind.list_size * kind.value_type.bit_width // 8) if _is_vector(kind) else kind


def _encoded(column: pa.Array) -> pa.Array:
    if not _is_vector(column.type):
        return column
    size, item = column.type.list_size, column.type.value_type
    values = column.values.slice(column.offset * size, len(column) * size)
    if values.null_count:  # inside a vector, or under a vector that is null itself
        values = values.fill_null(float("nan") if pa.types.is_floating(item) else 0)
    width = item.bit_width // 8
    data = values.buffers()[1].slice(values.offset * width, len(values) * width)
    rows = pa.Array.from_buffers(pa.binary(size * width), len(column), [None, data])
    return pc.if_else(column.is_valid(), rows, None) if column.null_count else rows


def _decoded(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        _vector(c, f.type) if _is_vector(f.type) else c.cast(f.type)
        for c, f in zip(batch.columns, schema, strict=False)
    ]
    return pa.record_batch(columns, schema=schema)


def _vector(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The inverse of `_encoded`; DuckDB hands bytes back as binary of any length."""
    width = kind.list_size * kind.value_type.bit_width // 8
    fixed = column.cast(pa.binary(width))
    data = fixed.buffers()[1].slice(fixed.offset * width, len(fixed) * width)
    values = pa.Array.from_buffers(kind.value_type, len(fixed) * kind.list_size, [None, data])
    mask = fixed.is_null() if fixed.null_count else None
    return pa.FixedSizeListArray.from_arrays(values, type=kind, mask=mask)
