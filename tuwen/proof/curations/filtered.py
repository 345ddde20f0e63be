"""Examples whose value in a column is good enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.errors import UsageError
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Filtered:
    """Examples with at least `least` in `column`, or the best `share` of them; of equal values the earlier examples."""

    column: str
    least: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if (self.least is None) == (self.share is None):
            raise UsageError("filtered: say one of least and share")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(f"filtered: share = {self.share}; it is above 0 and at most 1")

    def __call__(self, columns: Columns, seed: int) -> Columns:
        values = np.asarray(columns[self.column], np.float64)
        if self.least is not None:
            return columns.subset(np.flatnonzero(values >= self.least))
        best = np.argsort(-values, kind="stable")[: round(self.share * len(values))]  # type: ignore[operator]
        return columns.subset(np.sort(best))
