"""Joins of a batch with a state too large to hash per batch: a sorted 64-bit key column and binary search.

A state made for this is ordered by a column `key`, in SQL `md5_number_lower(text)`. Searching copies that column
(8 bytes a row) and reads the rows found, however large the state is. Two of a billion texts share a key with a
probability of 3 %, and then only those two are taken for each other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


def keys_of(texts: pa.Array) -> NDArray[np.uint64]:
    """DuckDB's `md5_number_lower` of each text; 0 for null."""
    encoded = texts.dictionary_encode()
    keys = [
        int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")
        for text in encoded.dictionary.to_pylist()
    ]
    rows = encoded.indices.fill_null(len(keys)).to_numpy(zero_copy_only=False)
    found: NDArray[np.uint64] = np.array([*keys, 0], dtype=np.uint64)[rows]
    return found


def find(state: pa.Table, texts: pa.Array) -> tuple[NDArray[np.int64], pa.Table]:
    """Rows of the state whose key is that of a text: (position in `texts`, ascending; the rows of the state).

    A text may have several rows, which keep the order of the state, or none.
    """
    keys = keys_of(texts)
    stored = state["key"].to_numpy()
    first, behind = np.searchsorted(stored, keys, "left"), np.searchsorted(stored, keys, "right")
    counts = np.where(texts.is_valid().to_numpy(zero_copy_only=False), behind - first, 0)
    positions = np.repeat(np.arange(len(texts)), counts)
    ends = np.cumsum(counts)
    rows = np.arange(len(positions)) - np.repeat(ends - counts, counts) + np.repeat(first, counts)
    return positions, state.take(pa.array(rows))
