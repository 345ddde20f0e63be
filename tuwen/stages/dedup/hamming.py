"""All pairs of 64-bit hashes within a Hamming distance, found exactly.

Of `distance // 2 + 1` parts of two hashes within the distance, one differs in at most one bit: so each part is looked
up as it is and with each of its bits turned (multi-index hashing: Norouzi, Punjani & Fleet 2012,
https://arxiv.org/abs/1307.2982).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 64
COMPARED_AT_ONCE = 1 << 20


def pairs_within(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every pair of distinct positions whose hashes differ in at most `distance` bits; some come more than once."""
    num_parts = distance // 2 + 1
    bounds = [BITS * part // num_parts for part in range(num_parts + 1)]
    for low, high in pairwise(bounds):
        mask = np.uint64((1 << (high - low)) - 1)
        values = (hashes >> np.uint64(low)) & mask
        order = np.argsort(values, kind="stable")
        values = values[order]
        yield from _near(hashes, order, np.arange(len(values)) + 1, np.searchsorted(values, values, "right"), distance)
        for bit in range(high - low):
            turned = values | np.uint64(1 << bit)  # from those without the bit to those with it: each pair once
            first, behind = np.searchsorted(values, turned, "left"), np.searchsorted(values, turned, "right")
            yield from _near(hashes, order, first, np.where(turned == values, first, behind), distance)


def _near(
    hashes: NDArray[np.uint64],
    order: NDArray[np.int64],
    first: NDArray[np.int64],
    behind: NDArray[np.int64],
    distance: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs within the distance of the i-th hash in `order` and those at `first[i]:behind[i]`."""
    counts = np.maximum(behind - first, 0)
    ends = np.cumsum(counts)
    start = 0
    while start < len(order) and ends[-1]:
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + COMPARED_AT_ONCE, "right")), start + 1)
        part = counts[start:stop]
        left = np.repeat(np.arange(start, stop), part)
        right = np.arange(len(left)) + np.repeat(first[start:stop] - (ends[start:stop] - part - done), part)
        left, right = order[left], order[right]
        near = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
        if near.any():
            yield left[near], right[near]
        start = stop
