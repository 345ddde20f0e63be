"""Drawings, bits and answers, of models whose answers are known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.attribute_classifier import AttributeClassifier
from tuwen.evaluations.bits_saved import BitsSaved
from tuwen.evaluations.drawn_attributes import DrawnAttributes
from tuwen.evaluations.question_answering import QuestionAnswering
from tuwen.models.columns import Columns

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


def squares(number: int, seed: int) -> Columns:
    """Half an image in one of three colours."""
    rng = np.random.default_rng(seed)
    names = [list(COLOURS)[each] for each in rng.integers(3, size=number)]
    images = np.full((number, 16, 16, 3), 255, np.uint8)
    images[:, 4:12, 4:12] = np.array([COLOURS[name] for name in names], np.uint8)[:, None, None]
    images[:, 0, 0, 0] = rng.integers(256, size=number)
    return Columns(image=images, colour=names, text=[f"a {name} square" for name in names])


class Painter:
    """Paints the colours that it is told to, whatever the text."""

    def __init__(self, *colours: str) -> None:
        self._colours = colours

    def drawings(self, texts: list[str], *, seed: int) -> Any:
        images = np.full((len(texts), 16, 16, 3), 255, np.uint8)
        images[:, 4:12, 4:12] = np.array([COLOURS[name] for name in self._colours], np.uint8)[:, None, None]
        return images


def test_drawings_are_right_where_the_classifier_sees_what_was_asked() -> None:
    train, test = squares(200, 0), squares(4, 1)
    other = {"red": "green", "green": "blue", "blue": "red"}
    drawn = [test["colour"][0], other[test["colour"][1]], test["colour"][2], other[test["colour"][3]]]
    part = DrawnAttributes(attributes=("colour",), steps=60)
    items = part.items(Painter(*drawn), train, test)
    assert items["true_colour"].all()
    assert items["colour"].tolist() == [True, False, True, False]
    assert part.statistic(items, np.array([0, 1, 2])) == pytest.approx(2 / 3)


def test_the_classifier_learns_several_attributes_and_is_the_same_each_time() -> None:
    train, test = squares(200, 0), squares(50, 2)
    labels = {"colour": train["colour"], "is_red": [str(name == "red") for name in train["colour"]]}
    one, two = (AttributeClassifier.fit(train["image"], labels, steps=60).told(test["image"]) for _ in range(2))
    assert one["colour"].tolist() == test["colour"] == two["colour"].tolist()
    assert one["is_red"].tolist() == [str(name == "red") for name in test["colour"]]


class Reader:
    """log P of codes: -6 nats for the text that belongs to the image, -8 for any other, and of answers as told."""

    network = SimpleNamespace(codebook=SimpleNamespace(num_codes=4))

    def __init__(self, right: dict[int, str]) -> None:
        self._right = right

    def log_likelihoods(self, sequences: Any, *, closed: bool) -> Any:
        assert not closed  # the end is no code
        own = [self._right[int(image.value[0, 0, 0])] == text.value for text, image in sequences]
        return np.where(own, -6.0, -8.0)


def test_bits_saved_by_hand() -> None:
    """Two nats over four codes: .5 / ln 2 bits a code."""
    images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2).repeat(3, 3)
    texts, sites = ["one", "two", "three", "four", "three"], [0, 0, 1, 2, 1]
    test = Columns(image=images, text=texts, site=sites)
    model = Reader(dict(enumerate(texts)))
    items = BitsSaved().items(model, test, test)
    assert items["saved"].tolist() == pytest.approx([0.5 / math.log(2)] * 5)
    assert items["bits"].tolist() == pytest.approx([1.5 / math.log(2)] * 5)
    within = BitsSaved(within="site").items(model, test, test)
    assert len(within) == 2  # the fourth is alone, the third and fifth say the same


def test_bits_saved_need_two_texts_and_codes() -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    same, differ = (Columns(image=images, text=texts, site=[0, 1]) for texts in (["one", "one"], ["one", "two"]))
    with pytest.raises(UsageError, match="no two test examples have different texts"):
        BitsSaved().items(Reader({}), same, same)
    with pytest.raises(UsageError, match="no two test examples with equal 'site' have different texts"):
        BitsSaved(within="site").items(Reader({}), differ, differ)
    none = SimpleNamespace(network=SimpleNamespace(codebook=None))
    with pytest.raises(UsageError, match="the network has no codes of images"):
        BitsSaved().items(none, differ, differ)


class Answerer:
    """Likes some answers better than others, and reads no image."""

    def __init__(self) -> None:
        self.read: list[list[str]] = []

    def log_likelihoods(self, sequences: Any) -> Any:
        liked = {"red": -1.0, "blue": -2.0, "two": -0.5, "one": -3.0, "endless": -np.inf}
        self.read += [[piece.kind for piece in pieces] for pieces in sequences]
        return np.array([liked[pieces[-1].value] for pieces in sequences])


def test_answers_are_chosen_among_those_of_their_kind() -> None:
    train = Columns(answer=["red", "blue", "two", "one"], question_kind=["colour", "colour", "count", "count"])
    test = Columns(
        image=np.zeros((4, 8, 8, 3), np.uint8),
        question=["which?"] * 4,
        answer=["red", "blue", "two", "red"],
        question_kind=["colour", "colour", "count", "colour"],
    )
    part, model = QuestionAnswering(), Answerer()
    items = part.items(model, train, test)
    assert items["correct"].tolist() == [True, False, True, True]
    assert part.statistic(items, np.arange(4)) == pytest.approx((2 / 3 + 1) / 2)
    assert QuestionAnswering(average="micro").statistic(items, np.arange(4)) == pytest.approx(3 / 4)
    assert model.read == [["image", "text", "text"]] * 8
    blind = Answerer()
    QuestionAnswering(blind=True).items(blind, train, test)
    assert blind.read == [["text", "text"]] * 8


def test_a_kind_that_training_never_asked_has_no_answers() -> None:
    train = Columns(answer=["red"], question_kind=["colour"])
    test = Columns(image=np.zeros((1, 8, 8, 3), np.uint8), question=["?"], answer=["two"], question_kind=["count"])
    assert not QuestionAnswering().items(Answerer(), train, test)["correct"].any()


def test_an_answer_that_does_not_fit_is_never_right() -> None:
    train = Columns(answer=["endless"], question_kind=["what"])
    test = Columns(image=np.zeros((1, 8, 8, 3), np.uint8), question=["?"], answer=["endless"], question_kind=["what"])
    assert not QuestionAnswering().items(Answerer(), train, test)["correct"].any()
