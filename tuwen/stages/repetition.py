"""Sequences of words that recur within a text, for whole batches at once. https://arxiv.org/abs/2112.11446, table A1"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import keys_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

TOP, DUPLICATE = (2, 3, 4), (5, 6, 7, 8, 9, 10)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def repetition(words: pa.Array, owners: Integers, count: int) -> dict[str, Floats]:
    """`top_Ngram_share` and `duplicate_Ngram_share` of `count` texts, given their words and the text of each,
    ascending.

    Shares of the characters of the words; NaN for a text without words.
    """
    codes = words.dictionary_encode()
    grams = keys_of(codes.dictionary)[codes.indices.to_numpy()] if len(words) else np.empty(0, np.uint64)
    word_keys, lengths = grams, pc.utf8_length(words).to_numpy().astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    total = np.bincount(owners, weights=lengths, minlength=count).astype(np.float64)
    total[total == 0] = np.nan
    found = {}
    for size in range(2, max(DUPLICATE) + 1):
        grams = _longer(grams, word_keys, size)
        within = owners[: len(grams)] == owners[size - 1 :]  # not across two texts
        keys, rows, starts = grams[within], owners[: len(grams)][within], np.flatnonzero(within)
        if size in TOP:
            top = _top(keys, rows, ends[starts + size] - ends[starts], count)
            found[f"top_{size}gram_share"] = top / total
        if size in DUPLICATE:
            covered = np.zeros(len(words) + 1, dtype=np.int64)
            again = starts[seen_before(keys, rows)]
            np.add.at(covered, again, 1)
            np.add.at(covered, again + size, -1)
            inside = np.cumsum(covered)[:-1] > 0
            found[f"duplicate_{size}gram_share"] = (
                np.bincount(owners, weights=lengths * inside, minlength=count) / total
            )
    return found


def seen_before(keys: NDArray[np.uint64], rows: Integers) -> NDArray[np.bool_]:
    """Entries whose key stood before in their row."""
    order = np.lexsort((keys, rows))  # stable: the first of equal ones comes first
    same = (keys[order][1:] == keys[order][:-1]) & (rows[order][1:] == rows[order][:-1])
    seen = np.zeros(len(keys), dtype=bool)
    seen[order[1:]] = same
    return seen


def _longer(grams: NDArray[np.uint64], words: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """Keys of all sequences of `size` words from those of one word less."""
    if len(words) < size:
        return np.empty(0, np.uint64)
    mixed = (grams[:-1] ^ (grams[:-1] >> np.uint64(29))) * _FACTOR
    return mixed + words[size - 1 :]


def _top(keys: NDArray[np.uint64], rows: Integers, lengths: Integers, count: int) -> Floats:
    """Characters of the most frequent sequence of each row, the longest of equals, times its count; 0 if none
    recurs."""
    order = np.lexsort((keys, rows))
    keys, rows, lengths = keys[order], rows[order], lengths[order]
    first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])])[: len(keys)])
    counts = np.diff(np.append(first, len(keys)))
    first, counts = first[counts > 1], counts[counts > 1]
    best = np.lexsort((lengths[first], counts, rows[first]))
    characters = np.zeros(count)
    characters[rows[first][best]] = (lengths[first] * counts)[best]  # the last of a row wins: the most frequent
    return characters
