"""Digests of Arrow data that depend on the values alone: not on batches, slices, offsets or validity buffers."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.errors import TuwenError

DIGEST_CHARACTERS = 16
VARIABLE = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


class ContentDigest:
    """Running digest of record batches of one schema. However the rows are cut into batches, the result is the same.

    Every nesting level of every column contributes up to three byte streams (validity, lengths, data), each hashed on
    its own, so that concatenating batches is concatenating streams.
    """

    def __init__(self) -> None:
        self._streams: dict[str, hashlib.blake2b] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of `batch`."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self._add(f"{name}:{_spelled(column.type)}", column)

    def hexdigest(self) -> str:
        """First 16 hexadecimal digits (64 bits) over all streams."""
        total = hashlib.blake2b()
        for path in sorted(self._streams):
            total.update(path.encode() + b"=" + self._streams[path].digest())
        return total.hexdigest()[:DIGEST_CHARACTERS]

    def _stream(self, path: str) -> hashlib.blake2b:
        if path not in self._streams:
            self._streams[path] = hashlib.blake2b(digest_size=16)
        return self._streams[path]

    def _add(self, path: str, array: pa.Array) -> None:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        self._stream(f"{path}/valid").update(_bytes(array.is_valid()))
        kind = array.type
        if pa.types.is_struct(kind):
            for index, child in enumerate(array.flatten()):
                self._add(f"{path}/{kind.field(index).name}", child)
            return
        values = array.drop_null()
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            self._stream(f"{path}/lengths").update(_bytes(pc.list_value_length(values)))
            self._add(f"{path}/items", values.flatten())
        elif pa.types.is_fixed_size_list(kind):
            self._add(f"{path}/items", values.flatten())
        elif pa.types.is_null(kind):
            return
        elif kind in VARIABLE:
            self._stream(f"{path}/lengths").update(_bytes(pc.binary_length(values).cast(pa.int64())))
            self._stream(f"{path}/data").update(_joined(values.cast(pa.large_binary())))
        else:
            self._stream(f"{path}/data").update(_bytes(values))


def content_digest(*batches: pa.RecordBatch) -> str:
    """Digest of the rows of all batches."""
    running = ContentDigest()
    for batch in batches:
        running.update(batch)
    return running.hexdigest()


def _spelled(kind: pa.DataType) -> str:
    """A type without the name of a list's items, which Lance calls `item` and Parquet `element`."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"list<{_spelled(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{part.name}: {_spelled(part.type)}' for part in kind)}>"
    return str(kind)


def _joined(values: pa.Array) -> memoryview:
    """All values of a large_binary array without nulls, one after the other, without a copy."""
    _, offsets, data = values.buffers()
    if not len(values) or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _bytes(array: pa.Array) -> memoryview:
    """The values of an array without nulls, as they lie in memory when nothing lies between them."""
    kind = array.type
    if pa.types.is_boolean(kind):
        return memoryview(array.to_numpy(zero_copy_only=False).tobytes())
    if pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal(kind):
        data, width = array.buffers()[1], kind.bit_width // 8
        return memoryview(data)[array.offset * width : (array.offset + len(array)) * width] if data else memoryview(b"")
    raise TuwenError(f"a column of type {kind} cannot be digested; use a plain Arrow type")
