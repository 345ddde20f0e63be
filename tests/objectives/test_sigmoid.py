"""SigLIP's loss in plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from fixed import fixed, vectors

from tuwen.objectives.sigmoid import Sigmoid

IMAGES, TEXTS = vectors(4, 6, 1), vectors(4, 6, 2)


@pytest.mark.parametrize("group", [None, "class"])
def test_the_loss_is_the_published_one(group: str | None) -> None:
    objective = Sigmoid(group=group, first_bias=-3.0)
    features = fixed(objective, image=IMAGES, text=TEXTS, **{"class": torch.tensor([0, 1, 0, 2])})
    wanted = 0.0
    for one in range(4):
        for two in range(4):
            if group and {one, two} == {0, 2}:
                continue
            sign = 1 if one == two else -1
            wanted += math.log(1 + math.exp(-sign * (10 * float(IMAGES[one] @ TEXTS[two]) - 3)))
    assert float(objective(features)["sigmoid.text"].detach()) == pytest.approx(wanted / 4, abs=1e-5)
