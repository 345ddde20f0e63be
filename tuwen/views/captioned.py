"""Images with a text as sequences: what a captioner learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.models.features import Batch
from tuwen.models.sequences import Piece


@dataclass(frozen=True)
class Captioned:
    """A column `to` of sequences: the image, which is read, and its text, which is learnt."""

    image: str = "image"
    text: str = "text"
    to: str = "caption"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        pairs = zip(batch[self.image], batch[self.text], strict=True)
        return {**batch, self.to: [[Piece(image, learnt=False), Piece(text)] for image, text in pairs]}
