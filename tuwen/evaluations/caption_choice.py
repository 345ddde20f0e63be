"""A true text against a false one in nearly the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items, flags
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class CaptionChoice:
    """Share of images that are nearer to their `text` than to `false`; a tie is half right, chance is a half.

    `swapped_text` asks whether attributes belong to the right objects, `reversed_text` how objects stand to each
    other. Where both texts are equal there is nothing to choose: those images are left out. `where`: a column of
    booleans; only these images. Yuksekgonul et al. 2022 (ARO), https://arxiv.org/abs/2210.01936.
    """

    false: str = "swapped_text"
    text: str = "sentence_text"
    where: str | None = None
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        true, false = (np.array(list(test[name]), dtype=object) for name in (self.text, self.false))
        chosen = true != false
        if self.where is not None:
            chosen &= flags(test, self.where)
        rows = np.flatnonzero(chosen)
        if not len(rows):
            raise UsageError(f"no test image has {self.false} that differs from {self.text}, with where = {self.where}")
        images = model.images(test[self.image][rows])
        right, wrong = ((images * model.texts(texts[rows].tolist())).sum(1) for texts in (true, false))
        return Items({"correct": (right > wrong) + 0.5 * (right == wrong)}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float(items["correct"][indices].mean())
