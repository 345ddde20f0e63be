"""Sets and indexes of ids: 16 raw bytes a key in sorted arrays, so that millions of them stay small."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

MERGE_AT = 100_000


class KeySet:
    """Keys that a table holds already: 16 bytes each, plus a small set of recent ones."""

    def __init__(self, keys: Iterable[pa.RecordBatch] = ()) -> None:
        pieces = [packed_keys(batch.column(0)) for batch in keys]
        self._sorted = np.sort(np.concatenate(pieces)) if pieces else np.empty(0, dtype="S16")
        self._recent: set[bytes] = set()

    def add_new(self, keys: pa.Array) -> pa.Array:
        """Add keys; a boolean array says which were not there before (the first of equal ones counts as new)."""
        packed = packed_keys(keys)
        if len(self._sorted):
            places = np.minimum(np.searchsorted(self._sorted, packed), len(self._sorted) - 1)
            known = self._sorted[places] == packed
        else:
            known = np.zeros(len(packed), dtype=bool)
        new = np.zeros(len(packed), dtype=bool)
        for row in np.flatnonzero(~known):
            key = bytes(packed[row])
            if key not in self._recent:
                self._recent.add(key)
                new[row] = True
        if len(self._recent) >= MERGE_AT:
            self._sorted = np.sort(np.concatenate([self._sorted, np.array(list(self._recent), dtype="S16")]))
            self._recent.clear()
        return pa.array(new)


class KeyIndex:
    """Sorted keys of a table and where their rows are: 24 bytes a row, looked up in bulk."""

    def __init__(self, keys: Any, positions: Any) -> None:
        self._keys, self._positions_of = keys, positions

    @classmethod
    def of(cls, keys: pa.RecordBatchReader) -> KeyIndex:
        """Index the only column of `keys`, 32 hexadecimal digits each, in the order of the rows."""
        pieces = [packed_keys(batch.column(0)) for batch in keys]
        packed = np.concatenate(pieces) if pieces else np.empty(0, dtype="S16")
        order = np.argsort(packed, kind="stable")
        return cls(packed[order], order)

    def find(self, keys: Sequence[str | None] | pa.Array) -> list[int]:
        """Row position of each key; -1 where it is unknown or null."""
        if not len(keys) or not len(self._keys):
            return [-1] * len(keys)
        array = keys if isinstance(keys, pa.Array) else pa.array(keys, pa.string())
        packed = packed_keys(array)
        places = np.minimum(np.searchsorted(self._keys, packed), len(self._keys) - 1)
        hit = (self._keys[places] == packed) & array.is_valid().to_numpy(zero_copy_only=False)
        return [int(value) for value in np.where(hit, self._positions_of[places], -1)]


def packed_keys(keys: pa.Array) -> Any:
    """Ids as an `S16` array (16 raw bytes each). Anything that is not an id, null included, becomes zeros."""
    zero = "0" * 32
    texts = [key if key is not None and len(key) == 32 else zero for key in keys.to_pylist()]
    try:
        raw = bytes.fromhex("".join(texts))
    except ValueError:
        raw = b"".join(_raw_key(text) for text in texts)
    return np.frombuffer(raw, dtype="S16")


def _raw_key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return bytes(16)
