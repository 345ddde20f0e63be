"""So much of each source, whatever there is of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Shares:
    """Each row of a batch is of a value of `column` that is drawn by `shares` (in relation to each other), and the
    value's rows come one after the other in a new order each epoch of its own: a small source comes round more often.
    """

    column: str = "tier"
    shares: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, columns: Columns, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Batches without end, by columns, size and seed alone."""
        values = np.array([str(value) for value in columns[self.column]])
        names = [name for name, share in self.shares.items() if share > 0]
        for name in names:
            if name not in values:
                raise UsageError(f"shares: no example has {self.column} {name!r}; there are: {sorted(set(values))}")
        if not names:
            raise UsageError(f"shares of {self.column} are missing; there are: {sorted(set(values))}")
        streams = [_endless(np.flatnonzero(values == name), seed, place) for place, name in enumerate(names)]
        shares, rng = np.array([self.shares[name] for name in names]), np.random.default_rng([seed, len(names)])
        while True:
            chosen = rng.choice(len(names), size=batch_size, p=shares / shares.sum())
            yield np.array([next(streams[each]) for each in chosen], np.int64)


def _endless(rows: NDArray[np.int64], seed: int, place: int) -> Iterator[int]:
    epoch = 0
    while True:
        yield from np.random.default_rng([seed, place, epoch]).permutation(rows).tolist()
        epoch += 1
