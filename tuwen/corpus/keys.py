"""Sets and indexes of ids: 16 raw bytes a key in sorted arrays, so that millions of them stay small."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
        known = are_among(packed, self._sorted)
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
        pieces.clear()  # they are as large once more
        order = _order(packed)
        return cls(packed[order], order)

    @classmethod
    def stored(cls, folder: Path, name: str, keys: Callable[[], pa.RecordBatchReader]) -> KeyIndex:
        """The index `name` of a folder, memory-mapped: made of `keys()` where it is not there yet.

        A folder that cannot be written is no error: the index then lies in memory.
        """
        files = folder / f"{name}.keys.npy", folder / f"{name}.rows.npy"
        if not all(file.exists() for file in files):
            made = cls.of(keys())
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for file, array in zip(files, (made._keys, made._positions_of.astype(np.int32)), strict=True):
                    save_array(file, array)
            except OSError:
                return made
        return cls(*(np.load(file, mmap_mode="r") for file in files))

    @property
    def positions(self) -> NDArray[np.integer[Any]]:
        """Row positions in the order of their keys."""
        positions: NDArray[np.integer[Any]] = self._positions_of
        return positions

    def find(self, keys: Sequence[str | None] | pa.Array) -> list[int]:
        """Row position of each key; -1 where it is unknown or null."""
        array = keys if isinstance(keys, pa.Array) else pa.array(keys, pa.string())
        return list(self.rows(array).tolist())

    def rows(self, keys: pa.Array) -> NDArray[np.int64]:
        """As `find`, as an array."""
        if not len(keys) or not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        packed = packed_keys(keys)
        places = np.minimum(np.searchsorted(self._keys, packed), len(self._keys) - 1)
        hit = (self._keys[places] == packed) & keys.is_valid().to_numpy(zero_copy_only=False)
        found = np.where(hit, self._positions_of[places], -1).astype(np.int64)
        self.release()
        return found

    def release(self) -> None:
        """Give back the memory of what was read of the files: a hundred keys touch most pages of an index of millions.
        They stay in the system's cache, where there is room."""
        for array in (self._keys, self._positions_of):
            if isinstance(array, np.memmap):
                array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def starting_with(self, prefix: str) -> NDArray[np.int64]:
        """Rows whose keys start with these hexadecimal digits, in the order of the keys."""
        low, high = (np.frombuffer(bytes.fromhex(prefix.ljust(32, fill)), "S16")[0] for fill in "0f")
        first, behind = np.searchsorted(self._keys, low, "left"), np.searchsorted(self._keys, high, "right")
        return np.asarray(self._positions_of[first:behind], np.int64)


def _order(packed: Any) -> NDArray[np.int64]:
    """The stable order of packed keys: by their first halves as numbers, which hardly ever are equal."""
    halves = packed.view(">u8").reshape(-1, 2)
    high = halves[:, 0].astype(np.uint64)
    order = np.argsort(high, kind="stable")
    sorted_high = high[order]
    if (sorted_high[1:] == sorted_high[:-1]).any():
        return np.lexsort([halves[:, 1], high])
    return order


def save_array(file: Path, array: NDArray[Any]) -> None:
    """Write an array so that a reader sees all of it or nothing."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("wb") as stream:
        np.save(stream, array)
    temporary.replace(file)


def are_among(keys: NDArray[Any], known: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `keys` are in `known`, which is ascending: unlike `numpy.isin`, without a look at all of `known`."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys)


def packed_keys(keys: pa.Array) -> Any:
    """Ids as an `S16` array (16 raw bytes each). Anything that is not an id, null included, becomes zeros."""
    text = _all_text(keys)
    if text is None:
        zero = "0" * 32
        text = "".join(key if key is not None and len(key) == 32 else zero for key in keys.to_pylist())
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 16 * len(keys):  # something is no number; spaces are skipped without an error
        raw = b"".join(map(_raw_key, keys.to_pylist()))
    return np.frombuffer(raw, dtype="S16")


def _all_text(keys: pa.Array) -> str | None:
    """The text of an array whose values all have the length of an id, straight from its buffer; None for any other."""
    if not len(keys) or keys.null_count or not pa.types.is_string(keys.type):
        return None
    ends = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + len(keys) + 1]
    if (np.diff(ends) != 32).any():
        return None
    return str(memoryview(keys.buffers()[2])[ends[0] : ends[-1]], "ascii", "replace")


def _raw_key(text: str | None) -> bytes:
    try:
        raw = bytes.fromhex(text or "")
    except ValueError:
        raw = b""
    return raw if len(raw) == 16 and len(text or "") == 32 else bytes(16)
