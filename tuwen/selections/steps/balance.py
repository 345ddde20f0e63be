"""Balancing over concepts or any other label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import ID, SHOWN_ITEMS, SURVIVORS, Condition, columns_of, require, uniform
from tuwen.selections.tree import Column


@dataclass(frozen=True)
class Balance:
    """Keep a row with probability min(1, t / n), n being the number of rows that carry its label.

    Where `of` is a list, every label draws on its own and one hit keeps the row, so that a row of a rare concept stays
    whatever else it shows; a label counts once per row. Rows without a label are refused, or kept with
    `unlabelled: keep`. Each draw depends on seed, row and label alone: while counts grow, no refused row comes back.

    MetaCLIP, Xu et al. 2023, https://arxiv.org/abs/2309.16671, section 3.3, t = 20,000 for 400M pairs.
    **Differs from the paper:** seeded draws instead of a global generator; counts are of rows that reach the step.
    """

    of: str
    t: int
    seed: int = 0
    unlabelled: Literal["refuse", "keep"] = "refuse"

    def __post_init__(self) -> None:
        columns_of(self.of)
        require(self.t >= 1, f"balance: t must be at least 1, got {self.t}")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(self.of)

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        label = Expression.parse(self.of)
        if isinstance(label.root, Column) and types[label.root.name].endswith("]"):
            return [self._any_of(label.to_sql())]
        sql = label.safe_sql()
        num_rows = f"count(*) OVER (PARTITION BY {sql})"
        value = {self.of: sql, "num_rows": f"CASE WHEN ({sql}) IS NOT NULL THEN {num_rows} END"}
        keep = f"({sql}) IS NOT NULL AND {self._hit(sql, num_rows)}"
        return [Condition(self._or_unlabelled(f"({sql}) IS NULL", keep), str(self), value)]

    def _any_of(self, labels: str) -> Condition:
        rows = f"SELECT {ID}, unnest(list_distinct({labels})) AS label FROM {SURVIVORS}"
        counted = f"SELECT {ID}, label, count(*) OVER (PARTITION BY label) AS num_rows FROM ({rows})"
        keep = f"{ID} IN (SELECT {ID} FROM ({counted}) WHERE {self._hit('label', 'num_rows')})"
        unlabelled = f"coalesce(len(list_distinct({labels})), 0) = 0"
        return Condition(self._or_unlabelled(unlabelled, keep), str(self), {self.of: f"{labels}[1:{SHOWN_ITEMS}]"})

    def _hit(self, label: str, num_rows: str) -> str:
        return f"{uniform(self.seed, ID, label)} * {num_rows} < {self.t}"

    def _or_unlabelled(self, unlabelled: str, keep: str) -> str:
        return f"(({unlabelled}) OR ({keep}))" if self.unlabelled == "keep" else keep

    def __str__(self) -> str:
        return f"balance of {self.of} at t = {self.t}"
