"""The character model against its formula, written plainly."""

from __future__ import annotations

import math
from collections import Counter

import pyarrow as pa
import pytest

from tuwen.models.characters import ORDER, CharacterModel, normal

TEXTS = ["the cat sat", "the hat", "a cat", "图文语料", "图文", ""]


def plainly(train: list[str], text: str) -> list[float]:
    """-log2 P of each event, by the definition."""
    grams: Counter[str] = Counter()
    followers: dict[str, set[str]] = {}
    events = 0
    for one in train:
        padded = "^" * (ORDER - 1) + one + "$"
        for place in range(ORDER - 1, len(padded)):
            events += 1
            for size in range(ORDER):
                history = padded[place - size : place]
                grams[history + padded[place]] += 1
                followers.setdefault(history, set()).add(padded[place])
    bits = []
    padded = "^" * (ORDER - 1) + text + "$"
    for place in range(ORDER - 1, len(padded)):
        p = 1 / (len(followers[""]) + 1)
        for size in range(ORDER):
            history = padded[place - size : place]
            kinds = len(followers.get(history, ()))
            total = sum(grams[history + character] for character in followers.get(history, ()))
            if total:
                p = (grams[history + padded[place]] + kinds * p) / (total + kinds)
        bits.append(-math.log2(p))
    return bits


@pytest.mark.parametrize("text", ["the cat", "a hat", "zzz", "图文", "", "cat 图", "the cat sat"])
def test_formula(text: str) -> None:
    bits, rows = CharacterModel.of(TEXTS).bits(["x", text, "yy"])
    assert bits[rows == 1].tolist() == pytest.approx(plainly(TEXTS, text))


def test_probabilities_sum_to_one() -> None:
    model = CharacterModel.of(TEXTS)
    characters = [*sorted(set("".join(TEXTS))), "\u2603"]
    for history in ("", "t", "the ", "图", "q"):
        bits, rows = model.bits([history + character for character in characters])
        at = [float(bits[rows == row][len(history)]) for row in range(len(characters))]
        ending, _ = model.bits([history])
        assert sum(2**-value for value in (*at, float(ending[-1]))) == pytest.approx(1)


def test_order_of_texts_does_not_matter() -> None:
    first, second = CharacterModel.of(TEXTS), CharacterModel.of(TEXTS[::-1])
    assert (first.keys == second.keys).all() and (first.followers == second.followers).all()
    assert (first.counts == second.counts).all()


def test_normal() -> None:
    texts = pa.array(["  Ａ\tB\x00 c 12３ ", None, "x" * 9])
    assert normal(texts, 8).to_pylist() == ["a b c 00", None, "x" * 8]
