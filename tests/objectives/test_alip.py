"""ALIP's gates against the published formula in plain numbers."""

from __future__ import annotations

import math

import pytest
import torch
from fixed import fixed, plain_contrast, vectors

from tuwen.models.features import Features
from tuwen.objectives.alip import Alip
from tuwen.objectives.contrast import Contrast

IMAGE, TEXT, OTHER = (vectors(5, 8, seed) for seed in (1, 2, 3))


def gated(objective: Alip, texts: torch.Tensor = TEXT, others: torch.Tensor = OTHER, steps: int = 1):  # type: ignore[no-untyped-def]
    features = fixed(objective, image=IMAGE, text=texts, synthetic=others)
    for _ in range(steps):
        assert objective(features) == {}
    return features


def expected(steps: int) -> tuple[list[float], list[float]]:
    means, gates = [1.0, 1.0, 1.0], ([], [])
    pairs = [(TEXT, OTHER), (IMAGE, TEXT), (IMAGE, OTHER)]
    cosines = [[float(one[row] @ two[row]) for row in range(5)] for one, two in pairs]
    for _ in range(steps):
        means = [0.99 * mean + 0.01 * sum(values) / 5 for mean, values in zip(means, cosines, strict=True)]
    for row in range(5):
        agree, raw, synthetic = (math.exp(cosines[each][row] - means[each]) ** 2 for each in range(3))
        gates[0].append(min(1, agree) * (raw if agree < 1 else 1))
        gates[1].append(min(1, agree) * (synthetic if agree < 1 else 1))
    return gates


@pytest.mark.parametrize("steps", [1, 300])
def test_gates_are_the_published_ones(steps: int) -> None:
    features, gates = gated(Alip(), steps=steps), expected(steps)
    assert features["gate.text"].tolist() == pytest.approx(gates[0], abs=1e-5)
    assert features["gate.synthetic"].tolist() == pytest.approx(gates[1], abs=1e-5)


def test_after_many_steps_pairs_that_agree_more_than_usual_count_fully() -> None:
    gates = gated(Alip(), steps=2000)["gate.text"]
    cosines = (TEXT * OTHER).sum(-1)
    assert torch.equal(gates == 1, cosines > cosines.mean())


def test_the_loss_is_each_rows_contrast_by_its_gate() -> None:
    features = gated(Alip())
    loss = Contrast(weight="gate.text", group=None)(features)["contrast.text"]
    wanted = (plain_contrast(10.0, IMAGE, TEXT) * features["gate.text"]).mean()
    assert float(loss) == pytest.approx(float(wanted), abs=1e-5)


def test_open_gates_are_the_plain_sum() -> None:
    features = gated(Alip(sample=False, pair=False))
    assert features["gate.text"].tolist() == [1.0] * 5 == features["gate.synthetic"].tolist()


def test_gates_carry_no_gradient_and_what_they_read_keeps_its_own() -> None:
    class Lazy:
        """A network whose embeddings are computed when they are read first."""

        def encoded(self, values: torch.Tensor) -> torch.Tensor:
            return values * 1

    objective = Alip()
    batch = {name: TEXT.clone().requires_grad_() for name in ("image", "text", "synthetic")}
    features = Features(batch, Lazy(), own={objective: objective.module(torch.nn.Module())})  # type: ignore[arg-type]
    objective(features)
    assert not features["gate.text"].requires_grad
    assert features["text"].requires_grad and features["image"].requires_grad
