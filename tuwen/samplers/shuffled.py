"""All examples in a new order every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Shuffled:
    """Batches of distinct rows; what an epoch leaves over is drawn in another one."""

    def __call__(self, columns: Columns, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Batches without end, by columns, size and seed alone; fewer rows than a batch are one batch."""
        size, epoch = min(batch_size, columns.num_rows), 0
        while True:
            order = np.random.default_rng([seed, epoch]).permutation(columns.num_rows)
            for start in range(0, columns.num_rows - size + 1, size):
                yield order[start : start + size]
            epoch += 1
