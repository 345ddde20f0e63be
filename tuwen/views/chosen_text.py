"""One of several columns of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuwen.models.features import Batch


@dataclass(frozen=True)
class ChosenText:
    """The column `to` has, for each example anew, the text of one of `texts`.

    `shares`: how often each, in relation; equally often where nothing is said.
    """

    texts: tuple[str, ...]
    shares: tuple[float, ...] = ()
    to: str = "text"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        columns: list[Sequence[str]] = [batch[name] for name in self.texts]
        shares = np.array(self.shares or [1.0] * len(columns))
        chosen = rng.choice(len(columns), len(columns[0]), p=shares / shares.sum())
        return {**batch, self.to: [columns[each][row] for row, each in enumerate(chosen)]}
