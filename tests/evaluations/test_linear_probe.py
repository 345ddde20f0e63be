"""The choice of a probe's strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.linear_probe import LinearProbe
from tuwen.models.columns import Columns


class Own:
    """A model whose images are their own features."""

    def image_features(self, images: Any) -> Any:
        return np.asarray(images, np.float32)


def examples(number: int, seed: int) -> Columns:
    """Three classes that stand in one row, of which strong penalties lose the middle one."""
    rng = np.random.default_rng(seed)
    told = np.arange(number) % 3
    return Columns(image=(told + rng.normal(0, 0.1, number))[:, None], label=list(np.array(list("abc"))[told]))


def measured(**told: Any) -> float:
    part = LinearProbe("label", **told)
    items = part.items(Own(), examples(300, 1), examples(90, 2))
    return part.statistic(items, np.arange(len(items)))


@pytest.mark.parametrize("told", [{"per_class": 10}, {"per_class": 2}, {}])
def test_the_strength_is_the_one_that_tells_most(told: dict[str, Any]) -> None:
    weak, strong = (measured(strengths=(one,), **told) for one in (1e-6, 100.0))
    assert weak < strong
    assert measured(strengths=(1e-6, 100.0), **told) == strong


def test_few_shots_are_held_out_of_each_class() -> None:
    held = LinearProbe("label", per_class=10)._held(np.repeat(["a", "b", "c"], [10, 2, 1]))
    assert np.flatnonzero(held).tolist() == [0, 1, 10]


def test_what_cannot_be_fitted_or_chosen_is_said() -> None:
    with pytest.raises(UsageError, match="3 examples are too few to choose a strength"):
        measured(per_class=1)
    assert 0 <= measured(per_class=1, strengths=(1.0,)) <= 1
    alone = Columns(image=np.ones((2, 1)), label=["a", "a"])
    with pytest.raises(UsageError, match="fewer than two values of label"):
        LinearProbe("label").items(Own(), alone, alone)
