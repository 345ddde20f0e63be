"""Balancing over concepts or any other label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tuwen.selections.expressions import Expression
from tuwen.selections.steps import ID, SHOWN_ITEMS, SURVIVORS, Condition, columns_of, require, uniform
from tuwen.selections.tree import Column, literal


@dataclass(frozen=True)
class Balance:
    """Keep a row with probability min(1, t / n), n being the number of rows that carry its label.

    Where `of` is a list, every label draws on its own and one hit keeps the row, so that a row of a rare concept stays
    whatever else it shows; a label counts once per row. Rows without a label are refused, or kept with
    `unlabelled: keep`. Each draw depends on seed, row and label alone: while counts grow and `t` is fixed (`t` without
    `like`), no refused row comes back.

    With `per` (a language, say) counts are made within each of its values, null and '' being one. Instead of `t`,
    `tail_share` in [0, 1] gives the share of all matches that labels below `t` may hold: t is the largest count for
    which that is so, in each value of `per`. With `t` and `like: en`, t is that of English, and its tail share sets the
    t of every other value.

    MetaCLIP, Xu et al. 2023, https://arxiv.org/abs/2309.16671, section 3.3, t = 20,000 for 400M pairs; t per language
    from one tail share, Chuang et al. 2025, https://arxiv.org/abs/2507.22062.
    **Differs from the paper:** seeded draws instead of a global generator; counts are of rows that reach the step; the
    way from tail share to t is made from its description.
    """

    of: str
    t: int | None = None
    seed: int = 0
    unlabelled: Literal["refuse", "keep"] = "refuse"
    per: str | None = None
    tail_share: float | None = None
    like: str | None = None

    def __post_init__(self) -> None:
        columns_of(self.of, *self._groups)
        require((self.t is None) != (self.tail_share is None), "balance: give either t or tail_share")
        require(self.t is None or self.t >= 1, f"balance: t must be at least 1, got {self.t}")
        share = self.tail_share
        require(share is None or 0 <= share <= 1, f"balance: tail_share must lie in [0, 1], got {share}")
        require(self.like is None or (self.per is not None and self.t is not None), "balance: like needs per and t")

    @property
    def reads(self) -> tuple[str, ...]:
        return columns_of(self.of, *self._groups)

    @property
    def _groups(self) -> tuple[str, ...]:
        return (self.per,) if self.per is not None else ()

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        label = Expression.parse(self.of)
        sql = label.safe_sql()
        if isinstance(label.root, Column) and types[label.root.name].endswith("]"):
            return [self._any_of(f"list_distinct({label.to_sql()})", {self.of: f"{label.to_sql()}[1:{SHOWN_ITEMS}]"})]
        one = f"CASE WHEN ({sql}) IS NOT NULL THEN [{sql}] END"
        if self.per is not None or self.tail_share is not None:
            return [self._any_of(one, {self.of: sql})]
        num_rows = f"count(*) OVER (PARTITION BY {sql})"
        value = {self.of: sql, "num_rows": f"CASE WHEN ({sql}) IS NOT NULL THEN {num_rows} END"}
        hit = f"{uniform(self.seed, ID, sql)} * {num_rows} < {self.t}"
        keep = self._or_unlabelled(f"({sql}) IS NULL", f"({sql}) IS NOT NULL AND {hit}")
        return [Condition(keep, str(self), value, expected=self._expected(one))]

    def _any_of(self, labels: str, value: Mapping[str, str]) -> Condition:
        hit = f"CASE WHEN n <= t THEN true ELSE {uniform(self.seed, '_row', 'label')} * n < t END"
        hits = f"SELECT _row FROM ({self._counted(labels)}) WHERE {hit}"
        unlabelled = f"coalesce(len({labels}), 0) = 0"
        keep = self._or_unlabelled(unlabelled, f"{ID} IN ({hits})")
        shown = {**value, **{text: Expression.parse(text).safe_sql() for text in self._groups}}
        return Condition(keep, str(self), shown, expected=self._expected(labels))

    def _expected(self, labels: str) -> str:
        """SQL of how many rows should stay: the sum of 1 - ∏(1 - min(1, t / n)), in exact decimals."""
        chance = "CAST(1 - product(1 - least(1, t / n)) AS DECIMAL(18, 9))"
        labelled = f"SELECT sum(p) FROM (SELECT {chance} AS p FROM ({self._counted(labels)}) GROUP BY _row)"
        others = f"SELECT count(*) FROM {SURVIVORS} WHERE coalesce(len({labels}), 0) = 0"
        return f"coalesce(({labelled}), 0)" + (f" + ({others})" if self.unlabelled == "keep" else "")

    def _counted(self, labels: str) -> str:
        """Rows (_row, label, n, t): every label of every survivor, its count, and the t of its group."""
        group = f"coalesce(CAST({Expression.parse(self.per).safe_sql()} AS VARCHAR), '')" if self.per else "''"
        rows = f"SELECT {ID} AS _row, {group} AS g, unnest({labels}) AS label FROM {SURVIVORS}"
        # A hash join, because a window would sort every label of every row.
        entries = f"SELECT g, label, count(*) AS n FROM ({rows}) GROUP BY ALL"
        counted = f"SELECT r.*, e.n FROM ({rows}) r JOIN ({entries}) e USING (g, label)"
        if self.tail_share is None and self.like is None:
            return f"SELECT *, {self.t} AS t FROM ({counted})"
        return f"SELECT c.*, l.t FROM ({counted}) c JOIN ({self._limits(entries)}) l USING (g)"

    def _limits(self, entries: str) -> str:
        """Rows (g, t): the largest t for which labels of smaller counts hold at most the tail share of the matches."""
        share = f"{self.tail_share!r}::DOUBLE"
        if self.like is not None:
            tail = f"SELECT sum(n) FILTER (n < {self.t}) / sum(n) FROM ({entries}) WHERE g = {literal(self.like)}"
            nobody = literal(f"balance: like: no row that reaches the step has {self.per} = {self.like}")
            reached = f"(SELECT count(*) FROM {SURVIVORS})"  # none at all is nothing to complain about
            share = f"CASE WHEN ({tail}) IS NULL AND {reached} > 1 THEN error({nobody}) ELSE coalesce(({tail}), 0) END"
        running = "sum(n) OVER (PARTITION BY g ORDER BY n RANGE UNBOUNDED PRECEDING)"
        tails = f"SELECT g, n, {running} AS below, sum(n) OVER (PARTITION BY g) AS total FROM ({entries})"
        found = f"coalesce(min(n) FILTER (below > {share} * total), max(n))"
        known = f"CASE WHEN g = {literal(self.like)} THEN {self.t} ELSE {found} END" if self.like is not None else found
        return f"SELECT g, {known} AS t FROM ({tails}) GROUP BY g"

    def _or_unlabelled(self, unlabelled: str, keep: str) -> str:
        return f"(({unlabelled}) OR ({keep}))" if self.unlabelled == "keep" else keep

    def __str__(self) -> str:
        limit = f"tail share {self.tail_share}" if self.t is None else f"t = {self.t}"
        return f"balance of {self.of} at {limit}" + (f" of {self.like}" if self.like else "") + self._told_per()

    def _told_per(self) -> str:
        return f" per {self.per}" if self.per else ""
