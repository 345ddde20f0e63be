"""Connected components of 64-bit hashes within a Hamming distance, found exactly.

Of `distance // 2 + 1` parts of two hashes within the distance, one differs in at most one bit: so each part is looked
up as it is and with each of its bits turned (multi-index hashing: Norouzi, Punjani & Fleet 2012,
https://arxiv.org/abs/1307.2982).

**Differs from the paper:** hashes that are linked already are not compared again. A look-up compares each hash with a
few others first, links what is near, and leaves out from then on what has become one component.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tuwen.stages.dedup.clusters import link

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 64
COMPARED_AT_ONCE = 1 << 18  # pairs: what they take stays in the processor's cache
FIRST_ROUND = 16  # others that each hash is compared with at first


class _Index(NamedTuple):
    """Hashes by the value of one part, those of equal value by label."""

    order: NDArray[np.int64]
    values: NDArray[np.uint64]  # distinct ones
    starts: NDArray[np.int64]  # of each distinct value, and the end
    ranks: NDArray[np.int64]  # which distinct value, hash by hash in `order`
    labels: NDArray[np.int64]
    linked: NDArray[np.int64]  # the labels of all hashes that it was made with


class _Ranges(NamedTuple):
    """Pairs to compare: each row with those at `first:behind`, all of them places in the order of an index."""

    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    behind: NDArray[np.int64]


def components_within(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """For each hash the smallest position in its component, where hashes that differ in `distance` bits are linked.

    What costs are the pairs that nearly share a part and are not linked. Dense clusters have few of them, whatever
    their size. Of hashes by chance it is the more the larger the distance, and with the square of their number:
    100,000 take a CPU second at 6, 5 at 10, 16 at 16. Large clusters that share a part are compared pair by pair.
    """
    labels = np.arange(len(hashes))
    num_parts = distance // 2 + 1
    bounds = [BITS * part // num_parts for part in range(num_parts + 1)]
    for low, high in pairwise(bounds):
        values = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        index = _index(values, labels)
        for turned in (None, *range(high - low)):
            labels, index = _look_up(hashes, distance, values, turned, labels, index)
    return labels


def _look_up(
    hashes: NDArray[np.uint64],
    distance: int,
    values: NDArray[np.uint64],
    turned: int | None,
    labels: NDArray[np.int64],
    index: _Index,
) -> tuple[NDArray[np.int64], _Index]:
    """Labels once all pairs whose `values` differ in the bit `turned`, or in none, are compared; the index they need.

    In rounds: what is left after one is looked up anew, without what has been linked.
    """
    at_most = FIRST_ROUND
    ranges = _turned(index, turned) if turned is not None else _equal(index)
    while len(ranges.rows):
        round_ = ranges._replace(behind=np.minimum(ranges.behind, ranges.first + at_most))
        for left, right in _near(hashes[index.order], round_, distance):
            labels = _linked(labels, index.order[left], index.order[right])
        later = ranges.behind > round_.behind
        ranges = _Ranges(ranges.rows[later], round_.behind[later], ranges.behind[later])
        if len(ranges.rows) and labels is not index.linked:
            index = _index(values, labels)
            ranges = _turned(index, turned) if turned is not None else _equal(index)
        at_most *= 4
    return labels, index


def _index(values: NDArray[np.uint64], labels: NDArray[np.int64]) -> _Index:
    order = np.lexsort((labels, values))
    distinct, starts, ranks = np.unique(values[order], return_index=True, return_inverse=True)
    return _Index(order, distinct, np.append(starts, len(order)), ranks, labels[order], labels)


def _equal(index: _Index) -> _Ranges:
    """Each hash with those of its value and another label, from label to label: each pair once."""
    keys = index.ranks * len(index.order) + index.labels
    return _some(np.arange(len(keys)), np.searchsorted(keys, keys, "right"), index.starts[index.ranks + 1])


def _turned(index: _Index, bit: int) -> _Ranges:
    """Each hash without the bit with those that differ in it only and have another label: before it and behind."""
    turned = index.values | np.uint64(1 << bit)
    others = np.minimum(np.searchsorted(index.values, turned), len(index.values) - 1)
    exists = (index.values[others] == turned) & (turned != index.values) if len(others) else np.zeros(0, np.bool_)
    rows = np.flatnonzero(exists[index.ranks])
    other = others[index.ranks[rows]]
    keys = index.ranks * len(index.order) + index.labels
    sought = other * len(index.order) + index.labels[rows]
    same, behind = np.searchsorted(keys, sought, "left"), np.searchsorted(keys, sought, "right")
    return _some(
        np.concatenate([rows, rows]),
        np.concatenate([index.starts[other], behind]),
        np.concatenate([same, index.starts[other + 1]]),
    )


def _some(rows: NDArray[np.int64], first: NDArray[np.int64], behind: NDArray[np.int64]) -> _Ranges:
    kept = behind > first
    return _Ranges(rows[kept], first[kept], behind[kept])


def _near(
    hashes: NDArray[np.uint64], ranges: _Ranges, distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of the ranges that are within the distance."""
    counts = ranges.behind - ranges.first
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + COMPARED_AT_ONCE, "right")), start + 1)
        part = counts[start:stop]
        left = np.repeat(ranges.rows[start:stop], part)
        right = np.arange(len(left)) + np.repeat(ranges.first[start:stop] - (ends[start:stop] - part - done), part)
        near = np.flatnonzero(np.bitwise_count(hashes[left] ^ hashes[right]) <= distance)
        if len(near):
            yield left[near], right[near]
        start = stop


def _linked(labels: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    new = labels[left] != labels[right]
    return link(labels, left[new], right[new]) if new.any() else labels
