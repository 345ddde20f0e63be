"""Examples of frequent concepts thinned out, those of rare ones kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Balanced:
    """An example stays if one of its concepts does: each of them with probability min(1, `cap` / its examples).

    `concept`: a column of one concept an example, or of lists of them; an example without any goes. `cap`: of examples
    that a concept has about after this; a concept with no more than that keeps all.

    Xu et al. 2023 (MetaCLIP), https://arxiv.org/abs/2309.16671, section 3.
    """

    cap: Annotated[int, Field(gt=0)]
    concept: str = "name"

    def __call__(self, columns: Columns, seed: int) -> Columns:
        concepts = [_several(value) for value in columns[self.concept]]
        count = Counter(concept for each in concepts for concept in set(each))
        rng = np.random.default_rng(seed)
        # A coin for each concept of each example, in the order of the text.
        kept = [any(rng.random() * count[concept] < self.cap for concept in each) for each in concepts]
        return columns.subset(np.flatnonzero(kept))


def _several(value: Any) -> list[Any]:
    return list(dict.fromkeys(value)) if isinstance(value, list | tuple) else [value]
