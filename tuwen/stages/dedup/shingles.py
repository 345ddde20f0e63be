"""Texts as sets of shingles: runs of tokens, hashed to 64 bits, for whole batches at once.

Tokens are words (runs of letters, marks and digits) in scripts that write spaces, single characters in those that do
not (Han, kana, Thai, Lao, Khmer, Burmese and others), and single symbols (emoji, +); punctuation and white space part
them. Texts are compared after NFKC (https://www.unicode.org/reports/tr15/) and case folding, digits of all scripts as
ASCII, without invisible format characters.

A shingle holds `ngram` words, or as many characters as make about so many: `2 * ngram` where the first is Han, kana or
Yi, `4 * ngram` in the others. A text too short for one has one shingle: all of it.

Everything works on one array of code points. A run of them hashes to the polynomial of its scrambled members modulo
2^64, which differences of running sums give for all runs at once; two of a billion texts get one hash with a
probability of a few percent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.stages.scripts import UNSPACED_LETTERS, UNSPACED_SYLLABLES, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CHARACTERS = 1 << 20
"""Of a text that take part."""
SLICE_CHARACTERS = 1 << 17
"""Worked on at once; a longer text alone. Some 100 bytes each."""
KNOWN_POINTS = 0x32400  # what lies above are tags and variation selectors
SEPARATOR, INVISIBLE, WORD, SYMBOL, SYLLABLE, LETTER = range(6)
TOKENS_IN_WORD = np.array([0, 0, 1, 1, 2, 4])
HAN_DIGITS = "〇一二三四五六七八九十百千"
BASE = 0x9E3779B97F4A7C15 & ~0x3 | 0x3  # 3 modulo 4: its powers take 2^61 steps to come back to 1
INVERSE = pow(BASE, -1, 1 << 64)


@dataclass(frozen=True)
class Shingled:
    """What near-duplicates are told by, row by row.

    `shingles` uint64, the set of row i at `starts[i]:starts[i + 1]`, sorted; `equal` uint64, one hash of all tokens in
    order; `numbers` uint64, one hash of all runs of digits in order, 0 where there are none.
    """

    shingles: NDArray[np.uint64]
    starts: NDArray[np.int64]
    equal: NDArray[np.uint64]
    numbers: NDArray[np.uint64]


def shingle(texts: pa.Array, ngram: int) -> Iterator[Shingled]:
    """The texts (null: as empty), slice by slice, in order."""
    strings: list[str] = []
    num_characters = 0
    for text in texts.to_pylist():
        folded = unicodedata.normalize("NFKC", (text or "")[:MAX_CHARACTERS]).casefold()[:MAX_CHARACTERS]
        if strings and num_characters + len(folded) > SLICE_CHARACTERS:
            yield _shingled(strings, ngram)
            strings, num_characters = [], 0
        strings.append(folded)
        num_characters += len(folded)
    if strings:
        yield _shingled(strings, ngram)


def _shingled(texts: Sequence[str], ngram: int) -> Shingled:
    classes, folded, digits = _tables()
    points = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    points = np.minimum(points, KNOWN_POINTS)
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    kinds = classes[points]
    if (kinds == INVISIBLE).any():
        points, rows, kinds = (values[kinds != INVISIBLE] for values in (points, rows, kinds))
    scrambled = mixed(folded[points].astype(np.uint64))
    new_row = np.concatenate([[True], rows[1:] != rows[:-1]])[: len(rows)]

    def runs(inside: NDArray[np.bool_], alone: NDArray[np.bool_]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Hash and start of each maximal run of `inside` within a row; those `alone` are runs of one."""
        before = np.concatenate([[False], (inside & ~alone)[:-1]])[: len(inside)]
        starts = np.flatnonzero(inside & (alone | new_row | ~before))
        after = np.concatenate([(inside & ~alone & ~new_row)[1:], [False]])[: len(inside)]
        ends = np.flatnonzero(inside & (alone | ~after)) + 1
        return _hashes(scrambled, starts, ends), starts

    tokens, places = runs(kinds != SEPARATOR, kinds >= SYMBOL)
    numbers, number_places = runs(digits[points], np.zeros(len(points), dtype=bool))
    every = np.arange(len(texts) + 1)
    token_starts, number_starts = (np.searchsorted(rows[found], every) for found in (places, number_places))
    shingles, starts = _sets(tokens, token_starts, ngram * TOKENS_IN_WORD[kinds[places]])
    equal = _hashes(tokens, token_starts[:-1], token_starts[1:])
    return Shingled(shingles, starts, equal, _hashes(numbers, number_starts[:-1], number_starts[1:]))


def _sets(
    tokens: NDArray[np.uint64], starts: NDArray[np.int64], spans: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Distinct shingles of each row, sorted, and where each row starts; `spans` says how long one is that starts here.

    Of shingles that would reach beyond the row one is kept, cut off, if those before it do not reach the row's end.
    """
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    first, last = np.arange(len(tokens)), starts[rows + 1]
    ends = first + spans
    before = np.concatenate([[0], ends[:-1]])[: len(ends)]
    kept = (ends <= last) | (first == starts[rows]) | (before < last)
    rows, values = rows[kept], _hashes(tokens, first[kept], np.minimum(ends, last)[kept])
    order = np.lexsort([values, rows])
    values, rows = values[order], rows[order]
    new = np.concatenate([[True], (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])])[: len(values)]
    return values[new], np.searchsorted(rows[new], np.arange(len(starts)))


def _hashes(values: NDArray[np.uint64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash of each run `values[start:end]`, the same wherever it stands; 0 for an empty one."""
    powers, inverses = _powers(1 << len(values).bit_length())
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * powers[: len(values)], out=sums[1:])
    return mixed((sums[ends] - sums[starts]) * inverses[starts])


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of 64-bit numbers that spreads every bit over all (0 stays 0).

    The finaliser of SplitMix64: Steele, Lea & Flood 2014. https://doi.org/10.1145/2660193.2660195
    """
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


@cache
def _powers(length: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base and of its inverse modulo 2^64."""
    both = np.ones((2, length + 1), dtype=np.uint64)
    both[0, 1:], both[1, 1:] = np.uint64(BASE), np.uint64(INVERSE)
    powers = np.cumprod(both, axis=1)
    return powers[0], powers[1]


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.bool_]]:
    """Code point → kind of token, the code point to hash, whether it is a digit."""
    classes = np.full(KNOWN_POINTS + 1, SEPARATOR, dtype=np.uint8)
    folded = np.arange(KNOWN_POINTS + 1, dtype=np.uint32)
    digits = np.zeros(KNOWN_POINTS + 1, dtype=bool)
    kinds = {"L": WORD, "M": WORD, "N": WORD, "S": SYMBOL}
    for point in range(KNOWN_POINTS):
        category = unicodedata.category(chr(point))
        classes[point] = INVISIBLE if category == "Cf" else kinds.get(category[0], SEPARATOR)
        if category == "Nd":
            folded[point], digits[point] = ord("0") + unicodedata.digit(chr(point)), True
    for ranges, kind in ((UNSPACED_SYLLABLES, SYLLABLE), (UNSPACED_LETTERS, LETTER)):
        for first, last in spans(ranges):
            part = classes[first : last + 1]
            part[(part == WORD) & ~digits[first : last + 1]] = kind
    digits[[ord(digit) for digit in HAN_DIGITS]] = True
    classes[0xFE00:0xFE10] = INVISIBLE  # variation selectors
    classes[KNOWN_POINTS] = INVISIBLE
    return classes, folded, digits
