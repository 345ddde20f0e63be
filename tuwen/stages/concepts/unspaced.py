"""Where words may begin and end in scripts without spaces, and how much of each script there is.

A run of characters is free on a side by the variety of what stands there: the number of different neighbours, in which
each edge of the text, punctuation mark and letter of a script with spaces is one of its own (accessor variety, Feng et
al. 2004, https://aclanthology.org/J04-1004/). Some neighbours say nothing, for no word ends between the two: before a
Thai vowel that follows its consonant, behind one that is written first, before a small kana or ー, behind っ, behind a
sign that stacks letters, and between two katakana, whose runs are words: part of one is an entry where it also stands
apart.

**Differs from the paper:** from hiragana or Han to katakana and back is an edge; different neighbours are counted by 64
bits of a hash, so that hundreds are too few, and two are two in 98 of 100 cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tuwen.stages.concepts.tokens import UNSPACED, Tokens
from tuwen.stages.scripts import UNSPACED_LETTERS, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYSTEMS = 512
SYLLABLES = 0
"""The system of Han, kana and others whose characters are about half a word; each block of letters is its own."""
_NO_WORD_STARTS = "ะาๅະາ" + "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー"
_NO_WORD_ENDS = "เแโใไເແໂໃໄ" + "っッ" + "\u1039\u17d2"
_KATAKANA = (0x30A1, 0x30FF)
_HAN = spans("3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF")


class Letters(NamedTuple):
    """Of each token of a chunk; what is no letter of a script without spaces has zeros.

    `systems` int64 below `SYSTEMS`; `is_han` bool; `is_free`, `is_joined` bool: the token before certainly ends, or
    certainly does not end, a word.
    """

    systems: NDArray[np.int64]
    is_han: NDArray[np.bool_]
    is_free: NDArray[np.bool_]
    is_joined: NDArray[np.bool_]


def letters_of(tokens: Tokens) -> Letters:
    """What a chunk's letters say of words."""
    unspaced = tokens.kinds == UNSPACED
    if not unspaced.any():
        nothing = np.zeros(len(unspaced), dtype=np.bool_)
        return Letters(nothing.astype(np.int64), nothing, nothing, nothing)
    points = np.frombuffer(tokens.text.encode("utf-32-le", "replace"), dtype=np.uint32)
    firsts, lasts = points[tokens.starts], points[np.maximum(tokens.ends, 1) - 1]
    systems = np.where(unspaced & _within(firsts, spans(UNSPACED_LETTERS)), firsts >> 7, SYLLABLES).astype(np.int64)
    katakana = _within(firsts, [_KATAKANA])
    before = np.roll(np.arange(len(firsts)), 1)
    both = unspaced & unspaced[before]
    both[0] = False
    joined = both & katakana & katakana[before]
    joined |= both & np.isin(firsts, [ord(letter) for letter in _NO_WORD_STARTS])
    joined |= both & np.isin(lasts[before], [ord(letter) for letter in _NO_WORD_ENDS])
    free = ~both | (katakana != katakana[before])
    return Letters(systems, unspaced & _within(firsts, _HAN), free & ~joined, joined)


class Neighbours:
    """What stands left and right of runs of characters, 44 bytes a run. The order of texts makes no difference."""

    def __init__(self, num_runs: int) -> None:
        self._bits = np.zeros((2, num_runs), dtype=np.uint64)
        self._edges = np.zeros((2, num_runs), dtype=np.int64)
        self.alone = np.zeros(num_runs, dtype=np.int64)
        """How often a run stood between two edges."""

    def add(
        self, numbers: NDArray[np.int64], starts: NDArray[np.int64], length: int, tokens: Tokens, letters: Letters
    ) -> None:
        """Look at runs by their numbers, at the places of their first tokens."""
        edges = []
        for side, neighbour, cut in ((0, starts - 1, starts), (1, starts + length, starts + length)):
            edge = letters.is_free[cut]
            inside = ~edge & ~letters.is_joined[cut]
            np.add.at(self._edges[side], numbers[edge], 1)
            bits = np.uint64(1) << (tokens.keys[neighbour[inside]] >> np.uint64(58))
            np.bitwise_or.at(self._bits[side], numbers[inside], bits)
            edges.append(edge)
        np.add.at(self.alone, numbers[edges[0] & edges[1]], 1)

    def variety(self) -> NDArray[np.int64]:
        """Different neighbours of each run, on the side that has fewer."""
        different: NDArray[np.int64] = (np.bitwise_count(self._bits) + self._edges).min(axis=0)
        return different


def _within(points: NDArray[np.uint32], ranges: list[tuple[int, int]]) -> NDArray[np.bool_]:
    found = np.zeros(len(points), dtype=np.bool_)
    for first, last in ranges:
        found |= (points >= first) & (points <= last)
    return found
