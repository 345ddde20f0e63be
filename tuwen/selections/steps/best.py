"""The best few rows of each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import Condition, columns_of, order_by, require


@dataclass(frozen=True)
class Best:
    """Keep the first `k` rows per value of `per`, in the order `by`, then by id: the best texts of an image.

    `per` may be several expressions, e.g. `[image_id, language]`. A row for which one of them is null is refused.
    Nulls come last in every order.
    """

    per: str | tuple[str, ...]
    by: tuple[str, ...]
    k: int = 1

    def __post_init__(self) -> None:
        columns_of(*self._per, orders=self.by)
        require(bool(self._per), "best: per needs at least one expression, such as `image_id`")
        require(self.k >= 1, f"best: k must be at least 1, got {self.k}")
        require(bool(self.by), "best: by needs at least one order, such as `num_characters desc`")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(*self._per, orders=self.by)

    @property
    def _per(self) -> tuple[str, ...]:
        return (self.per,) if isinstance(self.per, str) else self.per

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        groups = {text: Expression.parse(text).safe_sql() for text in self._per}
        rank = f"row_number() OVER (PARTITION BY {', '.join(groups.values())} ORDER BY {order_by(self.by)})"
        known = " AND ".join(f"({group}) IS NOT NULL" for group in groups.values())
        value = {**groups, "rank": f"CASE WHEN {known} THEN {rank} END"}
        return [Condition(f"{known} AND {rank} <= {self.k}", str(self), value)]

    def __str__(self) -> str:
        return f"best {self.k} per {', '.join(self._per)} by {', '.join(self.by)}"
