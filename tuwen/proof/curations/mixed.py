"""A mixture of sources: so much of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tuwen.errors import UsageError
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Mixed:
    """`number` examples, of which each value of `column` has its share of `shares`: numbers that are set in relation.

    They are drawn without replacement, so that a value has to have as many examples as its share asks for. Values are
    compared as strings.
    """

    shares: Mapping[str, float] = field(hash=False)
    number: int
    column: str = "source"

    def __call__(self, columns: Columns, seed: int) -> Columns:
        values = np.array([str(value) for value in columns[self.column]])
        rng, whole, rows, past = np.random.default_rng(seed), sum(self.shares.values()), [], 0.0
        for name, share in self.shares.items():
            first, past = round(self.number * past / whole), past + share
            wanted = round(self.number * past / whole) - first
            there = np.flatnonzero(values == name)
            if wanted > len(there):
                raise UsageError(
                    f"mixed: {wanted} examples with {self.column} = {name} are asked for, and there are {len(there)}; "
                    "ask for less, or give the arm more examples"
                )
            rows.append(rng.permutation(there)[:wanted])
        return columns.subset(np.sort(np.concatenate(rows)))
