"""Slots of captions against counts made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuwen.evaluations.caption_slots import CaptionSlots
from tuwen.models.columns import Columns

SCENES = [
    {"objects": [{"shape": "circle", "colour": "red"}, {"shape": "star", "colour": "blue"}]},
    {"objects": [{"shape": "heart", "colour": "pink"}]},
]
EXAMPLES = Columns(image=np.zeros((2, 8, 8, 3), np.uint8), scene=SCENES, proper_name=["Belano", "Doreki"])


class Captioner:
    """Says what it is told to."""

    def __init__(self, *captions: str) -> None:
        self._captions = list(captions)

    def captions(self, images: Any, *, tokens: int) -> list[str]:
        return self._captions[: len(images)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, 2 * 5 / (6 + 6)),  # said: red, circle, blue, heart, heart, pink; wrong: heart beside the circle
        ({"measure": "precision"}, 5 / 6),
        ({"measure": "recall"}, 5 / 6),
        ({"measure": "hallucination"}, 1 / 3),  # circle, heart | heart
        # Bound: circle, red-circle, heart, blue-heart | heart, pink-heart; of the first, two are right.
        ({"bound": True}, 2 * 4 / (6 + 6)),
        ({"name": "proper_name"}, 2 * 6 / (8 + 8)),  # and Belano, which is right, and Belano, which is not
    ],
)
def test_counts(told: dict[str, Any], expected: float) -> None:
    model = Captioner("Belano: a red circle, and a blue heart above", "Belano, a pink heart")
    part = CaptionSlots(**told)
    items = part.items(model, EXAMPLES, EXAMPLES)
    assert part.statistic(items, np.arange(2)) == pytest.approx(expected)


def test_colours_that_changed_places_are_wrong_where_bound() -> None:
    model = Captioner("a blue circle left of a red star", "nothing")
    loose, bound = CaptionSlots(), CaptionSlots(bound=True)
    assert loose.statistic(loose.items(model, EXAMPLES, EXAMPLES), np.array([0])) == 1
    assert bound.statistic(bound.items(model, EXAMPLES, EXAMPLES), np.array([0])) == pytest.approx(0.5)


def test_items_that_come_twice_count_twice() -> None:
    part = CaptionSlots(measure="recall")
    items = part.items(Captioner("a red circle and a blue star", "nothing"), EXAMPLES, EXAMPLES)
    assert part.statistic(items, np.array([0, 0, 1])) == pytest.approx(8 / 10)


def test_who_says_nothing_gets_nothing() -> None:
    for measure in ("f1", "precision", "recall", "hallucination"):
        part = CaptionSlots(measure=measure)  # type: ignore[arg-type]
        expected = 1 if measure == "hallucination" else 0  # the worst of each
        assert part.statistic(part.items(Captioner("", ""), EXAMPLES, EXAMPLES), np.arange(2)) == expected


def test_a_caption_without_objects_counts_for_nothing_in_hallucination() -> None:
    part = CaptionSlots(measure="hallucination")
    items = part.items(Captioner("a circle and a heart", ""), EXAMPLES, EXAMPLES)
    assert part.statistic(items, np.arange(2)) == 0.5
