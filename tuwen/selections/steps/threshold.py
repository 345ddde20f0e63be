"""Thresholds that a corpus sets itself, language by language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.parts import nearest
from tuwen.selections.expressions import Expression
from tuwen.selections.steps import Condition, columns_of, require, require_number

QUANTILES = {"min": 0.0, "median": 0.5, "max": 1.0} | {
    f"p{percent:02}": percent / 100 for percent in (1, 2, 5, 10, 20, 25, 50, 75, 80, 90, 95, 98, 99)
}
MOMENTS = ("count", "mean", "stddev")
LARGEST = 10**9  # of a value in sums, which are exact: decimals, so that the order of adding cannot show


@dataclass(frozen=True)
class Threshold:
    """Keep rows whose `of`, a number, lies between limits that are computed from its distribution.

    `at_least` and `at_most` are expressions over statistics of `of` among the rows that reach the step and share the
    value of `per`: `min p01 p02 p05 p10 p20 p25 p50 median p75 p80 p90 p95 p98 p99 max mean stddev count`. FineWeb2's
    limit for the confidence of language identification is
    `{of: language_confidence, per: language, at_least: "greatest(0.3, least(0.9, median - stddev))"}`.
    A group of fewer than `min_rows` rows is judged by the statistics of all rows: a median of three means nothing. A
    row whose `of` is null is refused. As a corpus grows the limits move, so that refused rows may come back.

    Penedo et al., "FineWeb2", 2025. https://arxiv.org/abs/2506.20920
    **Differs from the paper:** statistics are of the corpus itself, not of a reference text; `mean` and `stddev` take
    values beyond ±10⁹ as that, and six decimals.
    """

    of: str
    at_least: str | float | None = None
    at_most: str | float | None = None
    per: str | None = None
    min_rows: int = 30

    def __post_init__(self) -> None:
        columns_of(self.of, *self._groups)
        require(bool(self._limits), "threshold: give at_least, at_most, or both, such as `at_least: p05`")
        require(self.min_rows >= 1, f"threshold: min_rows must be at least 1, got {self.min_rows}")
        known = (*QUANTILES, *MOMENTS)
        for side, limit in self._limits.items():
            for name in Expression.parse(limit).columns():
                require(name in known, f"threshold: {side} has no statistic {name!r}; {nearest(name, known)}")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(self.of, *self._groups)

    @property
    def _groups(self) -> tuple[str, ...]:
        return (self.per,) if self.per is not None else ()

    @property
    def _limits(self) -> dict[str, str]:
        given = {"at_least": self.at_least, "at_most": self.at_most}
        return {side: str(limit) for side, limit in given.items() if limit is not None}

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        require_number("threshold", self.of, types)
        number = f"TRY_CAST({Expression.parse(self.of).safe_sql()} AS DOUBLE)"
        groups = {text: Expression.parse(text).safe_sql() for text in self._groups}
        number = f"CASE WHEN isfinite({number}) THEN {number} END"
        limits = {side: self._threshold(limit, number, list(groups.values())) for side, limit in self._limits.items()}
        signs = {"at_least": ">=", "at_most": "<="}
        # One condition for both sides: a second one would see the statistics of what the first has left.
        keep = " AND ".join(f"{number} {signs[side]} {threshold}" for side, threshold in limits.items())
        return [Condition(keep, str(self), {**groups, self.of: number, **limits})]

    def _threshold(self, limit: str, number: str, groups: list[str]) -> str:
        threshold = self._sql(limit, number, "")
        for group in groups:
            window = f"PARTITION BY {group}"
            enough = f"count({number}) OVER ({window}) >= {self.min_rows}"
            threshold = f"CASE WHEN {enough} THEN {self._sql(limit, number, window)} ELSE {threshold} END"
        return threshold

    def _sql(self, limit: str, number: str, window: str) -> str:
        return f"({Expression.parse(limit).to_sql(lambda name: statistic(name, number, window))})"

    def __str__(self) -> str:
        words = {"at_least": "at least", "at_most": "at most"}
        limits = " and ".join(f"{words[side]} {limit}" for side, limit in self._limits.items())
        return f"{self.of} {limits}" + (f" per {self.per}" if self.per else "")


def statistic(name: str, number: str, window: str) -> str:
    """SQL of a statistic of the numbers in a window; the same on every run, whatever order they are added in."""
    if name in QUANTILES:
        return f"(quantile_cont({number}, {QUANTILES[name]!r}) OVER ({window}))"
    count = f"(count({number}) OVER ({window}))"
    if name == "count":
        return count
    value = f"CASE WHEN {number} IS NOT NULL THEN greatest(least({number}, {LARGEST}), -{LARGEST}) END"
    mean, square = (
        f"(CAST(sum(CAST({power} AS DECIMAL(38, 6))) OVER ({window}) AS DOUBLE) / {count})"
        for power in (value, f"({value}) * ({value})")
    )
    if name == "mean":
        return mean
    return f"sqrt(greatest({square} - {mean} * {mean}, 0))"
