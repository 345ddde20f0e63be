"""BLEU, chrF and CIDEr on examples that can be counted on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tuwen.evaluations.caption_similarity import CaptionSimilarity
from tuwen.evaluations.ngrams import cider, words_of
from tuwen.models.columns import Columns


class Captioner:
    """Says what it is told to."""

    def __init__(self, *captions: str) -> None:
        self._captions = list(captions)

    def captions(self, images: Any, *, tokens: int) -> list[str]:
        return self._captions


def scored(measure: str, told: list[str], true: list[str]) -> float:
    test = Columns(image=np.zeros((len(true), 8, 8, 3), np.uint8), text=true)
    part = CaptionSimilarity(measure=measure)  # type: ignore[arg-type]
    return part.statistic(part.items(Captioner(*told), test, test), np.arange(len(true)))


def test_bleu_by_hand() -> None:
    """the the cat sat on it | the cat sat on the mat: 5 of 6 words (both "the" are there), 3 of 5 pairs, 2 of 4
    triples, 1 of 3 fours; equal lengths."""
    found = scored("bleu", ["The the cat sat on it"], ["the cat sat on the mat"])
    assert found == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_short_captions_pay_in_bleu() -> None:
    """Four words, all right, for six: exp(1 - 6/4)."""
    assert scored("bleu", ["the cat sat on"], ["the cat sat on the mat"]) == pytest.approx(math.exp(-0.5))


def test_bleu_is_of_the_corpus() -> None:
    told, true = ["a b c d", "x"], ["a b c d", "y"]
    assert scored("bleu", told, true) == pytest.approx((4 / 5) ** 0.25)
    assert scored("bleu", ["x"], ["y"]) == 0


def test_chrf_by_hand() -> None:
    """ab c → abc | abd: 2 of 3 characters, 1 of 2 pairs, 0 of 1 triple; the same for recall."""
    assert scored("chrf", ["ab c"], ["abd"]) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_recall_counts_more_in_chrf() -> None:
    """a | abcd: precision 1 of n = 1 alone; recall 1/4: 5 · 1 · .25 / (4 · 1 + .25)."""
    assert scored("chrf", ["a"], ["abcd"]) == pytest.approx(5 * 0.25 / 4.25)
    assert scored("chrf", [""], ["abcd"]) == 0


def test_equal_captions_have_all() -> None:
    texts = ["a red circle left of a star", "two blue hearts on the grass", "一个红色圆形"]
    assert scored("bleu", texts, texts) == scored("chrf", texts, texts) == 1
    assert cider([words_of(each) for each in texts], [words_of(each) for each in texts]) == pytest.approx(10)


def test_cider_by_hand() -> None:
    """Of two references "a b" and "a c", "a" weighs nothing, "b", "c" and the pairs ln 2. Told "a b" and "c":
    the first is its reference; the second has the words' cosine 1 and no pair, a word too few, n = 3, 4 are empty."""
    found = cider([["a", "b"], ["c"]], [["a", "b"], ["a", "c"]])
    assert found == pytest.approx([10 * 2 / 4, 10 * math.exp(-1 / 72) / 4])


def test_cider_clips_what_is_said_too_often() -> None:
    """b b b for b: weights 3 and 1 (in ln 2), clipped to 1: 1 · 1 / (3 · 1); two words too many."""
    found = cider([["b", "b", "b"], ["c"]], [["b"], ["c"]])
    assert found[0] == pytest.approx(10 * (1 / 3) * math.exp(-4 / 72) / 4)


def test_words() -> None:
    assert words_of("A red-ish circle, 红色圆") == ["a", "red", "-", "ish", "circle", ",", "红", "色", "圆"]
