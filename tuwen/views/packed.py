"""Texts and images of documents as sequences, each image beside the text that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuwen.models.features import Batch
from tuwen.models.sequences import Piece


@dataclass(frozen=True)
class Packed:
    """A column `to` of sequences: a document's `texts` in order, each with one image of those that belong to it.

    `text_of_image`: for each image the number of its text, -1 where there is none; such images are left out. Of several
    images of a text one is drawn. It stands before its text with probability `image_first`, else behind it. There are
    at most `most_images`, those of the first texts. As LCL reads MMC4, Yang et al. 2024,
    https://arxiv.org/abs/2406.07543.
    """

    texts: str = "document_texts"
    images: str = "document_images"
    text_of_image: str = "text_of_image"
    image_first: float = 0.5
    most_images: int = 6
    to: str = "document"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        rows = zip(batch[self.texts], batch[self.images], batch[self.text_of_image], strict=True)
        return {**batch, self.to: [self._packed(*row, rng) for row in rows]}

    def _packed(
        self, texts: Sequence[str], images: Sequence[Any], owners: Sequence[int], rng: np.random.Generator
    ) -> list[Piece]:
        found: list[Piece] = []
        left = self.most_images
        for number, text in enumerate(texts):
            piece = Piece(f"{text}\n")
            own = [image for image, owner in zip(images, owners, strict=True) if owner == number]
            if not own or not left:
                found.append(piece)
                continue
            left -= 1
            image = Piece(own[int(rng.integers(len(own)))], learnt=False)
            found += [image, piece] if rng.random() < self.image_first else [piece, image]
        return found
