"""A character n-gram language model: Witten-Bell interpolation over sorted arrays of n-gram keys.

An event is a character given the ones before it; a text ends with an event of its own. With c(h w) occurrences of w
after the history h, c(h) of any character after it and T(h) distinct ones,

    P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h) + T(h)),    h' = h without its first character,

down to a uniform distribution over the characters seen and one unseen. Witten & Bell 1991,
https://doi.org/10.1109/18.87000. Keys are 32-bit hashes: an unseen n-gram is taken for a seen one in 1 of 10,000 cases
by a model of 400,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint32]
    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

ORDER = 5
_START, _END = 2, 3  # control characters, which `normal` leaves in no text
_FACTOR, _MIX = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93


def normal(texts: pa.Array, longest: int) -> pa.Array:
    """Texts as they are modelled: NFKC, lower case, digits as 0, white space as one space, cut at `longest`."""
    texts = pc.utf8_lower(pc.utf8_normalize(texts.cast(pa.string()), "NFKC"))
    texts = pc.replace_substring_regex(texts, r"\p{Nd}", "0")
    texts = pc.replace_substring_regex(texts, r"[\s\p{Z}\p{C}]+", " ")
    return pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(texts), 0, longest)


@dataclass(frozen=True)
class CharacterModel:
    """Counts of n-grams of up to `ORDER` characters: `keys` ascending, their `counts` and numbers of `followers`."""

    keys: Keys
    counts: NDArray[np.uint32]
    followers: NDArray[np.uint16]
    num_events: int
    num_characters: int  # distinct ones, the end among them

    @classmethod
    def of(cls, texts: Sequence[str]) -> CharacterModel:
        """The model of these texts, in any order."""
        grams, is_event, _ = grams_of(texts)
        keys, counts = np.unique(np.concatenate([*grams[:-1], grams[-1][is_event]]), return_counts=True)
        followers = np.zeros(len(keys), dtype=np.int64)
        for shorter, longer in pairwise(grams):
            _, first = np.unique(longer[is_event], return_index=True)
            np.add.at(followers, np.searchsorted(keys, shorter[np.flatnonzero(is_event)[first] - 1]), 1)
        num_characters = len(np.unique(grams[0][is_event]))
        few = np.minimum(followers, 65_535).astype(np.uint16)
        return cls(keys, counts.astype(np.uint32), few, int(is_event.sum()), num_characters)

    def bits(self, texts: Sequence[str]) -> tuple[Floats, Integers]:
        """-log2 P of every event of every text, in order, and the number of its text."""
        grams, is_event, rows = grams_of(texts)
        probability = np.full(int(is_event.sum()), 1 / (self.num_characters + 1))
        total = np.full(len(probability), float(self.num_events))
        kinds = np.full(len(probability), float(self.num_characters))
        history = np.flatnonzero(is_event) - 1
        for gram in grams:
            count, followers = self._find(gram)
            with np.errstate(invalid="ignore", divide="ignore"):
                better = (count[is_event] + kinds * probability) / (total + kinds)
            probability = np.where(total > 0, better, probability)
            total, kinds = count[history], followers[history]
        return -np.log2(probability), rows[is_event]

    def _find(self, keys: Keys) -> tuple[Floats, Floats]:
        """Count and number of followers of each n-gram; 0 for an unseen one."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        seen = self.keys[places] == keys
        return np.where(seen, self.counts[places], 0.0), np.where(seen, self.followers[places], 0.0)


def grams_of(texts: Sequence[str]) -> tuple[list[Keys], NDArray[np.bool_], Integers]:
    """Keys of the n-grams that end at each position, by length; which positions are events; the text of each.

    The positions of a text are its start, which is no event but a history, its characters and its end.
    """
    padded = "".join([f"{chr(_START) * (ORDER - 1)}{text}{chr(_END)}" for text in texts])
    codes = np.frombuffer(padded.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    sizes = np.array([len(text) + 2 for text in texts], dtype=np.int64)
    rows = np.repeat(np.arange(len(texts)), sizes)
    places = np.arange(len(rows)) + (ORDER - 2) * (rows + 1)
    is_event = np.ones(len(rows), dtype=bool)
    is_event[np.cumsum(sizes) - sizes] = False
    grams, sums = [], np.zeros(len(rows), dtype=np.uint64)
    for order in range(1, ORDER + 1):
        sums += codes[places - order + 1] * np.uint64(pow(_FACTOR, order, 1 << 64))
        mixed = (sums ^ (sums >> np.uint64(31))) * np.uint64(_MIX) + np.uint64(order)
        grams.append(((mixed ^ (mixed >> np.uint64(29))) * np.uint64(_FACTOR) >> np.uint64(32)).astype(np.uint32))
    return grams, is_event, rows
