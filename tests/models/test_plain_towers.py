"""Towers for few real pairs: what they see of an image and a text, by hand, and that nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tuwen.errors import UsageError
from tuwen.models.network import Architecture, Network
from tuwen.models.plain_towers import BagTower, GradientTower, edges_and_colours
from tuwen.models.saved import load_network, save_network
from tuwen.models.towers import ImageTower, TextTower
from tuwen.proof.trained import Trained

TEXTS = ["a red fox", "snow", "a fox in the snow"]


def halves(upright: bool) -> torch.Tensor:
    """Black beside white (upright), or black above white; 16 pixels, the edge between the fourth and the fifth cell."""
    image = torch.full((1, 3, 16, 16), -1.0)
    image[..., 8:] = 1.0
    return image if upright else image.transpose(2, 3)


@pytest.mark.parametrize(("upright", "direction"), [(True, 0), (False, 4)])
def test_an_edge_is_in_its_cells_and_its_direction(upright: bool, direction: int) -> None:
    found = edges_and_colours(halves(upright))[0]
    assert found.shape == (768,)
    edges, means, colours = found[:512].reshape(8, 8, 8), found[512:704].reshape(3, 8, 8), found[704:]
    expected = torch.zeros(8, 8, 8)
    # Central differences see the edge from both sides: one pixel column of two cells, eight cells high, shares alike.
    expected[direction, :, 3:5] = 16**-0.5
    torch.testing.assert_close(edges, expected if upright else expected.transpose(1, 2))
    paper = torch.full((3, 8, 8), -0.1)
    paper[..., 4:] = 0.1
    torch.testing.assert_close(means, paper if upright else paper.transpose(1, 2))
    assert colours[0] == colours[63] == pytest.approx(0.5**0.5) and colours.count_nonzero() == 2


def test_colours_are_red_then_green_then_blue() -> None:
    image = torch.full((1, 3, 8, 8), -1.0)
    image[:, 0], image[:, 1] = 1.0, 0.1
    colours = edges_and_colours(image)[0, 704:]
    assert colours.nonzero().tolist() == [[3 * 16 + 2 * 4 + 0]] and colours.max() == 1


def test_a_plain_image_has_no_edges_and_no_gap() -> None:
    assert not edges_and_colours(torch.zeros(1, 3, 8, 8))[0, :512].any()
    assert torch.isfinite(GradientTower(4, 8)(torch.zeros(1, 3, 8, 8))).all()
    with pytest.raises(UsageError, match="side is 12"):
        GradientTower(4, 12)


def test_a_bag_is_the_sum_of_its_tokens_whatever_stands_around_them() -> None:
    tower = BagTower(4, 10)
    ids = torch.tensor([[8, 1, 2, 9, 9], [8, 2, 1, 9, 9], [8, 9, 9, 9, 9]])
    found = tower.pooled(tower(ids), ids < 8)
    torch.testing.assert_close(found[0], tower.vectors.weight[1] + tower.vectors.weight[2])
    torch.testing.assert_close(found[0], found[1])
    assert not found[2].any()


def test_texts_of_a_network_are_bags_in_any_company() -> None:
    """Padding to the longest text of a batch adds nothing; order does not matter, one word more does."""
    network = made()
    alone, among = Trained(network).texts(TEXTS[:1])[0], Trained(network).texts(TEXTS)[0]
    np.testing.assert_allclose(alone, among, atol=1e-6)
    turned, more = Trained(network).texts([" fox red a".strip(), "a red red fox"])
    np.testing.assert_allclose(alone, turned, atol=1e-6)
    assert np.abs(alone - more).max() > 1e-3


def test_they_are_stored_in_tuwens_own_layout(tmp_path: Path) -> None:
    network = made()
    assert save_network(network, tmp_path) == ["tuwen"]
    again = Trained(load_network(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(again.images(images), Trained(network).images(images))
    np.testing.assert_array_equal(again.texts(TEXTS), Trained(network).texts(TEXTS))


def made() -> Network:
    architecture = Architecture(ImageTower("gradients", 16), TextTower(16, kind="bag"), side=16, dim=8)
    torch.manual_seed(0)
    return Network(architecture, architecture.tokenizer(TEXTS)).eval()
