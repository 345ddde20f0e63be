"""Lists of entries made from the corpus itself.

`unigrams`  words that occur `min_count` times, with at least two letters
`bigrams`   two words in a row, as often, whose pointwise mutual information is `min_pmi` bits or more: they stand
            together 2^min_pmi times as often as chance would have it
`titles`    the titles of pages, up to the first bar, dash or dot that parts them from the site's name, of at most
            `TITLE_TOKENS` tokens

Scripts without spaces have no words to count. There, runs of 2 to `MOST_UNSPACED` characters take the place of both: as
often, with that information across their weakest cut, and free on both sides: no single character follows, or precedes,
in more than `MOST_BOUND` of the cases (the min-entropy of the branches). So 图形用 falls, which 户 always follows, and
图形用户 stays. Cohesion and branching entropy: Jin & Tanaka-Ishii 2006, https://aclanthology.org/P06-2056/

Memory is bounded: a first scan counts n-grams into a table of hashes, which never counts too low; a second counts
exactly those that may be frequent enough; a third chooses and finds how they are written. Where more than
`MOST_CANDIDATES` cells are frequent enough, the least count rises until they are not. Nothing depends on the order of
rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tuwen.stages.concepts.tokens import BASE, SYMBOL, UNSPACED, WORD, Tokens, tokens_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

CELLS = 1 << 22  # of 4 bytes
MOST_CANDIDATES = 1 << 20
MOST_UNSPACED = 6
MOST_BOUND = 0.8
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
        counts, num_tokens, least = _counted(corpus, min_count, fold_chinese)
        found |= _chosen(corpus, builders, counts, num_tokens, least, min_pmi, fold_chinese)
    return sorted(found)


def _chunks(corpus: Corpus, fold_chinese: bool) -> Iterator[Tokens]:
    for batch in corpus.scan("pairs", ["text"]):
        yield from tokens_of(batch["text"].to_pylist(), fold_chinese=fold_chinese)


def _grams(tokens: Tokens) -> Iterator[Grams]:
    """n-grams of words (1, 2) and of characters without spaces between them (1 to MOST_UNSPACED + 1)."""
    kinds = tokens.kinds
    for kind, most in ((WORD, 2), (UNSPACED, MOST_UNSPACED + 1)):
        places = np.flatnonzero(kinds == kind)
        keys = tokens.keys[places]
        for length in range(1, most + 1):
            if length > 1:
                following = np.minimum(places + length - 1, len(kinds) - 1)  # the last token is END
                inside = kinds[following] == kind
                places, following = places[inside], following[inside]
                keys = keys[inside] + tokens.keys[following] * np.uint64(pow(BASE, length - 1, 1 << 64))
            yield Grams(keys, places, length, kind == UNSPACED)


def _counted(corpus: Corpus, min_count: int, fold_chinese: bool) -> tuple[Counts, int, int]:
    """Counts of all n-grams that may occur `least` times, the number of tokens, and that least count."""
    cells = np.zeros(CELLS, dtype=np.uint32)
    num_tokens = 0
    for tokens in _chunks(corpus, fold_chinese):
        for grams in _grams(tokens):
            np.add.at(cells, grams.keys & np.uint64(CELLS - 1), 1)
            num_tokens += len(grams.keys) if grams.length == 1 else 0
    least = min_count
    while np.count_nonzero(cells >= least) > MOST_CANDIDATES:
        least += max(1, least // 10)
    counts = Counts()
    for tokens in _chunks(corpus, fold_chinese):
        for grams in _grams(tokens):
            counts.add(grams.keys[cells[grams.keys & np.uint64(CELLS - 1)] >= max(1, int(least * MOST_BOUND))])
    counts.settle()
    return counts, num_tokens, least


def _chosen(
    corpus: Corpus,
    builders: Collection[str],
    counts: Counts,
    num_tokens: int,
    least: int,
    min_pmi: float,
    fold_chinese: bool,
) -> set[str]:
    """How the n-grams are written that are frequent, cohesive and free."""
    chosen: dict[int, str] = {}
    seen, bound = np.zeros((2, len(counts.keys)), dtype=np.bool_)  # what was not counted is never chosen
    for tokens in _chunks(corpus, fold_chinese):
        for grams in _grams(tokens):
            keys, firsts = np.unique(grams.keys, return_index=True)
            places, together = grams.places[firsts], counts.of(keys)
            if grams.unspaced and grams.length > 2:
                for start in (0, 1):
                    inner = _key_at(tokens, places + start, grams.length - 1)
                    is_bound = together > MOST_BOUND * np.maximum(1, counts.of(inner))
                    within, is_counted = counts.places(inner)
                    bound[within[is_bound & is_counted & (together > 0)]] = True
            if _is_asked_for(grams, builders):
                keys, places = keys[together >= least], places[together >= least]
                within, _ = counts.places(keys)
                new = ~seen[within]
                keys, places = keys[new], places[new]
                seen[within] = True
                if grams.length > 1:
                    cohesive = _pmi(tokens, places, grams.length, counts, num_tokens) >= min_pmi
                    keys, places = keys[cohesive], places[cohesive]
                chosen.update(zip(keys.tolist(), _written(tokens, places, grams), strict=True))
    free = chosen.keys() - set(counts.keys[bound].tolist())
    return {chosen[key] for key in free if _is_word(chosen[key])}


def _is_asked_for(grams: Grams, builders: Collection[str]) -> bool:
    if grams.unspaced:
        return 2 <= grams.length <= MOST_UNSPACED
    return ("unigrams", "bigrams")[grams.length - 1] in builders


def _pmi(
    tokens: Tokens, places: NDArray[np.int64], length: int, counts: Counts, num_tokens: int
) -> NDArray[np.float64]:
    """Pointwise mutual information in bits across the weakest cut of the n-grams at these places."""
    whole = np.log2(np.maximum(1, counts.of(_key_at(tokens, places, length))) * float(max(1, num_tokens)))
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


def _written(tokens: Tokens, places: NDArray[np.int64], grams: Grams) -> Iterator[str]:
    between = "" if grams.unspaced else " "
    for place in places.tolist():
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
