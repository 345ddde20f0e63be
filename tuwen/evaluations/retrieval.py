"""Images and texts find each other among all of the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items, rows_where
from tuwen.models.columns import Columns, chosen


@dataclass(frozen=True)
class Retrieval:
    """Mean reciprocal rank, or recall at `k`, of the right text for an image and the right image for a text.

    `direction`: one of the two, or their mean. Equal texts, and images of an equal `same` column, are all right. Ties
    count half against the model. `text`: the column of texts. `where`: a column of booleans, only these examples.
    `num_items`: the first so many of them. `group`: a column; its equal values are drawn together when items are
    resampled.
    """

    text: str = "text"
    image: str = "image"
    same: str | None = None
    direction: Literal["both", "image_to_text", "text_to_image"] = "both"
    k: int | None = None
    num_items: int | None = None
    where: str | None = None
    group: str | None = None

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        rows = rows_where(test, self.where)
        rows = rows[: self.num_items]
        if not len(rows):
            raise UsageError(f"no test example is {self.where}")
        texts, images = list(chosen(test[self.text], rows)), chosen(test[self.image], rows)
        _, number = np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)
        right = number[:, None] == number
        if self.same is not None:
            shared = np.asarray(test[self.same])[rows]
            right |= shared[:, None] == shared
        cosines = model.images(images) @ model.texts(texts).T
        found = {"image_to_text": ranks(cosines, right), "text_to_image": ranks(cosines.T, right.T)}
        items = Items(found, rows=rows)
        return items if self.group is None else items.grouped_by(test[self.group])

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        names = ("image_to_text", "text_to_image") if self.direction == "both" else (self.direction,)
        found = np.stack([items[name][indices] for name in names])
        return float((found <= self.k).mean() if self.k else (1 / found).mean())


def ranks(scores_NM: NDArray[np.floating[Any]], right_NM: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rank of the best right column in each row, from 1; columns that tie with it count half. Other right columns do
    not stand in its way. A score of -inf takes a column out. A row with a score that is no number, as of weights that
    came apart, gets the worst rank, the number of columns."""
    best = np.where(right_NM, scores_NM, -np.inf).max(1, keepdims=True)
    wrong = np.where(right_NM, -np.inf, scores_NM)
    found: NDArray[np.float64] = 1.0 + (wrong > best).sum(1) + 0.5 * (wrong == best).sum(1)
    return np.where(scores_NM.max(1) < np.inf, found, float(scores_NM.shape[1]))  # not so for nan either
