"""Joins of a batch with a state too large to hash per batch: a sorted 64-bit key column and binary search.

A state made for this is ordered by a column `key`, in SQL `md5_number_lower(text)`. Searching copies that column
(8 bytes a row; nothing where keys are unique) and reads the rows found, however large the state is. Two of a billion
texts share a key with a probability of 3 %, and then only those two are taken for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

try:
    from _md5 import md5  # type: ignore[import-not-found]  # hashlib's sets up OpenSSL per call: twice the time
except ImportError:  # an interpreter without its own MD5
    from hashlib import md5

if TYPE_CHECKING:
    from numpy.typing import NDArray


def keys_of(texts: pa.Array) -> NDArray[np.uint64]:
    """DuckDB's `md5_number_lower` of each text; 0 for null."""
    values = texts.cast(pa.binary()).fill_null(b"").to_pylist()
    digests = b"".join([md5(value, usedforsecurity=False).digest() for value in values])
    keys: NDArray[np.uint64] = np.frombuffer(digests, dtype="<u8")[1::2].astype(np.uint64)
    if texts.null_count:
        keys[texts.is_null().to_numpy(zero_copy_only=False)] = 0
    return keys


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


def find_unique(state: pa.Table, texts: pa.Array, columns: list[int]) -> tuple[NDArray[np.int64], list[pa.Array]]:
    """For each text its row in a state whose keys are unique, or -1, and `columns` of the state there, or null.

    Columns are given by their places; the key is the first, so that the others may have any name.
    Sorted keys are sought chunk by chunk, where the state lies: nothing of it is copied but the values found.
    """
    keys = keys_of(texts)
    order = np.argsort(keys)
    order = order[texts.is_valid().to_numpy(zero_copy_only=False)[order]]
    sought = keys[order]
    rows = np.full(len(texts), -1, dtype=np.int64)
    places = np.full(len(texts), -1, dtype=np.int64)  # of each text among the values found
    pieces: list[list[pa.Array]] = [[] for _ in columns]
    start, num_found, num_rows = 0, 0, 0
    for chunk in state.to_batches():
        stored = chunk.column(0).to_numpy()
        end = int(np.searchsorted(sought, stored[-1], "right"))
        found = np.searchsorted(stored, sought[start:end])
        hit = stored[found] == sought[start:end]
        found, texts_here = found[hit], order[start:end][hit]
        rows[texts_here] = num_rows + found
        places[texts_here] = num_found + np.arange(len(found))
        for piece, column in zip(pieces, columns, strict=True):
            piece.append(chunk.column(column).take(pa.array(found)))
        start, num_found, num_rows = end, num_found + len(found), num_rows + len(stored)
    taken = pa.array(places, mask=places < 0)
    empty = [pa.array([], state.schema.field(column).type) for column in columns]
    return rows, [pa.concat_arrays([first, *piece]).take(taken) for first, piece in zip(empty, pieces, strict=True)]
