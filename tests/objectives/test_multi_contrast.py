"""Several texts of an image."""

from __future__ import annotations

import pytest
from fixed import fixed, plain_contrast, vectors

from tuwen.objectives.contrast import Contrast
from tuwen.objectives.multi_contrast import MultiContrast

IMAGES, ONE, TWO = (vectors(4, 6, seed) for seed in (1, 2, 3))


def test_the_loss_is_the_mean_over_texts() -> None:
    features = fixed(image=IMAGES, text=ONE, part_0=TWO)
    loss = MultiContrast(("text", "part_0"), group=None)(features)["multi_contrast"]
    wanted = (plain_contrast(10.0, IMAGES, ONE).mean() + plain_contrast(10.0, IMAGES, TWO).mean()) / 2
    assert float(loss) == pytest.approx(float(wanted), abs=1e-5)


def test_one_text_is_the_plain_contrast() -> None:
    features = fixed(image=IMAGES, text=ONE)
    assert MultiContrast(("text",))(features)["multi_contrast"] == Contrast()(features)["contrast.text"]
