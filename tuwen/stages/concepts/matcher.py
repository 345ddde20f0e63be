"""Which of up to millions of entries occur in a text: hashed runs of tokens, looked up batch by batch.

An **index** is an Arrow table, so that it can be stored and shared by all workers through a memory-mapped file:

`key`      uint64, ascending: key of the tokens of a pattern, or, behind patterns with the same key, of the first two
           tokens of longer patterns
`concept`  int32: which concept the pattern stands for, or -1 where the row is such a beginning
`longest`  int32: number of tokens of the longest pattern that begins so; 0 for patterns
`pattern`  string: the pattern as it was written; null for a beginning
`name`     string: names of all concepts, in their order, which is ascending: `concept` counts in this column; then null

Longest entries cost nothing where their first two tokens do not occur. Against an Aho-Corasick automaton this needs a
tenth of the memory, and all work is done by whole arrays: `make bench NAME=concepts` compares.

MetaCLIP's substring matching: Xu et al. 2023, https://arxiv.org/abs/2309.16671, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.stages.concepts.tokens import BASE, Tokens, tokens_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        ("key", pa.uint64()),
        ("concept", pa.int32()),
        ("longest", pa.int32()),
        ("pattern", pa.string()),
        ("name", pa.string()),
    ]
)


class Matcher:
    """Matches texts against an index. Memory: 8 to 16 bytes an entry for a table that says where keys lie, and 16 more
    where rows share keys, so that each key is looked up once.
    """

    def __init__(self, index: pa.Table, *, fold_chinese: bool = False) -> None:
        keys = index["key"].to_numpy()
        self._concepts = index["concept"].to_numpy()
        self._longest = index["longest"].to_numpy()
        self._names = index["name"]
        self._fold_chinese = fold_chinese
        self._starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])  # the first row of each key
        self._keys = keys if len(self._starts) == len(keys) else keys[self._starts]
        self._starts = np.append(self._starts, len(keys))
        bits = len(self._keys).bit_length()
        self._shift = np.uint64(64 - bits)
        buckets = np.arange(1 << bits, dtype=np.uint64) << self._shift
        self._first = np.searchsorted(self._keys, buckets)
        self._first = np.append(self._first, len(self._keys))

    def concepts(self, texts: Sequence[str | None]) -> pa.ListArray:
        """Names of the concepts that each text mentions, ascending, each once; null for a null text."""
        rows, entries = self.mentions(texts)
        rows, concepts = distinct(rows, self._concepts[entries])
        offsets = np.searchsorted(rows, np.arange(len(texts) + 1)).astype(np.int32)
        names = self._names.take(pa.array(concepts))
        nulls = np.fromiter((text is None for text in texts), np.bool_, len(texts))
        values = pa.concat_arrays([pa.array([], pa.string()), *names.chunks])
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(nulls))

    def mentions(self, texts: Sequence[str | None]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(number of the text, row of the index) for each pattern that a text has, however often, ascending."""
        rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        found: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        for tokens in tokens_of(texts, fold_chinese=self._fold_chinese):
            for places, keys in self._found(tokens.keys):
                rows.append(tokens.rows[places])
                found.append(keys)
        return self._expanded(*distinct(np.concatenate(rows), np.concatenate(found)))

    def _expanded(
        self, rows: NDArray[np.int64], found: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys that were found as rows of the index: all patterns that have the key, but no beginning."""
        counts = self._starts[found + 1] - self._starts[found]
        before = np.cumsum(counts) - counts
        entries = np.repeat(self._starts[found] - before, counts) + np.arange(counts.sum())
        is_pattern = self._concepts[entries] >= 0
        return np.repeat(rows, counts)[is_pattern], entries[is_pattern]

    def _found(self, keys: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(places of tokens, numbers of the keys of what starts there), length by length."""
        yield self._lookup(keys)
        sums = keys[:-1] + keys[1:] * np.uint64(BASE)
        places, found = self._lookup(sums)
        yield places, found
        longest = self._longest[self._starts[found + 1] - 1]  # a beginning is the last row of its key
        places, longest, sums = places[longest > 0], longest[longest > 0], sums[places[longest > 0]]
        length, last = 2, len(keys) - 1
        while len(places):
            length += 1
            open_ = (longest >= length) & (places + length - 1 <= last)
            places, longest, sums = places[open_], longest[open_], sums[open_]
            sums = sums + keys[places + length - 1] * np.uint64(pow(BASE, length - 1, 1 << 64))
            hits, found = self._lookup(sums)
            yield places[hits], found

    def _lookup(self, sought: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(places in `sought`, numbers of their keys among the index's) of those that the index has."""
        if not len(self._keys):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        buckets = (sought >> self._shift).view(np.int64)
        rows, behind = self._first.take(buckets), self._first.take(buckets + 1)
        # A row of another bucket is no hit either: its key differs.
        hits = np.flatnonzero(self._keys.take(rows, mode="clip") == sought)
        places, found = [hits], [rows[hits]]
        open_ = np.flatnonzero(behind - rows > 1)
        rows, behind, sought = rows[open_], behind[open_], sought[open_]
        while len(open_):
            rows = rows + 1
            hits = np.flatnonzero(self._keys.take(rows) == sought)
            places.append(open_[hits])
            found.append(rows[hits])
            more = np.flatnonzero(behind - rows > 1)
            open_, rows, behind, sought = open_[more], rows[more], behind[more], sought[more]
        return np.concatenate(places), np.concatenate(found)


def make_index(
    concepts: Iterable[tuple[str, Sequence[str]]], *, names_match: bool = True, fold_chinese: bool = False
) -> pa.Table:
    """The index of concepts, each a name and its synonyms; the name is a pattern too, unless `names_match` is off.

    Names with the same tokens are one concept, under the first's name; a pattern may stand for several concepts.
    Patterns without any token (blanks, dashes) are left out. Memory: about 300 bytes an entry.
    """
    names, owners, patterns = _flattened(concepts)
    keys, lengths, heads = _pattern_keys(patterns, fold_chinese)
    is_name = np.append(True, owners[1:] != owners[:-1]) if len(owners) else np.zeros(0, np.bool_)
    merged = _merged(keys[is_name], lengths[is_name])  # concept → the first one with these tokens
    kept = np.flatnonzero((lengths > 0) & (names_match | ~is_name))
    by_name = sorted(np.unique(merged[owners[kept]]).tolist(), key=names.__getitem__)
    ranks = np.full(len(names), -1, dtype=np.int64)
    ranks[by_name] = np.arange(len(by_name))
    concept = ranks[merged[owners[kept]]]
    order = np.lexsort((concept, keys[kept]))
    kept, concept = kept[order], concept[order]
    is_new = (np.diff(keys[kept], prepend=np.uint64(0)) != 0) | (np.diff(concept, prepend=-1) != 0)
    kept, concept = kept[is_new], concept[is_new]
    head_keys, longest = _heads(heads[kept], lengths[kept])
    key = np.concatenate([keys[kept], head_keys])
    order = np.argsort(key, kind="stable")
    written = [patterns[number] for number in kept.tolist()] + [None] * len(head_keys)
    columns = [
        pa.array(key[order]),
        pa.array(np.concatenate([concept, np.full(len(head_keys), -1)])[order].astype(np.int32)),
        pa.array(np.concatenate([np.zeros(len(kept), np.int64), longest])[order].astype(np.int32)),
        pa.array(written, pa.string()).take(pa.array(order)),
        pa.array([names[number] for number in by_name] + [None] * (len(key) - len(by_name)), pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _flattened(concepts: Iterable[tuple[str, Sequence[str]]]) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """Names; for each pattern its concept's number; patterns, a concept's name first."""
    names: list[str] = []
    owners: list[int] = []
    patterns: list[str] = []
    for name, synonyms in concepts:
        owners += [len(names)] * (1 + len(synonyms))
        patterns += [name, *synonyms]
        names.append(name)
    return names, np.array(owners, dtype=np.int64), patterns


def _pattern_keys(
    patterns: Sequence[str], fold_chinese: bool
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint64]]:
    """For each pattern: key, number of tokens, and key of its first two tokens where it has more."""
    keys = np.zeros(len(patterns), dtype=np.uint64)
    heads = np.zeros(len(patterns), dtype=np.uint64)
    lengths = np.zeros(len(patterns), dtype=np.int64)
    for tokens in tokens_of(patterns, fold_chinese=fold_chinese):
        rows, counts, firsts = _runs(tokens)
        lengths[rows] = counts
        for step in range(int(counts.max(initial=0))):
            here = counts > step
            keys[rows[here]] += tokens.keys[firsts[here] + step] * np.uint64(pow(BASE, step, 1 << 64))
            if step == 1:
                heads[rows] = keys[rows]
    return keys, lengths, heads


def _runs(tokens: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each text of a chunk: its number, how many tokens it has (END aside), and the place of the first."""
    rows, firsts, counts = np.unique(tokens.rows, return_index=True, return_counts=True)
    return rows, counts - 1, firsts


def _merged(keys: NDArray[np.uint64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each concept the first one whose name has the same tokens; names without tokens stay apart."""
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return np.where(lengths > 0, firsts[inverse], np.arange(len(keys)))


def _heads(heads: NDArray[np.uint64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Keys of the beginnings of patterns of three and more tokens, and the length of the longest of each."""
    is_long = lengths > 2
    keys, inverse = np.unique(heads[is_long], return_inverse=True)
    longest = np.zeros(len(keys), dtype=np.int64)
    np.maximum.at(longest, inverse, lengths[is_long])
    return keys, longest


def distinct(rows: NDArray[np.int64], values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct pairs, ascending."""
    pairs = np.sort((rows << 32) | values)  # np.unique takes ten times as long
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    return pairs >> 32, pairs & 0xFFFFFFFF
