"""Texts with an image as sequences: what a model that draws learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.models.features import Batch
from tuwen.models.sequences import Piece


@dataclass(frozen=True)
class Drawn:
    """A column `to` of sequences: the text, which is read, and the codes of its image, which are learnt.

    The network needs `codes` (`tuwen.models.image_tokenizer`).
    """

    image: str = "image"
    text: str = "text"
    to: str = "drawing"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        pairs = zip(batch[self.image], batch[self.text], strict=True)
        return {**batch, self.to: [[Piece(text, learnt=False), Piece(image, coded=True)] for image, text in pairs]}
