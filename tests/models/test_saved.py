"""Checkpoints that are trained further compute what they did, and come out as they went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
import torch
from PIL import Image

from tuwen.adaptations.stretch_positions import StretchPositions
from tuwen.errors import UsageError
from tuwen.models.encoder import encoder
from tuwen.models.image_tokenizer import ImageTokenizer
from tuwen.models.network import Architecture, Network, Preprocessing
from tuwen.models.saved import load_network, save_network
from tuwen.models.towers import ImageTower, LanguageTower, TextTower
from tuwen.proof.streamed import fitted
from tuwen.proof.trained import Trained

TEXTS = ["a red fox", "snow", "a fox in the snow"]


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (16, width, 3)).astype(np.uint8)) for width in (16, 24, 40)]


def seen(folder: Path) -> tuple[Any, Any]:
    network = load_network(folder)
    side, crop = network.architecture.side, network.preprocessing.crop
    model = Trained(network)
    return model.images(np.stack([fitted(each, side, crop) for each in pictures()])), model.texts(TEXTS)


def test_a_clip_keeps_its_vectors_and_its_preprocessing(tmp_path: Path) -> None:
    """Other heads, activation, crop, mean and deviation than tuwen's own; then written and read once more."""
    folder = checkpoints.clip(tmp_path / "clip")
    expected = encoder(str(folder))
    network = load_network(folder)
    assert network.preprocessing.crop and network.preprocessing.mean != (0.5, 0.5, 0.5)
    assert save_network(network, tmp_path / "again") == ["transformers", "open_clip"]
    for place in (folder, tmp_path / "again", tmp_path / "again" / "open_clip"):
        images, texts = seen(place)
        np.testing.assert_allclose(images, expected.images(pictures()), atol=1e-5)
        np.testing.assert_allclose(texts, expected.texts(TEXTS), atol=1e-5)


def test_tuwens_own_layout_holds_every_tower(tmp_path: Path) -> None:
    architecture = Architecture(
        ImageTower(width=16),
        TextTower(width=16),
        LanguageTower(width=16, layers=1),
        side=8,
        dim=8,
        codes=ImageTokenizer(number=5, patch=4),
    )
    torch.manual_seed(0)
    network = Network(architecture, architecture.tokenizer(TEXTS), preprocessing=Preprocessing(True, (0.4,) * 3))
    assert save_network(network, tmp_path) == ["tuwen"]
    found = load_network(tmp_path)
    assert found.architecture == architecture and found.preprocessing == network.preprocessing
    assert found.state_dict().keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    assert torch.equal(found.text_tokens(TEXTS), network.text_tokens(TEXTS))


@pytest.mark.parametrize(("kind", "layout"), [("vit", "transformers"), ("conv", "tuwen")])
def test_stretched_positions_are_stored_as_those_of_a_longer_tower(kind: Any, layout: str, tmp_path: Path) -> None:
    architecture = Architecture(ImageTower(kind, 32, layers=1), TextTower(32), side=16, dim=8, context=6)
    torch.manual_seed(0)
    model = StretchPositions(kept=3)(Trained(Network(architecture, architecture.tokenizer(TEXTS))))
    assert save_network(model.network, tmp_path)[0] == layout
    found = load_network(tmp_path)
    assert found.architecture.context == 15
    long = [" ".join(TEXTS), " ".join(TEXTS[::-1])]
    np.testing.assert_allclose(Trained(found).texts(long), model.texts(long), atol=1e-5)
    again = StretchPositions(kept=3)(Trained(Network(architecture, architecture.tokenizer(TEXTS)))).network
    again.load_state_dict(model.network.state_dict())
    np.testing.assert_allclose(Trained(again).texts(long), model.texts(long), atol=1e-5)


def test_what_cannot_be_trained_further_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'siglip'; only CLIP"):
        load_network(checkpoints.siglip(tmp_path / "siglip"))
    folder = checkpoints.clip(tmp_path / "clip")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_network(folder)
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_network(tmp_path)
