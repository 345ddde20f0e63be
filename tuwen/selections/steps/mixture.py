"""A mixture of sources, languages, tiers or categories in given shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import ID, SURVIVORS, Condition, columns_of, require, uniform
from tuwen.selections.tree import literal


@dataclass(frozen=True)
class Mixture:
    """Keep rows so that the values of `of` have the `shares` that are asked for: `{wiki: 3, web: 1}`, or `even`.

    With `rows`, each value gets its share of that number, or all its rows where it has fewer. Without, as many rows
    stay as the shares allow: of the values that are there, the scarcest keeps all of its own. Who stays is drawn from
    `seed` and the row's id, so a smaller mixture is a subset of a larger one, and with `rows` a corpus that grows
    brings back no refused row. Values without a share, and null, are refused. For shares without loss, use the step
    `weight`.

    Mixtures of sources: Nguyen et al., "Quality not quantity", 2022. https://arxiv.org/abs/2208.05516
    Even draws over categories: WuDaoMM's base set. https://arxiv.org/abs/2203.11480
    """

    of: str
    shares: dict[str | int, float] | Literal["even"] = "even"
    rows: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        columns_of(self.of)
        require(self.rows is None or self.rows >= 0, f"mixture: rows must not be negative, got {self.rows}")
        if self.shares == "even":
            return
        require(bool(self.shares), "mixture: shares names at least one value, or is `even`")
        for value, share in self.shares.items():
            require(1e-9 <= share <= 1e9, f"mixture: the share of {value!r} must be 1e-9 to 1e9, got {share}")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(self.of)

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        group = f"CAST({Expression.parse(self.of).safe_sql()} AS VARCHAR)"
        known = f"SELECT g FROM (SELECT {group} AS g FROM {SURVIVORS}) WHERE {self._part('g')} IS NOT NULL"
        rank = f"row_number() OVER (PARTITION BY {group} ORDER BY {uniform(self.seed, ID)}, {ID})"
        limit = f"floor({self._part(group)} * {self._unit(known)} * (1 + 1e-12))"  # 0.3 of 10 rows are 3, not 2.99…
        value = {
            self.of: group,
            "rank": f"CASE WHEN {self._part(group)} IS NOT NULL THEN {rank} END",
            "limit": f"CAST({limit} AS BIGINT)",
        }
        return [Condition(f"{group} IS NOT NULL AND {rank} <= {limit}", str(self), value)]

    def _part(self, group: str) -> str:
        """SQL of a value's share, unscaled; null for a value that has none."""
        if self.shares == "even":
            return f"CASE WHEN {group} IS NOT NULL THEN 1.0::DOUBLE END"
        cases = " ".join(f"WHEN {literal(str(value))} THEN {share!r}::DOUBLE" for value, share in self.shares.items())
        return f"CASE {group} {cases} END"

    def _unit(self, known: str) -> str:
        """SQL of the number of rows that a share of 1 stands for."""
        if self.rows is None:
            scarcest = f"SELECT g, count(*) AS n FROM ({known}) GROUP BY g"
            return f"(SELECT min(n / {self._part('g')}) FROM ({scarcest}))"
        if self.shares != "even":
            return f"{self.rows / math.fsum(self.shares.values())!r}::DOUBLE"
        return f"({self.rows}::DOUBLE / (SELECT count(DISTINCT g) FROM ({known})))"

    def __str__(self) -> str:
        shares = self.shares
        told = shares if shares == "even" else ", ".join(f"{value} {share:g}" for value, share in shares.items())
        return f"mixture of {self.of}: {told}" + (f", {self.rows} rows" if self.rows is not None else "")
