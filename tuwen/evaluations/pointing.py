"""Whether a model knows where in an image a thing is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Pointing:
    """Share of images whose patch that is nearest to `text` touches the main object (the pointing game).

    `mask`: a column (N, side, side) of the number of the object at each pixel, 0 for none; the main one is `number`.
    The patches of an image are a square. Zhang et al. 2016, https://arxiv.org/abs/1608.00507, section 4.1.
    """

    text: str = "name"
    mask: str = "mask"
    number: int = 1
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        if not test.num_rows:
            raise UsageError("the test has no examples")
        there = np.asarray(test[self.mask]) == self.number
        patches = model.computed("image.patch_embedding", image=test[self.image])
        along = round(patches.shape[1] ** 0.5)
        size = there.shape[1] // along
        if along**2 != patches.shape[1] or size * along != there.shape[1]:
            raise UsageError(
                f"pointing: {patches.shape[1]} patches do not tile masks of {there.shape[1]} pixels a side"
            )
        touched = there.reshape(len(there), along, size, along, size).any((2, 4)).reshape(len(there), -1)
        best = (patches @ model.texts(list(test[self.text]))[:, :, None])[..., 0].argmax(1)
        rows = np.flatnonzero(touched.any(1))
        if not len(rows):
            raise UsageError(f"pointing: no {self.mask} of the test has object {self.number}")
        return Items({"correct": touched[rows, best[rows]]}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float(items["correct"][indices].mean())
