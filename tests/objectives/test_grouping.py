"""DreamLIP's grouping of patches, by hand and in plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from fixed import fixed, plain_contrast, vectors

from tuwen.objectives.grouping import Grouping, grouped

PATCHES = vectors(3 * 5, 6, 1).view(3, 5, 6)
ONE, TWO = vectors(3, 6, 2), vectors(3, 6, 3)


def test_patches_of_a_text_by_hand() -> None:
    """Cosines 1, 0 and .6 are stretched to 1, 0 and .6; 1 / 3 is the least; so weights are .625, 0, .375."""
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]])
    found = grouped(torch.tensor([[[1.0, 0.0]]]), patches, -1.0)[0, 0]
    wanted = torch.tensor([0.625 + 0.375 * 0.6, 0.375 * 0.8])
    assert torch.allclose(found, wanted / wanted.norm(), atol=1e-5)
    assert torch.allclose(grouped(torch.tensor([[[1.0, 0.0]]]), patches, 0.7)[0, 0], patches[0, 0], atol=1e-5)


def test_the_loss_is_the_published_one() -> None:
    objective = Grouping(("a", "b"))
    features = fixed(objective, image__patch_embedding=PATCHES, a=ONE, b=TWO)
    groups, texts = [], []
    for row in range(3):
        for text in (ONE[row], TWO[row]):
            cosines = [float(text @ patch) for patch in PATCHES[row]]
            stretched = [(each - min(cosines)) / (max(cosines) - min(cosines)) for each in cosines]
            weights = torch.tensor([each if each >= 1 / 5 else 0.0 for each in stretched])
            mean = (weights / weights.sum()) @ PATCHES[row]
            groups.append(mean / mean.norm())
            texts.append(text)
    wanted = plain_contrast(1 / 0.07, torch.stack(groups), torch.stack(texts)).mean()
    assert float(objective(features)["grouping"].detach()) == pytest.approx(float(wanted), abs=1e-5)


def test_its_scale_is_its_own() -> None:
    objective = Grouping(("a",))
    features = fixed(objective, image__patch_embedding=PATCHES, a=ONE, scale=torch.tensor(1e6))
    objective(features)["grouping"].backward()
    (scale,) = features.own[objective]
    assert float(scale.detach().exp()) == pytest.approx(1 / 0.07) and math.isfinite(float(scale.grad))
