"""Some of the texts of each image, a column for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.errors import UsageError
from tuwen.models.features import Batch


@dataclass(frozen=True)
class SubCaptions:
    """Columns `part_0`, `part_1`, … of `number` texts of `texts`, a column of lists, drawn anew for each image.

    None is drawn twice where there are enough. Zheng et al. 2024 (DreamLIP), https://arxiv.org/abs/2403.17007,
    section 3.2.
    """

    number: int = 3
    texts: str = "sentences"
    to: str = "part"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        drawn = []
        for known in batch[self.texts]:
            if not known:
                raise UsageError(f"sub_captions: an example has no texts in {self.texts}; leave it out before training")
            places = rng.choice(len(known), self.number, replace=len(known) < self.number)
            drawn.append([known[place] for place in places])
        return {**batch, **{f"{self.to}_{each}": [row[each] for row in drawn] for each in range(self.number)}}
