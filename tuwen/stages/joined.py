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


def comparable(keys: pa.Array) -> pa.Array:
    """Keys as the texts that are compared, whatever they were written as.

    Whole numbers become digits and no number null; 32 or 64 hexadecimal digits become lower case; 16 bytes, or two
    unsigned 64-bit numbers (the higher half first, as DataComp stores a uid), become 32 digits.
    """
    kind = keys.type
    if pa.types.is_dictionary(kind):
        return comparable(keys.dictionary_decode())
    if pa.types.is_floating(kind):
        whole = pc.fill_null(pc.equal(pc.floor(keys), keys), False)
        return pc.if_else(whole, pc.if_else(whole, keys, 0).cast(pa.int64()), None).cast(pa.string())
    if pa.types.is_struct(kind) and [part.type for part in kind] == [pa.uint64()] * 2:
        halves = np.stack([half.fill_null(0).to_numpy() for half in keys.flatten()], axis=1)
        return pc.if_else(keys.is_valid(), _hexadecimal(halves.astype(">u8").tobytes()), None)
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return pc.if_else(keys.is_valid(), _hexadecimal(b"".join(keys.fill_null(bytes(16)).to_pylist())), None)
    texts = keys.cast(pa.string())
    lower = pc.ascii_lower(texts)
    if lower.equals(texts):
        return texts
    return pc.if_else(pc.match_substring_regex(texts, _DIGITS), lower, texts)


def _hexadecimal(data: bytes) -> pa.Array:
    """32 lower-case digits for every 16 bytes."""
    digits = pa.py_buffer(data.hex().encode())
    count = len(data) // 16
    return pa.Array.from_buffers(pa.binary(32), count, [None, digits]).cast(pa.binary()).cast(pa.string())
