"""Search for 64-bit hashes that differ in few bits: multi-index hashing.

A hash is cut into four bands of 16 bits. Two hashes that differ in at most seven bits differ in at most one bit in
some band, so looking up each band and its 16 neighbours finds all of those, and most that differ in a few bits more.
Norouzi, Punjani & Fleet, "Fast search in Hamming space with multi-index hashing", 2012. https://arxiv.org/abs/1307.2982
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS = 4
INDEX = pa.struct([("order", pa.large_list(pa.uint32())), ("starts", pa.large_list(pa.uint32()))])
_BITS = 16
_FLIPS = np.concatenate([[0], 1 << np.arange(_BITS)]).astype(np.int64)
_MOST = 4_000_000  # hashes that are compared at a time


@dataclass(frozen=True)
class Index:
    """`hashes` as given; `order`: for each band the places of all hashes, sorted by it; `starts`: where each begins."""

    hashes: NDArray[np.uint64]
    order: NDArray[np.uint32]  # (BANDS, N)
    starts: NDArray[np.uint32]  # (BANDS, 2**16 + 1)

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> Index:
        """12 bytes a hash beside the 8 of the hash itself go to its order, and 1 MB to the index whatever its size."""
        bands = [_band(hashes, band) for band in range(BANDS)]
        order = np.stack([np.argsort(keys, kind="stable") for keys in bands]).astype(np.uint32)
        counts = np.stack([np.bincount(keys, minlength=1 << _BITS) for keys in bands])
        starts = np.concatenate([np.zeros((BANDS, 1), dtype=np.int64), np.cumsum(counts, axis=1)], axis=1)
        return cls(hashes, order, starts.astype(np.uint32))

    @classmethod
    def stored(cls, hashes: NDArray[np.uint64], index: pa.StructArray) -> Index:
        """From the only row of a column of type `INDEX`, where it lies."""
        order, starts = (index.field(name).values.to_numpy().reshape(BANDS, -1) for name in ("order", "starts"))
        return cls(hashes, order, starts)

    def near(
        self, queries: NDArray[np.uint64], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pairs that differ in at most `most` bits: place in `queries`, place in `hashes`, bits. Some repeat."""
        band = np.tile(np.arange(BANDS)[:, None, None], (1, len(queries), len(_FLIPS))).ravel()
        keys = np.concatenate([(_band(queries, band)[:, None] ^ _FLIPS).ravel() for band in range(BANDS)])
        query = np.tile(np.repeat(np.arange(len(queries)), len(_FLIPS)), BANDS)
        first = self.starts[band, keys].astype(np.int64)
        counts = self.starts[band, keys + 1].astype(np.int64) - first
        first += band * len(self.hashes)
        some = counts > 0
        return self._compare(queries, query[some], first[some], counts[some], most)

    def _compare(
        self,
        queries: NDArray[np.uint64],
        query: NDArray[np.int64],
        first: NDArray[np.int64],
        counts: NDArray[np.int64],
        most: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """What the buckets hold, compared in pieces of bounded size."""
        order = self.order.ravel()
        found: list[tuple[NDArray[np.int64], ...]] = []
        pieces = np.cumsum(counts) // _MOST
        for piece in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(pieces)) + 1):
            sizes = counts[piece]
            ends = np.cumsum(sizes)
            rows = np.repeat(query[piece], sizes)
            within = np.arange(len(rows)) - np.repeat(ends - sizes, sizes)
            places = order[np.repeat(first[piece], sizes) + within].astype(np.int64)
            bits = np.bitwise_count(queries[rows] ^ self.hashes[places]).astype(np.int64)
            near = bits <= most
            found.append((rows[near], places[near], bits[near]))
        rows, places, bits = (np.concatenate(column) for column in zip(*found, strict=True))
        return rows, places, bits


def _band(hashes: NDArray[np.uint64], band: int) -> NDArray[np.int64]:
    return ((hashes >> np.uint64(_BITS * band)) & np.uint64((1 << _BITS) - 1)).astype(np.int64)
