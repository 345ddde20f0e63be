"""PRIOR's weights by hand, and what they must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import TEXTS, small_images, small_network

from tuwen.models.features import Features
from tuwen.objectives.next_token import NextToken
from tuwen.objectives.prior import Prior
from tuwen.views.captioned import Captioned

NETWORK = small_network()
BATCH = Captioned()({"image": small_images(4), "text": TEXTS}, np.random.default_rng(0))


def read(*objectives: object) -> tuple[Features, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    own = {each: each.module(NETWORK) for each in objectives if hasattr(each, "module")}
    features, losses = Features(BATCH, NETWORK, own=own), {}
    for each in objectives:
        losses.update(each(features))  # type: ignore[operator]
    return features, losses


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, [0.5, 0.9, 0.1]),
        ({"alpha": 2.0}, [0.25, 0.81, 0.01]),
        ({"form": "inverse"}, [2.0, 10.0, 1 / 0.9]),
        ({"form": "inverse", "most": 5.0}, [2.0, 5.0, 1 / 0.9]),
    ],
)
def test_factors_by_hand(told: dict[str, float], expected: list[float]) -> None:
    found = Prior(**told).factors(torch.tensor([0.5, 0.1, 0.9]))  # type: ignore[arg-type]
    mean = sum(expected) / 3
    assert found.tolist() == pytest.approx([each / mean for each in expected], abs=1e-5)


def test_factors_are_those_of_a_model_that_sees_no_image() -> None:
    """Token by token, with the reference's own probabilities; other images change nothing."""
    part = Prior()
    features, losses = read(part)
    tokens, reference = features["caption"], features.own[part]
    found, p = features["prior.weight"], []
    for row, ids in enumerate(tokens.ids):
        for place in range(1, len(ids)):
            if not tokens.learnt[row, place]:
                assert found[row, place - 1] == 0
                continue
            logits = reference(input_ids=ids[None, :place]).logits[0, -1]
            p.append((row, place - 1, float(logits.detach().softmax(-1)[ids[place]])))
    mean = sum(1 - each for _, _, each in p) / len(p)
    for row, place, each in p:
        assert float(found[row, place]) == pytest.approx((1 - each) / mean, abs=1e-5)
    assert float(losses["prior.reference"].detach()) == pytest.approx(-sum(np.log([each for *_, each in p])) / len(p))


def test_equal_weights_are_next_token() -> None:
    (_, plain), (_, weighed) = read(NextToken()), read(Prior(alpha=0.0), NextToken(weight="prior.weight"))
    found = {name: loss.detach() for name, loss in weighed.items()}
    assert float(found["next_token.caption"]) == pytest.approx(float(plain["next_token.caption"].detach()), abs=1e-5)


def test_weights_weigh() -> None:
    features, losses = read(Prior(), NextToken(weight="prior.weight"))
    tokens, weight = features["caption"], features["prior.weight"]
    each = torch.nn.functional.cross_entropy(
        features["caption.logits"][:, :-1].transpose(1, 2), tokens.ids[:, 1:], reduction="none"
    )
    expected = (each * weight)[tokens.learnt[:, 1:]].sum() / weight.sum()
    assert losses["next_token.caption"].item() == pytest.approx(expected.item(), abs=1e-5)


def test_no_gradient_flows_through_weights() -> None:
    features, _ = read(Prior())
    assert not features["prior.weight"].requires_grad


def test_shuffled_weights_are_the_same_elsewhere() -> None:
    (one, _), (two, _) = read(Prior()), read(Prior(shuffled=True))
    learnt = one["caption"].learnt[:, 1:]
    own, other = one["prior.weight"][learnt], two["prior.weight"][learnt]
    assert torch.allclose(own.sort().values, other.sort().values)
    assert not torch.allclose(own, other)
    assert not two["prior.weight"][~learnt].any()
