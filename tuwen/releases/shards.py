"""Shards that are the same bytes every time: tar and Parquet files with every setting fixed."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.errors import UsageError

SHARD_DIGITS = 5
MAX_GROUP_BYTES = 64 << 20
MAX_CHUNK_BYTES = 1 << 30  # of one column of a row group, uncompressed: when reading, where a single row may be large
MAX_CHUNK_VALUES = 1 << 25
MAX_BATCH_ROWS = 65_536
WRITE_BATCH_ROWS = 64  # Parquet pages are cut only between such batches, so they stay small beside large images


def shard_name(index: int, extension: str) -> str:
    """`00000.tar`, `00001.tar`, …"""
    return f"{index:0{SHARD_DIGITS}d}.{extension}"


def duplicates(names: Iterable[str]) -> list[str]:
    """Names that occur more than once, sorted. Case does not count: DuckDB and others ignore it."""
    return sorted(name for name, times in Counter(name.casefold() for name in names).items() if times > 1)


def refuse_duplicates(names: Iterable[str]) -> None:
    """`UsageError` where two columns of a shard would have one name: hardly a reader opens such a file."""
    if twice := duplicates(names):
        raise UsageError(
            f"the release would have two columns named {twice[0]!r}: a stage writes one of that name (perhaps once the "
            "prefix image_ or document_ is before it); rename that stage's column"
        )


class TarShards:
    """Samples into numbered USTAR files: no owner, no times, one mode, so that only names and contents count.

    A shard is closed once it holds `samples` samples or `num_bytes` bytes.
    """

    def __init__(self, folder: Path, samples: int, num_bytes: int) -> None:
        self.counts: dict[str, int] = {}
        self._folder, self._samples, self._bytes = folder, samples, num_bytes
        self._tar: BinaryIO | None = None
        self._name = ""
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, key: str, members: dict[str, bytes]) -> None:
        """Write one sample: `KEY.extension` for every member, next to each other, in the order given."""
        if self._tar is None:
            self._name = shard_name(len(self.counts), "tar")
            self._tar = (self._folder / self._name).open("wb")
            self.counts[self._name] = 0
        for extension, data in members.items():
            self._tar.write(_tar_header(f"{key}.{extension}", len(data)))
            self._tar.write(data)
            self._tar.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        self.counts[self._name] += 1
        if self.counts[self._name] >= self._samples or self._tar.tell() >= self._bytes:
            self.close()

    def close(self) -> None:
        """Finish the open shard."""
        if self._tar is not None:
            end = self._tar.tell() + 2 * tarfile.BLOCKSIZE
            self._tar.write(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))
            self._tar.close()
            self._tar = None


def _tar_header(name: str, size: int) -> bytes:
    """The USTAR header of a plain file with mode 0644 and zeros for all that is not content.

    As `tarfile` writes it (a test compares), in a quarter of the time.
    """
    encoded = name.encode()
    if len(encoded) > 100 or size >= 8**11:
        raise ValueError(f"{name!r} of {size} bytes does not fit a USTAR header")
    empty_id = b"0000000\0"
    head = encoded.ljust(100, b"\0") + b"0000644\0" + 2 * empty_id + b"%011o\0" % size + b"00000000000\0"
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64 + 16 + 167)
    checksum = sum(head) + sum(tail) + 8 * ord(" ")
    return head + b"%06o\0 " % checksum + tail


@dataclass(frozen=True)
class Limits:
    """When a shard or row group is full: rows of a file, bytes of a file and of a row group before compression."""

    rows: int
    num_bytes: int
    group_bytes: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.num_bytes < 1 or not 1 <= self.group_bytes <= MAX_GROUP_BYTES:
            raise UsageError(f"shards need room for a row, row groups at most {MAX_GROUP_BYTES} bytes; got {self}")


class ParquetShards:
    """Rows into numbered Parquet files, in row groups and files bounded by rows and bytes.

    Every group is cut where the bytes of its rows (`row_bytes`) would pass `group_bytes`, however the rows arrive.
    Pages carry checksums. `features` names columns with a Hugging Face `datasets` feature of their own.
    """

    def __init__(self, folder: Path, schema: pa.Schema, limits: Limits, image: str | None = None) -> None:
        refuse_duplicates(schema.names)
        self.counts: dict[str, int] = {}
        self._folder, self._limits = folder, limits
        self._schema = schema.with_metadata(_image_feature(image)) if image else schema
        # Statistics of a binary column would copy whole images into the footer.
        self._statistics = [name for name in _leaves(schema) if not (image and name.startswith(f"{image}."))]
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = self._pending_rows = self._file_bytes = 0
        self._writer: Any = None
        self._name = ""
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        weights = row_bytes(batch)
        start = 0
        for row, weight in enumerate(weights):
            full = self._pending_rows and self._pending_bytes + weight > self._limits.group_bytes
            if (
                full
                or self._file_rows() >= self._limits.rows
                or self._file_bytes + self._pending_bytes >= self._limits.num_bytes
            ):
                self._keep(batch, start, row)
                start = row
                self._flush()
                if self._writer and (
                    self.counts[self._name] >= self._limits.rows or self._file_bytes >= self._limits.num_bytes
                ):
                    self._close_file()
            self._pending_rows += 1
            self._pending_bytes += int(weight)
        self._keep(batch, start, batch.num_rows)

    def close(self) -> None:
        """Write what is pending and finish the open file."""
        self._flush()
        self._close_file()

    def _file_rows(self) -> int:
        return self._pending_rows + (self.counts[self._name] if self._writer else 0)

    def _keep(self, batch: pa.RecordBatch, start: int, end: int) -> None:
        if end > start:
            self._pending.append(batch.slice(start, end - start))

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            self._name = shard_name(len(self.counts), "parquet")
            self._writer = self._open(self._folder / self._name)
            self.counts[self._name] = 0
        table = pa.Table.from_batches(self._pending).cast(self._schema).combine_chunks()
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self.counts[self._name] += table.num_rows
        self._file_bytes += self._pending_bytes
        self._pending, self._pending_bytes, self._pending_rows = [], 0, 0

    def _close_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer, self._file_bytes = None, 0

    def _open(self, path: Path) -> Any:
        return parquet_writer(path, self._schema, self._statistics)


def parquet_writer(path: Path, schema: pa.Schema, statistics: list[str] | bool = True) -> Any:
    """A Parquet writer with every setting that shows in the bytes fixed."""
    import pyarrow.parquet as pq

    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=True,
        write_statistics=statistics,
        write_page_checksum=True,
        write_page_index=False,
        write_batch_size=WRITE_BATCH_ROWS,
        data_page_version="1.0",
        store_schema=True,
    )


def row_bytes(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Bytes of each row: what its strings and binaries hold, 8 for anything else. Depends on the row alone."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        total += _value_bytes(column)
    return total


def _value_bytes(column: pa.Array) -> Any:
    kind = column.type
    if pa.types.is_struct(kind):
        return sum((_value_bytes(child) for child in column.flatten()), start=np.zeros(len(column), dtype=np.int64))
    if pa.types.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        ends = np.cumsum(lengths)
        items = np.concatenate([[0], np.cumsum(_value_bytes(column.flatten()))])
        return items[ends] - items[ends - lengths]
    if pa.types.is_fixed_size_list(kind):
        return np.full(len(column), kind.list_size * 8)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.full(len(column), 8)


def read_parquet(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Stream a shard in small batches, page checksums verified; `ValueError` where a row group is beyond all bounds.

    A dictionary or a run of equal values takes a few bytes for millions of rows, so a batch has only as many rows as
    would fit into `MAX_GROUP_BYTES` if each of them were as large as its column of the whole row group.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            described = file.metadata.row_group(group)
            chunks = [described.column(index) for index in range(described.num_columns)]
            largest = max((chunk.total_uncompressed_size for chunk in chunks), default=0)
            values = max((chunk.num_values for chunk in chunks), default=0)
            if largest > MAX_CHUNK_BYTES or values > MAX_CHUNK_VALUES:
                raise ValueError(
                    f"row group {group} has a column of {largest} bytes or {values} values, "
                    f"at most {MAX_CHUNK_BYTES} and {MAX_CHUNK_VALUES} are read"
                )
            rows = min(max(MAX_GROUP_BYTES // max(largest, 1), 1), MAX_BATCH_ROWS)
            yield from file.iter_batches(batch_size=rows, row_groups=[group], columns=columns)


def _leaves(schema: pa.Schema) -> list[str]:
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    described = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [described.column(index).path for index in range(len(described))]


def _image_feature(column: str) -> dict[bytes, bytes]:
    return {b"huggingface": b'{"info": {"features": {"%s": {"_type": "Image"}}}}' % column.encode()}
