"""Choices, pointing and robustness against cases worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.caption_choice import CaptionChoice
from tuwen.evaluations.composed_retrieval import ComposedRetrieval
from tuwen.evaluations.effective_robustness import EffectiveRobustness
from tuwen.evaluations.pointing import Pointing
from tuwen.evaluations.zero_shot import ZeroShot
from tuwen.models.columns import Columns
from tuwen.proof.verdict import everything

POINTS = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [0.6, 0.8], "d": [1.0, 0.0]}


class Known:
    """A model whose images are their own vectors; texts are `POINTS`."""

    def images(self, images: Any) -> Any:
        return np.asarray(images, np.float32)

    def texts(self, texts: Any) -> Any:
        return np.array([POINTS[text] for text in texts], np.float32)

    def computed(self, name: str, *, image: Any) -> Any:
        assert name == "image.patch_embedding"
        return image


def measured(evaluation: Any, **columns: Any) -> float:
    items = evaluation.items(Known(), Columns(), Columns(**columns))
    return float(evaluation.statistic(items, everything(items)))


def test_a_choice_is_right_wrong_tied_or_none() -> None:
    image = np.array([POINTS["a"], POINTS["a"], POINTS["a"], POINTS["b"]])
    told = {"image": image, "sentence_text": ["a", "b", "a", "b"], "swapped_text": ["b", "a", "d", "b"]}
    assert measured(CaptionChoice(), **told) == pytest.approx((1 + 0 + 0.5) / 3)
    assert measured(CaptionChoice(where="w"), w=[True, False, False, True], **told) == 1
    with pytest.raises(UsageError, match="no test image has swapped_text that differs"):
        measured(CaptionChoice(where="w"), w=[False, False, False, True], **told)


def test_pointing_at_the_patch_of_the_object() -> None:
    """Two by two patches of two pixels; the patch nearest to `a` is the second, which the object touches once."""
    patches = np.array([[POINTS["b"], POINTS["a"], POINTS["c"], POINTS["b"]]] * 3)
    mask = np.zeros((3, 4, 4), int)
    mask[0, 1, 2] = 1  # second patch
    mask[1, 3, 3] = 1  # fourth patch
    mask[2, 0, 3] = 2  # another object: nothing to point at
    assert measured(Pointing(), image=patches, mask=mask, name=["a"] * 3) == 0.5


def test_robustness_is_the_distance_from_the_line() -> None:
    """Three of four right on the reference, one of four on the shift; half an item of each kind is added."""
    near, far = [POINTS["a"]] * 3 + [POINTS["b"]], [POINTS["a"]] + [POINTS["b"]] * 3
    told = {"image": np.array(near + far), "name": ["a"] * 8, "style": ["flat"] * 4 + ["sketch"] * 4}
    part = ZeroShot("name", classes=("a", "b"))
    reference, shifted = math.log(3.5 / 1.5), math.log(1.5 / 3.5)
    assert measured(EffectiveRobustness(part, ("flat",)), **told) == pytest.approx(shifted - reference)
    line = EffectiveRobustness(part, ("flat",), slope=0.5, intercept=0.1)
    assert measured(line, **told) == pytest.approx(shifted - 0.5 * reference - 0.1)
    with pytest.raises(UsageError, match="both sides need images"):
        measured(EffectiveRobustness(part, ("shaded",)), **told)


def test_only_the_shift_that_is_asked_for_counts() -> None:
    told = {"image": np.array([POINTS["a"]] * 3), "name": ["a"] * 3, "style": ["flat", "sketch", "outline"]}
    part = EffectiveRobustness(ZeroShot("name", classes=("a", "b")), ("flat",), ("sketch",))
    assert len(part.items(Known(), Columns(), Columns(**told))) == 2


def test_composed_queries_by_hand() -> None:
    """Blue circle to red circle: (1, 0) + red - blue = (0, 1), which the red square (.6, .8) is second to."""
    POINTS.update(blue=[1.0, 0.0], red=[0.0, 1.0])
    told = {
        "image": np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.8, 0.5]]),
        "colour": ["blue", "red", "red", "blue"],
        "shape": ["circle", "circle", "square", "star"],
    }
    assert measured(ComposedRetrieval(), **told) == pytest.approx((1 + 1) / 2)
    told["image"][1] = [0.5, 0.6]  # now nearer to neither than the square is
    assert measured(ComposedRetrieval(), **told) == pytest.approx((1 / 2 + 1) / 2)


def test_effective_robustness_of_some_images() -> None:
    """Of the reference one of one is right, of the shifted none of one: log(.5 / 1.5) - log(1.5 / .5)."""
    test = Columns(
        image=np.array([POINTS["a"], POINTS["a"], POINTS["b"]]),
        name=["a", "b", "b"],
        style=["flat", "sketch", "sketch"],
        two=[True, True, False],
        one=[True, False, False],
    )
    part = EffectiveRobustness(ZeroShot("name", where="two"), reference=("flat",))
    items = part.items(Known(), Columns(), test)
    assert items.rows.tolist() == [0, 1]
    assert part.statistic(items, everything(items)) == pytest.approx(2 * math.log(1 / 3))
    part = EffectiveRobustness(ZeroShot("name", where="one"), reference=("flat",))
    with pytest.raises(UsageError, match="leave one side without images"):
        part.items(Known(), Columns(), test)


def test_pointing_needs_objects_and_patches_that_tile() -> None:
    patches = np.array([[POINTS["a"]] * 4])
    with pytest.raises(UsageError, match="no mask of the test has object 1"):
        measured(Pointing(), image=patches, mask=np.zeros((1, 4, 4), int), name=["a"])
    with pytest.raises(UsageError, match="4 patches do not tile masks of 5 pixels"):
        measured(Pointing(), image=patches, mask=np.ones((1, 5, 5), int), name=["a"])
