"""MinHash with bands, and verification: which of many texts are near-duplicates, in memory that is flat per text.

Broder, "On the resemblance and containment of documents", 1997, https://doi.org/10.1109/SEQUEN.1997.666900. Two texts
whose sets of shingles have Jaccard similarity s agree in all `rows` minima of one of `bands` bands with a probability
of 1 - (1 - s^rows)^bands; those that do are compared set by set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.stages.dedup.clusters import first_equal, link, state_of
from tuwen.stages.dedup.shingles import Shingled, mixed, shingle

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 32
"""A row is compared with so many of its bucket; all of them where the bucket is no larger."""
MAX_SHINGLES = 1_024
"""Kept of a text, those of the smallest hashes: the similarity of longer texts is estimated, to ±0.015."""
COMPARED_AT_ONCE = 1 << 20  # shingles


@dataclass(frozen=True)
class MinHash:
    """Parameters of one search.

    `ngram` words make a shingle; `bands` × `rows` minima are taken; texts are near-duplicates if their Jaccard
    similarity is at least `threshold` (0: whatever shares a band is, without verification) and, with `same_numbers`,
    their runs of digits are the same in the same order.
    """

    ngram: int
    threshold: float
    bands: int
    rows: int
    same_numbers: bool

    def __post_init__(self) -> None:
        for name in ("ngram", "bands", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.bands * self.rows > 4_096:
            raise ValueError(f"bands * rows is {self.bands * self.rows}; it must be at most 4096")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; it must lie between 0 and 1")

    def state(self, batches: Iterable[tuple[pa.Array, pa.Array]]) -> pa.Table:
        """Clusters of the rows in batches of (ids, texts), as `clusters.columns_of` takes them.

        A text that is null has no cluster; one without any token is a cluster of its own. Equal texts are one node, so
        that a million of them are a star. Memory: 60 bytes a row, and for each distinct text 8 per band, 4 per shingle
        (4 KB at most) and 16; twice as much for a moment, when the pieces are joined.
        """
        ids, equals, known, pieces = [pa.array([], pa.string())], [], [], []
        for id_batch, texts in batches:
            ids.append(id_batch.cast(pa.string()))
            known.append(texts.is_valid().to_numpy(zero_copy_only=False))
            for shingled in shingle(texts, self.ngram):
                equals.append(shingled.equal)
                pieces.append(self.texts_of(shingled))
        equal = np.concatenate(equals) if equals else np.zeros(0, dtype=np.uint64)
        labels = np.arange(len(equal))
        if len(with_tokens := np.flatnonzero(equal)):
            distinct = Texts.joined(pieces)
            pieces.clear()
            nodes = np.searchsorted(distinct.equal, equal[with_tokens])
            found = self.labels(distinct)[nodes]
            labels[with_tokens] = with_tokens[first_equal(found.astype(np.uint64))]
        return state_of(pa.concat_arrays(ids), labels, np.concatenate(known) if known else np.zeros(0, dtype=bool))

    def texts_of(self, shingled: Shingled) -> Texts:
        """Sketches of the distinct texts of a slice."""
        _, rows = np.unique(shingled.equal, return_index=True)
        rows = rows[shingled.equal[rows] != 0]
        shingles, starts = _taken(shingled.shingles, shingled.starts, rows)
        keys = band_keys(shingles, starts, self.bands, self.rows)
        if self.same_numbers:  # texts with other numbers never meet
            keys = mixed(keys + shingled.numbers[rows])
        return Texts(shingled.equal[rows], keys, *_trimmed(shingles, starts))

    def labels(self, texts: Texts) -> NDArray[np.int64]:
        """For each text the smallest that it is linked with. Texts that are linked already are not compared again."""
        labels = np.arange(len(texts.equal))
        for band in range(self.bands):
            for left, right in candidates(texts.keys, band):
                apart = labels[left] != labels[right]
                left, right = left[apart], right[apart]
                if self.threshold:
                    near = texts.jaccard(left, right) >= self.threshold - 1e-9
                    left, right = left[near], right[near]
                if len(left):
                    labels = link(labels, left, right)
        return labels


@dataclass(frozen=True)
class Texts:
    """Sketches of distinct texts, ordered by `equal`.

    `keys` uint64 [bands, texts]; `shingles` uint32, the upper halves of the smallest hashes, those of text i at
    `starts[i]:starts[i + 1]`; `limits` uint32, the largest hash up to which a text's shingles are all there.
    """

    equal: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    shingles: NDArray[np.uint32]
    starts: NDArray[np.int64]
    limits: NDArray[np.uint32]

    @classmethod
    def joined(cls, pieces: list[Texts]) -> Texts:
        """One of all pieces, each distinct text once."""
        equal, rows = np.unique(np.concatenate([piece.equal for piece in pieces]), return_index=True)
        keys = np.concatenate([piece.keys for piece in pieces], axis=1)[:, rows]
        lengths = np.concatenate([np.diff(piece.starts) for piece in pieces])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        taken = _taken(np.concatenate([piece.shingles for piece in pieces]), starts, rows)
        return cls(equal, keys, *taken, np.concatenate([piece.limits for piece in pieces])[rows])

    def jaccard(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """Similarity of each pair of texts: shared shingles / all shingles."""
        sizes = np.diff(self.starts)
        ends = np.cumsum(sizes[left] + sizes[right])
        cuts: Any = np.searchsorted(ends, np.arange(COMPARED_AT_ONCE, ends[-1], COMPARED_AT_ONCE)) if len(ends) else []
        parts = zip(np.split(left, cuts), np.split(right, cuts), strict=True)
        return np.concatenate([self._jaccard(*part) for part in parts])

    def _jaccard(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        both = np.concatenate([left, right])
        values, starts = _taken(self.shingles, self.starts, both)
        pair = np.repeat(np.tile(np.arange(len(left)), 2), np.diff(starts))
        kept = values <= np.minimum(self.limits[left], self.limits[right])[pair]
        codes = np.sort((pair[kept].astype(np.uint64) << np.uint64(32)) | values[kept])
        again = codes[1:][codes[1:] == codes[:-1]]  # a value stands once in a set: twice means shared
        shared = np.bincount((again >> np.uint64(32)).astype(np.int64), minlength=len(left))
        total = np.bincount((codes >> np.uint64(32)).astype(np.int64), minlength=len(left))
        return np.asarray(shared / np.maximum(total - shared, 1))


def candidates(keys: NDArray[np.uint64], band: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of texts that share the key of a band: all of them in buckets of up to `WINDOW` + 1 texts.

    A larger bucket is sorted by the keys of the following bands, so that the more two texts share the nearer they lie,
    and each text is paired with the `WINDOW` behind it. The other bands sort in other ways. Sorting by longer prefixes:
    LSH forest, Bawa, Condie & Ganesan 2005. https://doi.org/10.1145/1060745.1060840
    """
    order = np.argsort(keys[band])
    key = keys[band][order]
    equal = key[1:] == key[:-1]
    shares = np.concatenate([equal, [False]]) | np.concatenate([[False], equal])
    order, key = order[shares], key[shares]
    if len(key) > WINDOW and (key[WINDOW + 1 :] == key[: -WINDOW - 1]).any():
        following = [keys[(band + step) % len(keys)][order] for step in (3, 2, 1)]
        order = order[np.lexsort([order, *following, key])]
    for distance in range(1, min(WINDOW + 1, len(key))):
        same = key[distance:] == key[:-distance]
        if not same.any():
            return
        yield order[:-distance][same], order[distance:][same]


def band_keys(shingles: NDArray[np.uint64], starts: NDArray[np.int64], bands: int, rows: int) -> NDArray[np.uint64]:
    """One key per band and set, [bands, sets]: a hash of `rows` minima, each under another linear map of 2^64.

    Odd factors, fixed for ever: `factor * shingle + shift`. Sets must not be empty.
    """
    keys = np.zeros((bands, len(starts) - 1), dtype=np.uint64)
    if not keys.size:
        return keys
    factors, shifts = _maps(bands * rows)
    mapped = np.empty_like(shingles)
    for number, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
        np.multiply(shingles, factor, out=mapped)
        np.add(mapped, shift, out=mapped)
        key = keys[number // rows]
        key += np.minimum.reduceat(mapped, starts[:-1])
        key[:] = mixed(key)
    return keys


@cache
def _maps(number: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Factors (odd) and shifts of the first `number` maps: those of fewer are the same."""
    drawn = mixed(np.arange(1, 2 * number + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).reshape(-1, 2)
    return drawn[:, 0] | np.uint64(1), drawn[:, 1]


def _trimmed(
    shingles: NDArray[np.uint64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
    """The first `MAX_SHINGLES` of each sorted set as upper halves, where each starts, and its limit."""
    halves = (shingles >> np.uint64(32)).astype(np.uint32)
    lengths = np.diff(starts)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    kept = np.arange(len(halves)) - starts[rows] < MAX_SHINGLES
    kept[1:] &= (halves[1:] != halves[:-1]) | (rows[1:] != rows[:-1])
    last = starts[:-1] + np.minimum(lengths, MAX_SHINGLES) - 1
    limits = np.where(lengths > MAX_SHINGLES, halves[last], np.uint32(0xFFFFFFFF))
    return halves[kept], np.searchsorted(rows[kept], np.arange(len(lengths) + 1)), limits


def _taken(
    values: NDArray[Any], starts: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sets of the rows, one after another, and where each starts."""
    lengths = starts[rows + 1] - starts[rows]
    new_starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(new_starts[-1]) + np.repeat(starts[rows] - new_starts[:-1], lengths)
    return values[places], new_starts
