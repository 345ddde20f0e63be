"""What an evaluation finds: a row an item, so that anything computed from items can be resampled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Items:
    """Arrays of equal length, one value an item (bool, int, float, or rows of them).

    `group`: what is drawn together when items are resampled, because its items are not independent (texts of one
    image, images of one site): numbers (N,); each item its own group where nothing is said.
    """

    values: dict[str, NDArray[Any]]
    group: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.values[name]

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,), numbered from 0."""
        if not len(self.group):
            return np.arange(len(self), dtype=np.int64)
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)


class Evaluation(Protocol):
    """A measure of models. Larger is better, where the docstring says nothing else."""

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        """What `model` does with the examples `test`. `train`: for what is fitted on top of the model, such as a
        probe, and for nothing else."""

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        """The measure over these items, some of which may come twice."""
