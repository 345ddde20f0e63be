"""A seeded sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.steps import ID, Condition, require, uniform


@dataclass(frozen=True)
class Sample:
    """Keep each row with probability `share` in [0, 1], or exactly `rows` of those that reach the step.

    Every row draws one number from `seed` and its id. A smaller share is a subset of a larger one; a corpus that grows
    keeps its share of the sample as it was, and `rows` only ever gives up places to new rows.
    """

    share: float | None = None
    rows: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require((self.share is None) != (self.rows is None), "sample: give either share or rows")
        require(self.share is None or 0 <= self.share <= 1, f"sample: share must lie in [0, 1], got {self.share}")
        require(self.rows is None or self.rows >= 0, f"sample: rows must not be negative, got {self.rows}")

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        draw = uniform(self.seed, ID)
        if self.share is not None:
            return [Condition(f"{draw} < {self.share!r}::DOUBLE", str(self), {"draw": draw}, alone=True)]
        rank = f"row_number() OVER (ORDER BY {draw}, {ID})"
        return [Condition(f"{rank} <= {self.rows}", str(self), {"rank": rank})]

    def __str__(self) -> str:
        size = f"a share of {self.share}" if self.rows is None else f"{self.rows} rows"
        return f"sample {size}, seed {self.seed}"
