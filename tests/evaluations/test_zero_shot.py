"""Zero-shot classes by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.zero_shot import ZeroShot
from tuwen.models.columns import Columns
from tuwen.proof.verdict import everything

POINTS = {"a": [1.0, 0.0], "b": [0.0, 1.0], "the a": [0.0, 1.0], "the b": [0.6, 0.8]}


class Known:
    """A model whose images are their own vectors; texts are `POINTS`."""

    def images(self, images: Any) -> Any:
        return np.asarray(images, np.float32)

    def texts(self, texts: Any) -> Any:
        return np.array([POINTS[text] for text in texts], np.float32)


TEST = Columns(
    image=np.array([POINTS["a"], POINTS["a"], POINTS["b"]]),
    name=["a", "b", "b"],
    one=np.array([True, True, False]),
    two=np.array([True, False, False]),
)


def measured(**told: Any) -> float:
    part = ZeroShot("name", **told)
    items = part.items(Known(), Columns(), TEST)
    return float(part.statistic(items, everything(items)))


def test_shares_of_classes_and_of_images() -> None:
    assert measured() == pytest.approx((1 + 1 / 2) / 2)
    assert measured(average="micro") == pytest.approx(2 / 3)


def test_some_of_the_images() -> None:
    assert measured(where="one", average="micro", classes=("a", "b")) == 0.5
    assert measured(unless="two", average="micro", classes=("a", "b")) == 0.5
    assert measured(where="one", unless="two", classes=("a", "b")) == 0.0
    with pytest.raises(UsageError, match="where = two, unless = one"):
        measured(where="two", unless="one")


def test_classes_are_means_over_prompts() -> None:
    """`a` becomes (1, 1) / √2, `b` (.6, 1.8) / …: both images of `a` are still nearer to it, that of `b` to `b`."""
    assert measured(prompts=("{}", "the {}"), average="micro") == pytest.approx(2 / 3)
    assert measured(prompts=("the {}",), average="micro") == pytest.approx(0.0 + 1 / 3)


def test_a_name_that_comes_twice_is_one_class() -> None:
    """A model that is always right stays so."""
    perfect = Columns(image=np.array([POINTS["a"], POINTS["b"]]), name=["a", "b"])
    part = ZeroShot("name", classes=("a", "b", "a", "b"))
    items = part.items(Known(), Columns(), perfect)
    assert items["correct"].all() and items["class"].tolist() == [0, 1]


def test_a_label_that_is_no_class_is_said() -> None:
    with pytest.raises(UsageError, match="name = 'b' is none of the 1 classes"):
        measured(classes=("a",))


def test_items_know_their_rows() -> None:
    assert ZeroShot("name", unless="two").items(Known(), Columns(), TEST).rows.tolist() == [1, 2]
