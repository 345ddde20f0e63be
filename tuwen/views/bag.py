"""Which words each text has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.models.features import Batch


@dataclass(frozen=True)
class Bag:
    """Column `word`: the M distinct words of the batch's texts, in order; column `mentions`: float32 (N, M), 1 where a
    text has the word. Words are what stands between spaces, in lower case."""

    text: str = "text"
    to: str = "word"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        bags = [set(text.lower().split()) for text in batch[self.text]]
        words = sorted(set().union(*bags))
        mentions = np.array([[word in bag for word in words] for bag in bags], np.float32)
        return {**batch, self.to: words, "mentions": mentions}
