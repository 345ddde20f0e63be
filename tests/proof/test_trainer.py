"""Steps of training that cannot be right are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from tuwen.errors import TuwenError, UsageError
from tuwen.models.columns import Columns
from tuwen.models.features import Features
from tuwen.models.image_tokenizer import ImageTokenizer
from tuwen.models.network import Architecture
from tuwen.models.towers import ImageTower
from tuwen.proof.method import Method, Phase
from tuwen.proof.trained import Trained
from tuwen.proof.trainer import train


@dataclass(frozen=True)
class Scale:
    """The logarithm of the network's scale, times `factor` from its second step on."""

    name: str = "scale.plain"
    factor: float = 1.0

    def __call__(self, features: Features) -> Mapping[str, torch.Tensor]:
        return {self.name: features.network.logit_scale * (self.factor if features.step else 1.0)}


def test_codes_are_learnt_from_the_images_that_are_given() -> None:
    architecture = Architecture(ImageTower(width=16), None, side=8, dim=4, codes=ImageTokenizer(number=2, patch=8))
    method = Method(architecture, (Phase((Scale(),)),))
    given = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (10, 200)])
    books = []
    for value in (0, 90):
        columns = Columns(image=np.full((4, 8, 8, 3), value, np.uint8), text=["a", "b", "c", "d"])
        model = train(method, columns, samples=4, batch_size=4, seed=1, codebook_images=given)
        books.append(model.network.codebook.centres[:, 0].tolist())  # type: ignore[union-attr]
    assert sorted(books[0]) == pytest.approx([10, 200]) and books[0] == books[1]


def trained(*objectives: Scale, weights: Mapping[str, float] | None = None) -> Trained:
    architecture = Architecture(ImageTower(width=16), None, side=8, dim=4)
    method = Method(architecture, (Phase(objectives, weights=weights or {}),))
    columns = Columns(image=np.zeros((4, 8, 8, 3), np.uint8), text=["a", "b", "c", "d"])
    return train(method, columns, samples=12, batch_size=4, seed=1)


@pytest.mark.parametrize(("factor", "value"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_loss_that_is_no_number_stops_training(factor: float, value: str) -> None:
    with pytest.raises(TuwenError, match=f"scale.plain is {value} at step 2 of 3: .* lower learning_rate"):
        trained(Scale(factor=factor))


def test_a_gradient_that_is_no_number_stops_training() -> None:
    @dataclass(frozen=True)
    class Edge(Scale):
        def __call__(self, features: Features) -> Mapping[str, torch.Tensor]:
            return {self.name: torch.sqrt(features.network.logit_scale * 0)}

    with pytest.raises(TuwenError, match="the gradient is nan at step 1 of 3"):
        trained(Edge())


def test_a_loss_has_one_objective() -> None:
    with pytest.raises(UsageError, match=r"two objectives .* 'scale.plain'"):
        trained(Scale(), replace(Scale(), factor=2.0))


def test_weights_are_of_losses_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"no loss is called 'scale'; there are: scale.plain, scale.other"):
        trained(Scale(), Scale("scale.other"), weights={"scale": 0.1})
    trained(Scale(), Scale("scale.other"), weights={"scale.other": 0.1})
