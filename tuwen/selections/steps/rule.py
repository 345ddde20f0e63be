"""A condition on the row itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import Condition, shown


@dataclass(frozen=True)
class Rule:
    """Keep the rows for which `where`, a DuckDB expression, is true.

    The parts of a top-level `and` are judged one by one, so that the ledger names the part that refused and the
    values it saw. An error on a row (an overflow) counts as null.
    """

    where: str

    def __post_init__(self) -> None:
        Expression.parse(self.where)

    @property
    def reads(self) -> tuple[str, ...]:
        return Expression.parse(self.where).columns()

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        return [
            Condition(
                part.to_sql(),
                rule=str(part),
                value={name: shown(name, types) for name in part.columns()},
                alone=True,
            )
            for part in Expression.parse(self.where).conjuncts()
        ]

    def __str__(self) -> str:
        return " ".join(self.where.split())
