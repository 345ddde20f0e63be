"""A limit on the rows of each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import ID, Condition, columns_of, order_by, require, uniform


@dataclass(frozen=True)
class Quota:
    """Keep at most `at_most` rows per value of `per`, or at most the `share` in (0, 1] of all rows that reach the step.

    Who stays is drawn with `seed`, or decided by the order `by`. Under `at_most` a corpus that grows never brings back
    a row that was refused; under `share` it may. A row whose `per` is null is refused.
    """

    per: str
    at_most: int | None = None
    share: float | None = None
    by: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        columns_of(self.per, orders=self.by)
        require((self.at_most is None) != (self.share is None), "quota: give either at_most or share")
        require(self.at_most is None or self.at_most >= 0, f"quota: at_most must not be negative, got {self.at_most}")
        require(self.share is None or 0 < self.share <= 1, f"quota: share must lie in (0, 1], got {self.share}")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(self.per, orders=self.by)

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        group = Expression.parse(self.per).safe_sql()
        order = order_by(self.by) if self.by else f"{uniform(self.seed, ID)}, {ID}"
        rank = f"row_number() OVER (PARTITION BY {group} ORDER BY {order})"
        limit = str(self.at_most) if self.share is None else f"floor({self.share!r}::DOUBLE * count(*) OVER ())"
        known = f"({group}) IS NOT NULL"
        value = {
            self.per: group,
            "rank": f"CASE WHEN {known} THEN {rank} END",
            "limit": f"CAST({limit} AS BIGINT)",
        }
        return [Condition(f"{known} AND {rank} <= {limit}", str(self), value)]

    def __str__(self) -> str:
        limit = f"{self.at_most}" if self.share is None else f"a share of {self.share}"
        return f"at most {limit} per {self.per}" + (f" by {', '.join(self.by)}" if self.by else "")
