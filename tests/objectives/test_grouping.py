"""DreamLIP's grouping of patches, by hand and in plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from fixed import fixed, plain_contrast, vectors

from tuwen.models.network import FIRST_SCALE
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
    wanted = plain_contrast(FIRST_SCALE, torch.stack(groups), torch.stack(texts)).mean()
    assert float(objective(features)["grouping"].detach()) == pytest.approx(float(wanted), abs=1e-5)


def test_its_scale_is_its_own() -> None:
    objective = Grouping(("a",))
    features = fixed(objective, image__patch_embedding=PATCHES, a=ONE, scale=torch.tensor(1e6))
    objective(features)["grouping"].backward()
    (scale,) = features.own[objective]
    assert float(scale.detach().exp()) == pytest.approx(FIRST_SCALE) and math.isfinite(float(scale.grad))


def test_equal_texts_are_no_negatives() -> None:
    """Texts a of rows 0 and 1 and text b of row 2 are equal: each is compared with the other three and itself."""
    objective = Grouping(("a", "b"))
    tokens = {
        "a": torch.tensor([[1, 5, 2], [1, 5, 2], [1, 6, 2]]),
        "b": torch.tensor([[1, 7, 2, 2], [1, 8, 9, 2], [1, 5, 2, 2]]),
    }
    features = fixed(objective, image__patch_embedding=PATCHES, **tokens, a__embedding=ONE, b__embedding=TWO)
    groups = grouped(torch.stack([ONE, TWO], 1), PATCHES, -1.0).flatten(0, 1)
    texts, same = torch.stack([ONE, TWO], 1).flatten(0, 1), {0, 2, 5}
    wanted = 0.0
    for row in range(6):
        others = [each for each in range(6) if each == row or not {row, each} <= same]
        across = torch.stack([groups[row] @ texts[other] * FIRST_SCALE for other in others]).logsumexp(0)
        down = torch.stack([groups[other] @ texts[row] * FIRST_SCALE for other in others]).logsumexp(0)
        wanted += float((across + down) / 2 - groups[row] @ texts[row] * FIRST_SCALE) / 6
    assert float(objective(features)["grouping"].detach()) == pytest.approx(wanted, abs=1e-4)
