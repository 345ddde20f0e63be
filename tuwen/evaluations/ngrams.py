"""Counts of n-grams that captions share, from which BLEU, chrF and CIDEr are made."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Grams = Counter[tuple[str, ...]]
_WORD = re.compile(r"\w+|[^\w\s]")
_HAN = re.compile(r"([\u3400-\u9fff])")


def words_of(text: str) -> list[str]:
    """Words and marks in small letters; each Chinese character is a word."""
    return _WORD.findall(_HAN.sub(r" \1 ", unicodedata.normalize("NFKC", text).lower()))


def grams_of(tokens: Sequence[str], n: int) -> Grams:
    """How often each n-gram occurs."""
    return Counter(tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1))


def shared(told: Grams, true: Grams) -> int:
    """How many n-grams both have, each at most as often as the one that has it less often."""
    return (told & true).total()


def counts(told: Sequence[str], true: Sequence[str], most: int) -> NDArray[np.int64]:
    """For n from 1 to `most`: shared n-grams, those of `told`, those of `true`, (most, 3)."""
    found = []
    for n in range(1, most + 1):
        one, two = grams_of(told, n), grams_of(true, n)
        found.append((shared(one, two), one.total(), two.total()))
    return np.array(found, np.int64)


def bleu(counts_N43: NDArray[np.int64]) -> float:
    """BLEU-4 of a corpus with one reference each, 0 to 1, without smoothing. `counts_N43`: of words.

    Papineni et al. 2002, https://aclanthology.org/P02-1040.
    """
    total = counts_N43.sum(0)
    right, told, true = total[:, 0], total[:, 1], float(total[0, 2])
    if not right.all():
        return 0.0
    short = min(0.0, 1 - true / told[0])
    return float(math.exp(short + np.log(right / told).mean()))


def chrf(counts_N63: NDArray[np.int64], beta: float = 2.0) -> float:
    """chrF2 of a corpus with one reference each, 0 to 1. `counts_N63`: of characters without spaces.

    F of the precision and the recall that are averaged over those n of which there are n-grams on both sides. Popović
    2015, https://aclanthology.org/W15-3049.
    """
    right, told, true = counts_N63.sum(0).T
    there = (told > 0) & (true > 0)
    if not there.any():
        return 0.0
    precision, recall = (float((right[there] / each[there]).mean()) for each in (told, true))
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / below if below else 0.0


def cider(told: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """CIDEr-D of each caption (N,), 0 to 10, with one reference each: the cosine of n-grams' weights, n from 1 to 4,
    where a gram that many references have weighs little, and other lengths cost.

    Vedantam et al. 2015, https://arxiv.org/abs/1411.5726; σ = 6.
    """
    number, scores = len(true), np.zeros(len(true))
    for n in range(1, 5):
        references = [grams_of(each, n) for each in true]
        documents = Counter(gram for each in references for gram in each)

        def weight(gram: tuple[str, ...], times: int, documents: Counter[tuple[str, ...]] = documents) -> float:
            return times * math.log(number / max(1, documents[gram]))

        for row, reference in enumerate(references):
            candidate = grams_of(told[row], n)
            one, two = ({gram: weight(gram, times) for gram, times in each.items()} for each in (candidate, reference))
            both = sum(min(one[gram], two[gram]) * two[gram] for gram in one.keys() & two.keys())
            lengths = math.sqrt(sum(w * w for w in one.values()) * sum(w * w for w in two.values()))
            apart = len(told[row]) - len(true[row])
            if lengths:
                scores[row] += both / lengths * math.exp(-(apart**2) / 72) / 4
    return 10 * scores
