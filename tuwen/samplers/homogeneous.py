"""Batches of one source each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Homogeneous:
    """All rows of a batch have an equal value in `column`, so that nothing is told apart by it.

    An epoch has each group's rows in a new order, cut into batches, and these in a new order; what a group leaves over
    is drawn in another epoch. A group smaller than a batch is one batch. Saito et al. 2022,
    https://arxiv.org/abs/2206.01125, section 3.2.
    """

    column: str = "source"

    def __call__(self, columns: Columns, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Batches without end, by columns, size and seed alone."""
        groups = np.unique(np.array([str(value) for value in columns[self.column]]), return_inverse=True)[1]
        members = [np.flatnonzero(groups == group) for group in range(groups.max(initial=-1) + 1)]
        epoch = 0
        while members:
            rng, batches = np.random.default_rng([seed, epoch]), []
            for rows in members:
                size, order = min(batch_size, len(rows)), rng.permutation(rows)
                batches += [order[start : start + size] for start in range(0, len(rows) - size + 1, size)]
            yield from (batches[each] for each in rng.permutation(len(batches)))
            epoch += 1
