"""Lists of entries made from the corpus itself.

`unigrams`  words that occur `min_count` times, with at least two letters
`bigrams`   two words in a row, as often, whose pointwise mutual information is `min_pmi` bits or more: they stand
            together 2^min_pmi times as often as chance would have it
`titles`    the titles of pages, up to the first bar, dash or dot that parts them from the site's name, of at most
            `TITLE_TOKENS` tokens

Scripts without spaces have no words to count. There, runs of 2 to `MOST_SYLLABLES` characters (Han, kana) or to
`MOST_LETTERS` (Thai and others) take the place of both: as often, with that information across their weakest cut, and
free on both sides: `LEAST_VARIETY` different neighbours or more (`tuwen/stages/concepts/unspaced.py`), and no single
character follows, or precedes, in more than `MOST_BOUND` of the cases. So 图形用 falls, which 户 always follows, and
图形用户 stays. A run that stands alone between edges as often, and in more than the rest of the cases, needs no
information; so may one Han character be an entry. Cohesion and branching: Jin & Tanaka-Ishii 2006,
https://aclanthology.org/P06-2056/

Of such a script a corpus may hold little. Below `LITTLE` characters the least count falls in proportion, to 2, and the
least information with the logarithm: runs that begin at every tenth character have log2(10) bits at most.

Memory is bounded: a first scan counts n-grams into a table of hashes, which never counts too low; a second counts
exactly those that may be frequent enough; a third, where there are scripts without spaces, looks at their neighbours; a
last one chooses and finds how they are written. Where more than `MOST_CANDIDATES` cells are frequent enough, the least
count rises until they are not. Nothing depends on the order of rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tuwen.stages.concepts.tokens import BASE, SYMBOL, UNSPACED, WORD, Tokens, tokens_of
from tuwen.stages.concepts.unspaced import SYLLABLES, SYSTEMS, Letters, Neighbours, letters_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

CELLS = 1 << 22  # of 4 bytes
MOST_CANDIDATES = 1 << 20
MOST_SYLLABLES, MOST_LETTERS = 6, 9
MOST_BOUND = 0.8
LEAST_VARIETY = 2
LITTLE = 20_000
LETTER_PMI = 0.7
"""Of the least information, for letters: one has 4 to 5 bits at most, two words of 5 letters in a row 2.3 by chance."""
TITLE_TOKENS = 6
MOST_TITLES = 1 << 20
_PARTS = re.compile(r"\s+[|–—·•»:-]\s+|\s*[|｜]\s*|\s[—–-]{1,2}\s")
_BUFFER = 1 << 20


class Grams(NamedTuple):
    """n-grams of one length in a chunk: their keys, and the places of their first tokens. `unspaced`: of characters."""

    keys: NDArray[np.uint64]
    places: NDArray[np.int64]
    length: int
    unspaced: bool


class Chunk(NamedTuple):
    """Tokens of some texts, and what their letters say."""

    tokens: Tokens
    letters: Letters


class Counted(NamedTuple):
    """What is frequent; of each of `Letters.systems` the number of letters, and how often its runs have to occur."""

    counts: Counts
    num_tokens: int
    least: int
    num_letters: NDArray[np.int64]
    least_runs: NDArray[np.int64]

    def least_of(self, chunk: Chunk, grams: Grams) -> NDArray[np.int64]:
        """How often each has to occur."""
        if grams.unspaced:
            return self.least_runs[chunk.letters.systems[grams.places]]
        return np.full(len(grams.places), self.least, dtype=np.int64)


class Standing(NamedTuple):
    """Of each counted n-gram: whether it is part of a longer word, and whether it often stands alone."""

    is_bound: NDArray[np.bool_]
    is_alone: NDArray[np.bool_]


class Counts:
    """Exact counts of keys, 16 bytes each."""

    def __init__(self) -> None:
        self.keys = np.zeros(0, dtype=np.uint64)
        self.counts = np.zeros(0, dtype=np.int64)
        self._waiting: list[NDArray[np.uint64]] = []
        self._num_waiting = 0

    def add(self, keys: NDArray[np.uint64]) -> None:
        """Count some more."""
        self._waiting.append(keys)
        self._num_waiting += len(keys)
        if self._num_waiting > _BUFFER:
            self.settle()

    def settle(self) -> None:
        """Sum up what was added."""
        new = np.sort(np.concatenate([np.zeros(0, dtype=np.uint64), *self._waiting]))
        keys = np.concatenate([self.keys, new])
        counts = np.concatenate([self.counts, np.ones(len(new), dtype=np.int64)])
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, dtype=np.int64)
        self.keys = keys[firsts]
        self.counts = np.add.reduceat(counts, firsts) if len(keys) else counts
        self._waiting, self._num_waiting = [], 0

    def of(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Counts of keys; 0 for one that was not counted."""
        places, is_counted = self.places(keys)
        found = np.zeros(len(keys), dtype=np.int64)
        found[is_counted] = self.counts[places[is_counted]]
        return found

    def places(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where keys stand among those counted, and which of them do."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return places, self.keys[places] == keys


def build_entries(
    corpus: Corpus, builders: Collection[str], min_count: int, min_pmi: float, *, fold_chinese: bool = False
) -> list[str]:
    """Entries, ascending."""
    found: set[str] = set()
    if "titles" in builders:
        found |= _titles(corpus, fold_chinese)
    if {"unigrams", "bigrams"} & set(builders):
        counted = _counted(corpus, min_count, fold_chinese)
        found |= _chosen(corpus, builders, counted, min_pmi, fold_chinese)
    return sorted(found)


def _chunks(corpus: Corpus, fold_chinese: bool) -> Iterator[Chunk]:
    for batch in corpus.scan("pairs", ["text"]):
        for tokens in tokens_of(batch["text"].to_pylist(), fold_chinese=fold_chinese):
            yield Chunk(tokens, letters_of(tokens))


def _grams(chunk: Chunk) -> Iterator[Grams]:
    """n-grams of words (1, 2) and of characters without spaces between them, of one more than an entry may have."""
    tokens, letters = chunk
    kinds = tokens.kinds
    for kind, most in ((WORD, 2), (UNSPACED, MOST_LETTERS + 1)):
        places = np.flatnonzero(kinds == kind)
        keys = tokens.keys[places]
        for length in range(1, most + 1):
            if length > 1:
                following = np.minimum(places + length - 1, len(kinds) - 1)  # the last token is END
                inside = kinds[following] == kind
                if length > MOST_SYLLABLES + 1:
                    inside &= letters.systems[places] != SYLLABLES
                places, following = places[inside], following[inside]
                keys = keys[inside] + tokens.keys[following] * np.uint64(pow(BASE, length - 1, 1 << 64))
            yield Grams(keys, places, length, kind == UNSPACED)


def _counted(corpus: Corpus, min_count: int, fold_chinese: bool) -> Counted:
    """Exact counts of all n-grams that may be frequent enough."""
    cells = np.zeros(CELLS, dtype=np.uint32)
    num_tokens = 0
    num_letters = np.zeros(SYSTEMS, dtype=np.int64)
    for chunk in _chunks(corpus, fold_chinese):
        for grams in _grams(chunk):
            np.add.at(cells, grams.keys & np.uint64(CELLS - 1), 1)
            if grams.length == 1:
                num_tokens += len(grams.keys)
            if grams.length == 1 and grams.unspaced:
                num_letters += np.bincount(chunk.letters.systems[grams.places], minlength=SYSTEMS)
    least = min_count
    while np.count_nonzero(cells >= least) > MOST_CANDIDATES:
        least += max(1, least // 10)
    scaled = np.maximum(min(2, min_count), -(-num_letters * min_count // LITTLE))
    counted = Counted(Counts(), num_tokens, least, num_letters, np.where(num_letters < LITTLE, scaled, least))
    for chunk in _chunks(corpus, fold_chinese):
        for grams in _grams(chunk):
            enough = np.maximum(1, (counted.least_of(chunk, grams) * MOST_BOUND).astype(np.int64))
            counted.counts.add(grams.keys[cells[grams.keys & np.uint64(CELLS - 1)] >= enough])
    counted.counts.settle()
    return counted


def _chosen(
    corpus: Corpus, builders: Collection[str], counted: Counted, min_pmi: float, fold_chinese: bool
) -> set[str]:
    """How the n-grams are written that are frequent, cohesive and free."""
    standing = _standing(corpus, counted, fold_chinese)
    is_done = standing.is_bound.copy()
    chosen: set[str] = set()
    for chunk in _chunks(corpus, fold_chinese):
        for grams in _grams(chunk):
            grams = _new(chunk, _asked_for(chunk, grams, builders), counted, is_done)
            cohesive = _is_cohesive(chunk, grams, counted, min_pmi)
            if grams.unspaced:
                cohesive |= standing.is_alone[counted.counts.places(grams.keys)[0]]
            grams = grams._replace(keys=grams.keys[cohesive], places=grams.places[cohesive])
            written = _written(chunk.tokens, grams)
            chosen.update(entry for entry in written if (grams.unspaced and len(entry) == 1) or _is_word(entry))
    return chosen


def _standing(corpus: Corpus, counted: Counted, fold_chinese: bool) -> Standing:
    """How the counted n-grams of scripts without spaces stand in the texts; of others, neither."""
    counts = counted.counts
    unspaced, bound = np.zeros((2, len(counts.keys)), dtype=np.bool_)
    least = np.zeros(len(counts.keys), dtype=np.int64)
    neighbours = Neighbours(len(counts.keys))
    for chunk in _chunks(corpus, fold_chinese) if counted.num_letters.any() else ():
        for grams in _grams(chunk):
            if not grams.unspaced:
                continue
            numbers, is_counted = counts.places(grams.keys)  # what was not counted is never chosen
            numbers, grams = numbers[is_counted], Grams(grams.keys[is_counted], grams.places[is_counted], *grams[2:])
            neighbours.add(numbers, grams.places, grams.length, chunk.tokens, chunk.letters)
            unspaced[numbers] = True
            least[numbers] = counted.least_of(chunk, grams)
            if grams.length > 2:
                bound[_bound(chunk.tokens, grams, counts)] = True
    is_alone = unspaced & (neighbours.alone >= np.maximum(least, (1 - MOST_BOUND) * counts.counts))
    lacking = neighbours.variety() < np.minimum(LEAST_VARIETY, counts.counts)  # what occurs once has one at most
    return Standing(bound | unspaced & lacking, is_alone)


def _new(chunk: Chunk, grams: Grams, counted: Counted, is_done: NDArray[np.bool_]) -> Grams:
    """Those that are frequent and not done yet, which they are now."""
    numbers, is_new = counted.counts.places(grams.keys)
    is_new &= counted.counts.of(grams.keys) >= counted.least_of(chunk, grams)
    is_new[is_new] = ~is_done[numbers[is_new]]
    is_done[numbers[is_new]] = True
    return grams._replace(keys=grams.keys[is_new], places=grams.places[is_new])


def _bound(tokens: Tokens, grams: Grams, counts: Counts) -> NDArray[np.int64]:
    """Numbers of the n-grams that these, one longer, almost always hold."""
    keys, firsts = np.unique(grams.keys, return_index=True)
    places, together = grams.places[firsts], counts.of(keys)
    found = []
    for start in (0, 1):
        numbers, is_counted = counts.places(_key_at(tokens, places + start, grams.length - 1))
        numbers = numbers[is_counted]
        found.append(numbers[together[is_counted] > MOST_BOUND * counts.counts[numbers]])
    return np.concatenate(found)


def _asked_for(chunk: Chunk, grams: Grams, builders: Collection[str]) -> Grams:
    """Those that may become entries, each once."""
    keys, firsts = np.unique(grams.keys, return_index=True)
    places, letters = grams.places[firsts], chunk.letters
    if not grams.unspaced:
        asked = np.full(len(keys), ("unigrams", "bigrams")[grams.length - 1] in builders)
    elif grams.length == 1:
        asked = letters.is_han[places]
    else:
        asked = np.where(letters.systems[places] == SYLLABLES, MOST_SYLLABLES, MOST_LETTERS) >= grams.length
    return grams._replace(keys=keys[asked], places=places[asked])


def _is_cohesive(chunk: Chunk, grams: Grams, counted: Counted, min_pmi: float) -> NDArray[np.bool_]:
    """Whether the weakest cut of each n-gram has information enough."""
    if grams.length == 1:
        return np.full(len(grams.places), not grams.unspaced)
    if not grams.unspaced:
        return _pmi(chunk.tokens, grams, counted.counts, counted.num_tokens) >= min_pmi
    systems = chunk.letters.systems[grams.places]
    num_letters = counted.num_letters[systems]
    share = np.minimum(np.log2(num_letters) / np.log2(LITTLE), np.where(systems == SYLLABLES, 1.0, LETTER_PMI))
    is_cohesive: NDArray[np.bool_] = _pmi(chunk.tokens, grams, counted.counts, num_letters) >= share * min_pmi
    return is_cohesive


def _pmi(tokens: Tokens, grams: Grams, counts: Counts, total: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Pointwise mutual information in bits across the weakest cut of n-grams."""
    places, length = grams.places, grams.length
    whole = np.log2(np.maximum(1, counts.of(grams.keys)) * np.maximum(1.0, total))
    weakest = np.full(len(places), np.inf)
    for cut in range(1, length):
        left = counts.of(_key_at(tokens, places, cut))
        right = counts.of(_key_at(tokens, places + cut, length - cut))
        weakest = np.minimum(weakest, whole - np.log2(np.maximum(1, left)) - np.log2(np.maximum(1, right)))
    return weakest


def _key_at(tokens: Tokens, places: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    keys = np.zeros(len(places), dtype=np.uint64)
    for step in range(length):
        keys += tokens.keys[places + step] * np.uint64(pow(BASE, step, 1 << 64))
    return keys


def _written(tokens: Tokens, grams: Grams) -> Iterator[str]:
    between = "" if grams.unspaced else " "
    for place in grams.places.tolist():
        spans = range(place, place + grams.length)
        yield between.join(tokens.text[tokens.starts[number] : tokens.ends[number]] for number in spans)


def _is_word(entry: str) -> bool:
    return sum(character.isalpha() for character in entry) >= 2


def _titles(corpus: Corpus, fold_chinese: bool) -> set[str]:
    """Beginnings of titles; of too many, those with the smallest keys."""
    found: dict[int, str] = {}
    for batch in corpus.scan("documents", ["title"]):
        titles = [
            _PARTS.split(" ".join((title or "").split()), maxsplit=1)[0].strip() for title in batch["title"].to_pylist()
        ]
        for tokens in tokens_of(titles, fold_chinese=fold_chinese):
            kinds = tokens.kinds
            ends = np.flatnonzero(tokens.rows[1:] != tokens.rows[:-1]) + 1
            for start, end in zip([0, *ends.tolist()], [*ends.tolist(), len(kinds)], strict=True):
                title = titles[int(tokens.rows[start])]
                if 1 < end - start <= TITLE_TOKENS + 1 and (kinds[start : end - 1] != SYMBOL).any() and _is_word(title):
                    key = int(_key_at(tokens, np.array([start]), end - start - 1)[0])
                    found[key] = min(title, found.get(key, title))
        if len(found) > 2 * MOST_TITLES:
            found = dict(sorted(found.items())[:MOST_TITLES])
    return {title for _, title in sorted(found.items())[:MOST_TITLES]}
