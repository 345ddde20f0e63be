"""Examples whose value in a column is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Filtered:
    """Examples with at least `least` in `column`, or the best `share` of all; of equal values the earlier examples.

    Values are numbers, or strings that say one, as columns of shards do; an empty one, as none, is never good enough.
    """

    column: str
    least: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if (self.least is None) == (self.share is None):
            raise UsageError("filtered: say one of least and share")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(f"filtered: share = {self.share}; it is above 0 and at most 1")

    def __call__(self, columns: Columns, seed: int) -> Columns:
        values = numbers(columns, self.column)
        if self.least is not None:
            return columns.subset(np.flatnonzero(values >= self.least))
        best = np.argsort(-values, kind="stable")[: round(self.share * len(values))]  # type: ignore[operator]
        return columns.subset(np.sort(best[~np.isnan(values[best])]))


def numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """A column as numbers (N,), NaN where there is none; `UsageError` for other words."""

    def number(value: Any) -> float:
        try:
            return float("nan") if value is None or value == "" else float(value)
        except ValueError:
            raise UsageError(f"column {name!r} holds {value!r}, which is no number; name another column") from None

    return np.fromiter(map(number, columns[name]), np.float64, columns.num_rows)
