"""NumPy's files as Arrow columns, read in pieces: `.npy`, and the arrays of an `.npz`, compressed or not.

Nothing is unpickled: arrays of objects are refused. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from tuwen.errors import TuwenError, UsageError

MAX_ROW_BYTES = 1 << 20  # 262,144 numbers: sorting moves 2,048 rows at a time


class ArrayStream:
    """One array, from its first row on. `shape` and `dtype` as NumPy has them; the first axis is the rows."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._stream, self._where = stream, where
        try:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, by_columns, self.dtype = read(stream)
        except Exception as error:  # NumPy has Python's parser read the header: it raises whatever that does
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise UsageError(f"{where} is no NumPy array: {text[:160]}") from error
        if self.dtype.hasobject:
            raise UsageError(f"{where} holds Python objects, which are never unpickled; save it with a plain dtype")
        if not self.shape or len(self.shape) > 2:
            raise UsageError(f"{where} has shape {self.shape}; a column needs one or two dimensions")
        if any(isinstance(size, bool) or not 0 <= size < 2**63 for size in self.shape):
            raise UsageError(f"{where} has shape {self.shape}, which no array has")
        self.row_bytes = int(self.dtype.itemsize) * math.prod(self.shape[1:])
        if self.row_bytes > MAX_ROW_BYTES:
            raise UsageError(
                f"{where} has rows of {self.row_bytes} bytes; a column holds at most {MAX_ROW_BYTES} a row"
            )
        if by_columns and len(self.shape) > 1:
            raise UsageError(f"{where} is stored column by column; save it with numpy.ascontiguousarray")

    @property
    def is_ids(self) -> bool:
        """Whether each row is an id in two unsigned 64-bit halves, as in DataComp's lists of uids."""
        halves = self.dtype.fields is not None and [kind for kind, *_ in self.dtype.fields.values()]
        return (halves == [np.dtype("u8")] * 2 and len(self.shape) == 1) or (
            self.dtype == np.dtype("u8") and self.shape[1:] == (2,)
        )

    @property
    def type(self) -> pa.DataType:
        """Arrow type of the column: a number, or for rows of numbers a list of fixed size; halves only in those."""
        if self.is_ids:
            return pa.struct([("f0", pa.uint64()), ("f1", pa.uint64())])
        try:
            item = pa.string() if self.dtype.kind == "U" else pa.from_numpy_dtype(self.dtype.newbyteorder("="))
        except (pa.ArrowNotImplementedError, TypeError) as error:
            raise UsageError(f"{self._where} holds {self.dtype}, which is no column") from error
        if len(self.shape) == 2:
            return pa.list_(item, self.shape[1])
        return pa.float32() if pa.types.is_float16(item) else item

    def read(self, num_rows: int) -> pa.Array:
        """The next rows, at most so many as are left."""
        data = self._stream.read(num_rows * self.row_bytes)
        if len(data) != num_rows * self.row_bytes:
            raise TuwenError(f"{self._where} is cut off: it ends before its {self.shape[0]} rows")
        rows: Any = np.frombuffer(data, self.dtype).reshape(num_rows, *self.shape[1:])
        if self.is_ids:
            halves = [rows[name] for name in self.dtype.names] if self.dtype.names else [rows[:, 0], rows[:, 1]]
            return pa.StructArray.from_arrays(
                [pa.array(half.astype(np.uint64)) for half in halves], fields=list(self.type)
            )
        rows = rows.astype(self.dtype.newbyteorder("="), copy=False)
        if len(self.shape) == 2:
            return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), self.shape[1])
        return pa.array(rows.tolist() if self.dtype.kind == "U" else rows).cast(self.type)


@contextmanager
def open_arrays(path: Path) -> Iterator[dict[str, ArrayStream]]:
    """The arrays of an `.npz`, by name, or the one of an `.npy`, by the name of the file."""
    with ExitStack() as stack:
        if path.suffix == ".npy":
            yield {path.stem: ArrayStream(stack.enter_context(path.open("rb")), str(path))}
            return
        yield _members(path, stack)


def _members(path: Path, stack: ExitStack) -> dict[str, ArrayStream]:
    """The arrays of an `.npz`, which `stack` closes."""
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise TuwenError(f"{path} holds two arrays {twice}; save each under a name of its own")
        streams = {name: stack.enter_context(archive.open(name)) for name in names}
    except (zipfile.BadZipFile, RuntimeError, KeyError, ValueError, OSError, EOFError) as error:
        raise TuwenError(f"{path} cannot be read: {error}; save it with numpy.savez, without a password") from error
    return {name.removesuffix(".npy"): ArrayStream(each, f"{path}, array {name}") for name, each in streams.items()}
