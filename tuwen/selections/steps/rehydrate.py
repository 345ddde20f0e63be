"""Sampling weights from duplicates: what was copied often, and is good, is drawn more often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import SURVIVORS, WITHIN, Condition, columns_of, require
from tuwen.selections.tree import quoted


@dataclass(frozen=True)
class Rehydrate:
    """Keep every row; weigh it by how good the rows of its cluster size are, 1 up to `most`.

    `size` is the size of the row's cluster of duplicates (`document_cluster_size`), `filter` the name of a selection
    that judges quality. Sizes are pooled as 1, 2, 3–4, 5–8, … . Where `filter` refuses a smaller share than over
    all rows that reach the step, the weight rises in proportion, to `most` for the size with the smallest share; sizes
    of fewer than `min_rows` rows, and those with the overall share or more, weigh 1. Put it after
    `representative` and before `within: FILTER`. Weights end in the release's column `sampling_weight`.

    Penedo et al., "FineWeb2", 2025, section on rehydration. https://arxiv.org/abs/2506.20920
    **Differs from the paper:** made from its description; pools of sizes, and weights that are not whole numbers.
    """

    size: str
    filter: str
    most: float = 10.0
    min_rows: int = 100

    def __post_init__(self) -> None:
        columns_of(self.size)
        require(bool(self.filter), "rehydrate: filter takes the name of another selection")
        require(1 <= self.most < float("inf"), f"rehydrate: most must be at least 1, got {self.most}")
        require(self.min_rows >= 1, f"rehydrate: min_rows must be at least 1, got {self.min_rows}")

    @property
    def reads(self) -> tuple[str, ...]:
        return (*columns_of(self.size), WITHIN + self.filter)

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        size = f"TRY_CAST({Expression.parse(self.size).safe_sql()} AS DOUBLE)"
        size = f"CASE WHEN isfinite({size}) THEN {size} END"
        pool = f"CASE WHEN {size} IS NOT NULL THEN CAST(ceil(log2(greatest({size}, 1))) AS INTEGER) END"
        refused = f"CASE WHEN {quoted(WITHIN + self.filter)} THEN 0 ELSE 1 END"
        rate = f"(sum({refused}) OVER (PARTITION BY {pool}) / count(*) OVER (PARTITION BY {pool}))"
        overall = f"(sum({refused}) OVER () / count(*) OVER ())"
        enough = f"(count(*) OVER (PARTITION BY {pool}) >= {self.min_rows})"
        # Windows do not nest: the least rate of any pool is asked of the survivors as a query.
        pools = f"SELECT {pool} AS pool, sum({refused}) / count(*) AS rate, count(*) AS n FROM {SURVIVORS} GROUP BY 1"
        least = f"(SELECT min(rate) FROM ({pools}) WHERE n >= {self.min_rows} AND pool IS NOT NULL)"
        gain = f"({overall} - {rate}) / nullif({overall} - {least}, 0)"
        weight = f"CASE WHEN {enough} AND {size} IS NOT NULL AND {rate} < {overall} "
        weight += f"THEN 1 + {self.most - 1!r}::DOUBLE * ({gain}) ELSE 1.0::DOUBLE END"
        return [Condition("true", str(self), weight=weight)]

    def __str__(self) -> str:
        return f"rehydrate by {self.size} and {self.filter}"
