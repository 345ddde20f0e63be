"""One row per group of equals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import ID, Condition, columns_of, order_by


@dataclass(frozen=True)
class Representative:
    """Keep one row per value of `of` (a cluster, a hash): the first in the order `by`, then by id.

    The ledger names the row that stands for the refused one. A row whose `of` is null is refused: whether it equals
    another is not known.
    """

    of: str
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns_of(self.of, orders=self.by)

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(self.of, orders=self.by)

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        group = Expression.parse(self.of).safe_sql()
        first = f"first_value({ID}) OVER (PARTITION BY {group} ORDER BY {order_by(self.by)})"
        known = f"({group}) IS NOT NULL"
        value = {self.of: group, "representative": f"CASE WHEN {known} THEN {first} END"}
        return [Condition(f"{known} AND {ID} = {first}", str(self), value)]

    def __str__(self) -> str:
        return f"representative of {self.of}" + (f" by {', '.join(self.by)}" if self.by else "")
