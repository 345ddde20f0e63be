"""Hashes of runs of words, for whole batches of texts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import keys_of
from tuwen.stages.scripts import unspaced_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSPACED = unspaced_class()
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_PRIME), -1, 1 << 64))


def check_lengths(num_words: int, min_words: int) -> None:
    """`ValueError` unless both can be numbers of words."""
    if not 1 <= min_words <= num_words:
        raise ValueError(f"min_words must lie between 1 and num_words ({num_words}), got {min_words}")


def gram_hashes(texts: pa.Array, num_words: int, min_words: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(hash, row) of every run of `num_words` words, in order.

    A text of fewer words is a run by itself if it has `min_words`. Words are letters, digits and marks in NFKC and
    lower case; a character of a script written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese and
    others) is half a word. A run is the shortest one from its first word that is long enough, so it does not depend on
    what surrounds it.
    """
    words, rows, ends = _words(texts)
    weights = np.where(pc.match_substring_regex(words.dictionary, f"^{_UNSPACED}").fill_null(False), 1, 2)
    indices = words.indices.to_numpy()
    total = np.concatenate([[0], np.cumsum(weights[indices])])
    sums = _sums(keys_of(words.dictionary)[indices])
    first = np.arange(len(indices))
    behind = np.searchsorted(total, total[:-1] + 2 * num_words)
    whole = behind <= ends[rows]
    begins = np.concatenate([[0], ends[:-1]])
    lengths = total[ends] - total[begins]
    short = np.flatnonzero((lengths < 2 * num_words) & (lengths >= 2 * min_words))
    starts = np.concatenate([first[whole], begins[short]])
    stops = np.concatenate([behind[whole], ends[short]])
    return _between(sums, starts, stops), np.concatenate([rows[whole], short])


def _words(texts: pa.Array) -> tuple[pa.DictionaryArray, NDArray[np.int64], NDArray[np.int64]]:
    """Words of all texts, the row of each, and where the words of each row end."""
    plain = pc.utf8_lower(pc.utf8_normalize(texts.fill_null(""), "NFKC"))
    plain = pc.replace_substring_regex(plain, r"[^\p{L}\p{M}\p{N}]+", " ")
    plain = pc.replace_substring_regex(plain, f"({_UNSPACED})", r" \1 ")
    lists = pc.split_pattern(plain, " ")
    words, rows = lists.flatten(), pc.list_parent_indices(lists).to_numpy()
    some = pc.not_equal(words, "")
    rows = rows[some.to_numpy(zero_copy_only=False)].astype(np.int64)
    ends = np.cumsum(np.bincount(rows, minlength=len(texts)))
    return words.filter(some).dictionary_encode(), rows, ends


def _sums(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Prefix sums of a polynomial, modulo 2**64."""
    powers = np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(keys), _PRIME)]))[:-1]
    return np.concatenate([[np.uint64(0)], np.cumsum(keys * powers)])


def _between(sums: NDArray[np.uint64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The polynomial from `starts` to `stops`, whatever stands before, well mixed."""
    inverse = np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(sums) - 1, _INVERSE)]))
    value = (sums[stops] - sums[starts]) * inverse[starts]
    value ^= value >> np.uint64(32)
    value *= _PRIME
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(29))
    return mixed
