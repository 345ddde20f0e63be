"""The stage of a join: columns that were computed elsewhere, brought in by `tuwen join`.

No recipe can name it: what it writes is in the corpus' joins. Everything else is as for any stage, so that joined
columns have a freshness, and rows that come later get their values in the next build.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.joins import PREFIX, JoinRecord, joins_of, state_path
from tuwen.stages.lookup import find_unique

_DIGITS = "^(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$"  # an id or a digest, whose case means nothing


@dataclass(frozen=True)
class JoinedColumns:
    """Columns of a join, found by the key that a row has in column `on`; null where the file has no such key.

    `content` is the digest of the file's rows. The only column of an id list is true where the list has the key, else
    false.
    """

    name: str
    table: str
    on: str
    content: str
    is_list: bool
    columns: pa.Schema

    kind: ClassVar[str] = "joined"

    @classmethod
    def of(cls, record: JoinRecord, path: Path) -> JoinedColumns:
        """The stage of a join of the corpus at `path`."""
        with pa.memory_map(str(path / record.state)) as source:
            stored = pa.ipc.open_file(source).schema
        columns = pa.schema(list(stored)[1:])  # in the order of the file; JSON keeps none
        return cls(record.name, record.table, record.on, record.content, record.is_list, columns)

    @property
    def part_name(self) -> str:
        """`join.NAME`."""
        return f"{PREFIX}{self.name}"

    @property
    def reads(self) -> tuple[str, ...]:
        """The key."""
        return (self.on,)

    @property
    def writes(self) -> pa.Schema:
        """The columns of the file that were asked for."""
        return self.columns

    def state_file(self, path: Path) -> Path:
        """Where the sorted rows lie: they are in the corpus already, there is nothing to prepare."""
        return path / state_path(self.name, self.content)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        places = list(range(1, len(self.columns) + 1))
        _, found = find_unique(state, comparable(batch[self.on]), places)
        if self.is_list:
            found = [pc.fill_null(found[0], False)]
        return pa.record_batch(found, schema=self.columns)


def joined_stages(path: Path) -> list[Any]:
    """A stage for every join of the corpus at `path`."""
    return [JoinedColumns.of(record, path) for record in joins_of(path)]


def is_comparable(kind: pa.DataType) -> bool:
    """Whether keys may be of this type."""
    if pa.types.is_dictionary(kind):
        return is_comparable(kind.value_type)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    bytes_ = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return _is_halves(kind) or _is_16_bytes(kind) or any(check(kind) for check in (*texts, *numbers, *bytes_))


def comparable(keys: pa.Array) -> pa.Array:
    """Keys as the texts that are compared, whatever they were written as.

    Whole numbers become digits; not-a-number, fractions and floats of 2^63 or more null. 32 or 64 hexadecimal digits
    become lower case. 16 bytes, UUIDs, or two unsigned 64-bit numbers (the higher half first, as DataComp stores a uid)
    become 32 digits. Raises `pa.ArrowInvalid` for bytes that are no text.
    """
    kind = keys.type
    if pa.types.is_dictionary(kind):
        return comparable(keys.dictionary_decode())
    if pa.types.is_floating(kind):
        keys = keys.cast(pa.float64())
        whole = pc.fill_null(pc.and_(pc.equal(pc.floor(keys), keys), pc.less(pc.abs(keys), 2.0**63)), False)
        return pc.if_else(whole, pc.if_else(whole, keys, 0).cast(pa.int64()), None).cast(pa.string())
    if pa.types.is_decimal(kind):
        digits = pc.replace_substring_regex(keys.cast(pa.string()), r"\.0*$", "")
        return pc.if_else(pc.match_substring_regex(digits, "^-?[0-9]+$"), digits, None)
    if _is_halves(kind):
        halves = np.stack([half.fill_null(0).to_numpy() for half in keys.flatten()], axis=1)
        return pc.if_else(keys.is_valid(), _hexadecimal(halves.astype(">u8").tobytes()), None)
    if _is_16_bytes(kind):
        raw = keys.storage if isinstance(kind, pa.BaseExtensionType) else keys
        return pc.if_else(raw.is_valid(), _hexadecimal(b"".join(raw.fill_null(bytes(16)).to_pylist())), None)
    texts = keys.cast(pa.string())
    lower = pc.ascii_lower(texts)
    if lower.equals(texts):
        return texts
    return pc.if_else(pc.match_substring_regex(texts, _DIGITS), lower, texts)


def _is_halves(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and [part.type for part in kind] == [pa.uint64()] * 2


def _is_16_bytes(kind: pa.DataType) -> bool:
    stored = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return bool(pa.types.is_fixed_size_binary(stored) and stored.byte_width == 16)


def _hexadecimal(data: bytes) -> pa.Array:
    """32 lower-case digits for every 16 bytes."""
    digits = pa.py_buffer(data.hex().encode())
    count = len(data) // 16
    return pa.Array.from_buffers(pa.binary(32), count, [None, digits]).cast(pa.binary()).cast(pa.string())
