"""Principal components of a batch, against a second way to compute them."""

from __future__ import annotations

import pytest
import torch
from fixed import fixed, vectors
from sklearn.decomposition import PCA

from tuwen.objectives.contrast import Contrast
from tuwen.objectives.pca_match import PcaMatch

IMAGES = vectors(12, 6, 1)


@pytest.mark.parametrize("components", [1, 3, 6])
def test_embeddings_are_those_of_another_implementation(components: int) -> None:
    features = fixed(image=IMAGES)
    assert PcaMatch(components)(features) == {}
    known = PCA(components, svd_solver="full").fit(IMAGES.double().numpy())
    wanted = known.inverse_transform(known.transform(IMAGES.double().numpy()))
    assert features["image.principal"].numpy() == pytest.approx(wanted, abs=1e-5)


def test_all_components_are_the_embedding_itself() -> None:
    features = fixed(image=IMAGES, text=vectors(12, 6, 2))
    PcaMatch(6)(features)
    plain, matched = (Contrast(image, group=None)(features)["contrast.text"] for image in ("image", "image.principal"))
    assert float(matched) == pytest.approx(float(plain), abs=1e-5)


def test_the_gradient_reaches_images_along_the_components_alone() -> None:
    images = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]], requires_grad=True)
    features = fixed(image=images)
    PcaMatch(1)(features)
    (features["image.principal"] * torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).sum().backward()
    assert images.grad is not None
    wanted = torch.tensor([[1.0, 0.25], [0.0, 0.25], [0.0, 0.25], [0.0, 0.25]])  # what is constant is the mean's alone
    assert torch.allclose(images.grad, wanted, atol=1e-6)
    wanted = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert torch.allclose(features["image.principal"], wanted, atol=1e-6)
