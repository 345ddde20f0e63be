"""The symmetric contrast against plain loops and torch's own cross entropy."""

from __future__ import annotations

import pytest
import torch
from fixed import fixed, plain_contrast, vectors
from torch.nn.functional import cross_entropy

from tuwen.objectives.contrast import Contrast

IMAGES, TEXTS = vectors(6, 8, 1), vectors(6, 8, 2)
TOKENS = torch.tensor([[1, 5, 2], [1, 6, 2], [1, 5, 2], [1, 7, 2], [1, 8, 2], [1, 9, 2]])


def loss(objective: Contrast, **more: torch.Tensor) -> float:
    features = fixed(image=IMAGES, text=TEXTS, **more)
    return float(objective(features)["contrast.text"])


def test_the_loss_is_the_published_one() -> None:
    assert loss(Contrast(group=None)) == pytest.approx(float(plain_contrast(10.0, IMAGES, TEXTS).mean()), abs=1e-5)


def test_rows_of_a_group_are_no_negatives() -> None:
    """Rows 0 and 2 are of one class: each is compared with the four others and itself."""
    wanted = 0.0
    for row in range(6):
        others = [each for each in range(6) if {row, each} != {0, 2}]
        across = torch.stack([10 * IMAGES[row] @ TEXTS[other] for other in others]).logsumexp(0)
        down = torch.stack([10 * IMAGES[other] @ TEXTS[row] for other in others]).logsumexp(0)
        wanted += float((across + down) / 2 - 10 * IMAGES[row] @ TEXTS[row])
    assert loss(Contrast(group="class"), **{"class": TOKENS[:, 1]}) == pytest.approx(wanted / 6, abs=1e-5)


def test_equal_texts_are_no_negatives() -> None:
    features = fixed(image=IMAGES, text=TOKENS, text__embedding=TEXTS)
    wanted = loss(Contrast(group="class"), **{"class": TOKENS[:, 1]})
    assert float(Contrast()(features)["contrast.text"]) == pytest.approx(wanted, abs=1e-6)


def test_label_smoothing_is_torchs() -> None:
    logits, targets = 10 * IMAGES @ TEXTS.T, torch.arange(6)
    wanted = sum(cross_entropy(each, targets, label_smoothing=0.1) for each in (logits, logits.T)) / 2
    assert loss(Contrast(group=None, smoothing=0.1)) == pytest.approx(float(wanted), abs=1e-5)


def test_weights_and_the_rows_of_small_loss() -> None:
    rows = plain_contrast(10.0, IMAGES, TEXTS)
    weights = torch.tensor([0.0, 1.0, 2.0, 0.5, 0.0, 1.0])
    assert loss(Contrast(group=None, weight="w"), w=weights) == pytest.approx(float((rows * weights).mean()), abs=1e-5)
    wanted = float(rows.sort().values[:4].mean())
    assert loss(Contrast(group=None, trimmed=1 / 3, trimmed_from=0.0)) == pytest.approx(wanted, abs=1e-5)
