"""The first part of an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression, Order, known_sql
from tuwen.selections.steps import Condition, columns_of, order_by, require


@dataclass(frozen=True)
class Top:
    """Keep the `share` in (0, 1] of rows, or the number `rows`, that come first in the order `by`, then by id.

    With `per`, the share or number is that of each of its values: the fifth of every language with the lowest
    perplexity is `{by: perplexity, share: 0.2, per: language}`. Rows for which `per` or the first key of the order is
    null (or NaN) are refused. The lowest fifth by perplexity: POINTS, Liu et al. 2024. https://arxiv.org/abs/2409.04828
    """

    by: str | tuple[str, ...]
    share: float | None = None
    rows: int | None = None
    per: str | None = None

    def __post_init__(self) -> None:
        columns_of(*self._groups, orders=self._by)
        require(bool(self._by), "top: by needs at least one order, such as `score desc`")
        require((self.share is None) != (self.rows is None), "top: give either share or rows")
        require(self.share is None or 0 < self.share <= 1, f"top: share must lie in (0, 1], got {self.share}")
        require(self.rows is None or self.rows >= 0, f"top: rows must not be negative, got {self.rows}")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(*self._groups, orders=self._by)

    @property
    def _by(self) -> tuple[str, ...]:
        return (self.by,) if isinstance(self.by, str) else self.by

    @property
    def _groups(self) -> tuple[str, ...]:
        return (self.per,) if self.per is not None else ()

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        first = known_sql(Order.parse(self._by[0]).expression.safe_sql())
        groups = {text: Expression.parse(text).safe_sql() for text in self._groups}
        known = " AND ".join(f"({sql}) IS NOT NULL" for sql in (first, *groups.values()))
        partition = ", ".join(f"({sql})" for sql in (f"({known})", *groups.values()))
        rank = f"row_number() OVER (PARTITION BY {partition} ORDER BY {order_by(self._by)})"
        limit = str(self.rows)
        if self.share is not None:
            limit = f"ceil({self.share!r}::DOUBLE * count(*) OVER (PARTITION BY {partition}))"
        value = {
            **groups,
            str(Order.parse(self._by[0]).expression): first,
            "rank": f"CASE WHEN {known} THEN {rank} END",
            "limit": f"CASE WHEN {known} THEN CAST({limit} AS BIGINT) END",
        }
        return [Condition(f"{known} AND {rank} <= {limit}", str(self), value)]

    def __str__(self) -> str:
        size = f"{self.share:.4g} of rows" if self.rows is None else f"{self.rows} rows"
        return f"top {size}" + (f" per {self.per}" if self.per else "") + f" by {', '.join(self._by)}"
