"""Texts that say where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.errors import UsageError
from tuwen.models.features import Batch


@dataclass(frozen=True)
class SourcePrefix:
    """Each text begins with the prefix of its source: `prefixes[s]` for source number s, the last for all others.

    A character that stands in no text is one token of its own, which is trained with the others: a learnt vector for
    each source. Images get none.

    Saito et al. 2022 (prefix conditioning), https://arxiv.org/abs/2206.01125, section 3.1.
    """

    prefixes: tuple[str, ...] = ("^", "~")
    source: str = "source"
    text: str = "text"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        numbers = np.asarray(batch[self.source])
        if numbers.min(initial=0) < 0:
            raise UsageError(f"source_prefix: {self.source} = {numbers.min()}; sources are numbered from 0")
        known = np.minimum(numbers, len(self.prefixes) - 1).tolist()
        texts = [f"{self.prefixes[number]} {text}" for number, text in zip(known, batch[self.text], strict=True)]
        return {**batch, self.text: texts}
