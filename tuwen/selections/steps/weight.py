"""A sampling weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import Condition, columns_of, require_number


@dataclass(frozen=True)
class Weight:
    """Keep every row whose weight is positive, and give it that weight: how often it is to be drawn, relative to 1.

    `by` is an expression, such as `if(editorial >= 0.5, 1, 0.1)` for WuDaoMM's two tiers or
    `case language when 'en' then 0.3 else 1 end`. Weights of several steps are multiplied. They stand in the release as
    the column `sampling_weight`; nothing is repeated in its files. Weights and products that are null, zero, negative
    or infinite refuse.

    Tiers sampled by weight: Yuan et al., "WuDaoMM", 2022. https://arxiv.org/abs/2203.11480
    """

    by: str | float

    def __post_init__(self) -> None:
        columns_of(str(self.by))

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(str(self.by))

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        require_number("weight", str(self.by), types)
        weight = f"TRY_CAST({Expression.parse(str(self.by)).safe_sql()} AS DOUBLE)"
        keep = f"({weight} > 0 AND isfinite({weight}))"
        return [Condition(keep, str(self), {str(self.by): f"CAST({weight} AS VARCHAR)"}, weight=weight)]

    def __str__(self) -> str:
        return f"weight {self.by}"
