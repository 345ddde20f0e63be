"""Texts as 64-bit token keys, whole batches at once: what concept matching compares.

A text is normalised (NFKC and full case folding, zero-width and other format characters and variation selectors taken
out, typographic apostrophes made plain, ™ dropped) and cut into tokens:

- a run of letters, digits and their marks in scripts that put spaces between words,
- one letter or digit, with its marks, in scripts that put none: Han, kana, Thai, Lao, Khmer, Burmese and others,
- one punctuation mark or symbol.

White space, hyphens, dashes and underscores separate and are no tokens; a separator between two letters of scripts
without spaces is one, so that 图 文 is not 图文. An entry occurs in a text where its tokens stand in a row.

A key is a polynomial over random numbers drawn for each character. Two different texts share one with a probability of
2^-64: among 500,000 entries, the ten billion tokens of a billion captions meet a wrong one with 0.03 %.

Normal forms: https://unicode.org/reports/tr15/
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tuwen.errors import missing_extra
from tuwen.stages.scripts import UNSPACED_LETTERS, UNSPACED_SYLLABLES, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CHARACTERS = 1 << 20
"""Of a text that take part, as it is given and normalised."""
CHUNK_CHARACTERS = 1 << 17  # of a step, whose arrays then stay in the processor's cache
LONG_CHARACTERS = MAX_CHARACTERS // 18  # NFKC makes 18 of one at most; texts that may reach the cap are chunks alone
END = "\0"  # between texts; as a token it is in no entry, so that nothing matches across it
SEPARATOR, WORD, UNSPACED, SYMBOL, MARK = range(5)
CATEGORIES = {"L": WORD, "N": WORD, "M": MARK, "Z": SEPARATOR, "Cc": SEPARATOR, "Pd": SEPARATOR, "Pc": SEPARATOR}
POINTS = 0x110000
ASSIGNED = (range(0x33480), range(0xE0000, 0xE0200))  # planes beyond hold private characters, which are symbols
BASE = 0x9E3779B97F4A7C15 | 1
INVERSE = pow(BASE, -1, 1 << 64)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # of SplitMix64
_29, _32 = np.uint64(29), np.uint64(32)


class Tokens(NamedTuple):
    """Tokens of a chunk of texts, in order, with a token `END` after each text.

    `keys` uint64, `rows` int64: number of the text; `kinds` uint8: WORD, UNSPACED, SYMBOL, or SEPARATOR for the gap
    between two letters of scripts without spaces; `starts`, `ends` int64: where in `text`, the normalised chunk.
    """

    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    text: str


def tokens_of(texts: Sequence[str | None], *, fold_chinese: bool = False) -> Iterator[Tokens]:
    """Tokens of texts, null as empty, in chunks of about `CHUNK_CHARACTERS`; a long text is one alone.

    Of a text, `MAX_CHARACTERS` take part. Memory: about 70 bytes for each character of a chunk. `TuwenError` where
    `fold_chinese` has no opencc.
    """
    first, size = 0, 0
    for number, text in enumerate(texts):
        is_long = len(text or "") > LONG_CHARACTERS
        if first < number and (is_long or size >= CHUNK_CHARACTERS):
            yield _tokens(texts[first:number], first, fold_chinese)
            first, size = number, 0
        size += CHUNK_CHARACTERS if is_long else len(text or "")
    if first < len(texts):
        yield _tokens(texts[first:], first, fold_chinese)


def normalized(text: str) -> str:
    """Case, compatibility and invisible characters folded."""
    if text.isascii():
        return text.lower()
    text = _ignored().sub("", text).replace("™", " ").replace("’", "'").replace("‘", "'").replace("ʼ", "'")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _tokens(texts: Sequence[str | None], first_row: int, fold_chinese: bool) -> Tokens:
    joined = END.join([(text or "")[:MAX_CHARACTERS] for text in texts]) + END
    if joined.count(END) != len(texts):
        joined = "".join((text or "")[:MAX_CHARACTERS].replace(END, " ") + END for text in texts)
    text = normalized(joined)
    if len(text) > MAX_CHARACTERS and len(texts) == 1:
        text = text[:MAX_CHARACTERS] + END
    points = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    if fold_chinese and not text.isascii():
        points = _simplified()[points]
        text = points.tobytes().decode("utf-32-le")
    kinds = _classes()[points]
    starts, ends = _spans(kinds)
    rows = np.cumsum(points[starts] == 0) + first_row
    rows -= points[starts] == 0  # END belongs to the text before it
    return Tokens(_keys(points, starts, ends), rows, kinds[starts], starts, ends, text)


def _spans(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where tokens start and end, from the kind of each character."""
    marks = np.flatnonzero(kinds == MARK)
    if len(marks):  # a mark belongs to the character before it; one that has none is no token
        bases = np.where(kinds == MARK, -1, np.arange(len(kinds)))
        bases = np.maximum.accumulate(bases)
        kinds = np.where(bases >= 0, kinds[bases], SEPARATOR).astype(np.uint8)
    is_start = kinds != SEPARATOR
    is_start[1:] &= (kinds[1:] != WORD) | (kinds[:-1] != WORD)
    is_start[marks] = False
    is_edge = is_start | (kinds == SEPARATOR)
    if (kinds == UNSPACED).any():
        gaps = _gaps(kinds, is_start)
        is_start[gaps] = True
    edges = np.flatnonzero(is_edge)
    numbers = np.flatnonzero(is_start[edges])
    behind = np.append(edges, len(kinds))
    return edges[numbers], behind[numbers + 1]


def _gaps(kinds: NDArray[np.uint8], is_start: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First separators of the runs that stand between two letters of scripts without spaces."""
    firsts = np.flatnonzero((kinds[1:] == SEPARATOR) & (kinds[:-1] == UNSPACED)) + 1
    starts = np.flatnonzero(is_start)
    following = starts[np.searchsorted(starts, firsts)]  # there is one: the chunk ends with END
    found: NDArray[np.int64] = firsts[kinds[following] == UNSPACED]
    return found


def _keys(points: NDArray[np.uint32], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    powers, inverses = _powers(max(CHUNK_CHARACTERS * 2, 1 << len(points).bit_length()))
    sums = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum(_numbers()[points] * powers[: len(points)], out=sums[1:])
    keys: NDArray[np.uint64] = (sums[ends] - sums[starts]) * inverses[starts]
    return _mixed(keys)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> _29)) * _FIRST
    values = (values ^ (values >> _32)) * _SECOND
    return values ^ (values >> _29)


@lru_cache(maxsize=1)
def _powers(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of BASE and of its inverse modulo 2^64."""
    found = []
    for base in (BASE, INVERSE):
        factors = np.full(size, base, dtype=np.uint64)
        factors[0] = 1
        found.append(np.cumprod(factors))
    return found[0], found[1]


@cache
def _numbers() -> NDArray[np.uint64]:
    """Code point → random number; all separators are one, whichever a gap happened to be."""
    numbers = _mixed((np.arange(POINTS, dtype=np.uint64) + np.uint64(1)) * np.uint64(BASE))
    numbers[_classes() == SEPARATOR] = numbers[ord(" ")]
    return numbers


@cache
def _classes() -> NDArray[np.uint8]:
    """Code point → SEPARATOR, WORD, UNSPACED, SYMBOL or MARK."""
    table = np.full(POINTS, SYMBOL, dtype=np.uint8)
    for points in ASSIGNED:
        for point in points:
            category = unicodedata.category(chr(point))
            table[point] = CATEGORIES.get(category, CATEGORIES.get(category[0], SYMBOL))
    for first, last in spans(f"{UNSPACED_SYLLABLES} {UNSPACED_LETTERS}"):
        part = table[first : last + 1]
        part[part == WORD] = UNSPACED
    table[ord(END)] = SYMBOL
    return table


@cache
def _ignored() -> re.Pattern[str]:
    """Format characters (zero-width ones, soft hyphens, marks of direction), variation selectors, U+034F."""
    format_characters = [chr(p) for points in ASSIGNED for p in points if unicodedata.category(chr(p)) == "Cf"]
    return re.compile(f"[{''.join(format_characters)}\u034f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@cache
def _simplified() -> NDArray[np.uint32]:
    """Code point → code point of the simplified character, each by itself so that no context changes a match."""
    try:
        import opencc
    except ImportError as error:
        raise missing_extra("chinese", "opencc") from error
    table = np.arange(POINTS, dtype=np.uint32)
    han = [chr(point) for span in (range(0x3400, 0xA000), range(0x20000, 0x323B0)) for point in span]
    folded = opencc.OpenCC("t2s").convert("\n".join(han)).split("\n")
    for character, simplified in zip(han, folded, strict=True):
        if len(simplified) == 1:
            table[ord(character)] = ord(simplified)
    return table
