"""Images found by an image and a change that is told in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items
from tuwen.evaluations.retrieval import ranks
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class ComposedRetrieval:
    """Mean reciprocal rank of an image that differs from the asking one in `changed` and is equal to it in `same`.

    The query is the image's vector, plus that of the wanted word, less that of the image's own; its value of `changed`
    is to become the next one, in order, that the test has beside its value of `same`. The asking image is not among
    the answers. Images without any answer are left out. Jia et al. 2021 (ALIGN), https://arxiv.org/abs/2102.05918,
    section 7.
    """

    changed: str = "colour"
    same: str = "shape"
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        now, kept = (np.array(list(test[name]), dtype=object).astype(str) for name in (self.changed, self.same))
        wanted = np.array([_next(own, sorted(set(now[kept == other]))) for own, other in zip(now, kept, strict=True)])
        rows = np.flatnonzero(wanted != now)
        if not len(rows):
            raise UsageError(f"composed_retrieval: no two test images have equal {self.same} and other {self.changed}")
        words = sorted(set(now))
        vectors = dict(zip(words, model.texts(words), strict=True))
        images = model.images(test[self.image])
        queries = images[rows] + np.stack([vectors[wanted[row]] - vectors[now[row]] for row in rows])
        cosines = queries @ images.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        right = (now == wanted[rows, None]) & (kept == kept[rows, None])
        return Items({"rank": ranks(cosines, right)}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float((1 / items["rank"][indices]).mean())


def _next(own: str, values: list[str]) -> str:
    return values[(values.index(own) + 1) % len(values)]
