"""Images moved by a few pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.models.features import Batch


@dataclass(frozen=True)
class Shifted:
    """Each image moved by up to `pixels` both ways, its border repeated. Mirrored or recoloured, an image would
    contradict its text."""

    pixels: int = 2
    image: str = "image"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        images = batch[self.image]
        number, height, width, _ = images.shape
        edge = self.pixels
        padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
        down, right = rng.integers(0, 2 * edge + 1, (2, number))
        rows = (down[:, None] + np.arange(height))[:, :, None]
        columns = (right[:, None] + np.arange(width))[:, None, :]
        return {**batch, self.image: padded[np.arange(number)[:, None, None], rows, columns]}
