"""Small networks with random weights, for parts that need one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuwen.models.contrastive import deterministic
from tuwen.models.network import Architecture, Network
from tuwen.models.towers import ImageTower, LanguageTower

TEXTS = ["a red circle on the grass", "a blue star", "two pink hearts at the top", "no title"]


def small_network(seed: int = 0, **told: Any) -> Network:
    """With 16-pixel images, a language tower and a tokenizer of a few words."""
    sizes: dict[str, Any] = {
        "image": ImageTower(width=32),
        "text": None,
        "language": LanguageTower(width=32, layers=1),
        "side": 16,
        "dim": 16,
        "sequence": 48,
        "vocabulary": 300,
    }
    architecture = Architecture(**{**sizes, **told})
    with deterministic(seed):
        return Network(architecture, architecture.tokenizer(TEXTS)).eval()


def small_images(number: int, seed: int = 0) -> np.ndarray:
    """uint8 (number, 16, 16, 3)"""
    return np.random.default_rng(seed).integers(0, 256, (number, 16, 16, 3)).astype(np.uint8)
