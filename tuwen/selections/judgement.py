"""Judging a selection in DuckDB: every candidate meets its first refusing condition, or none.

Conditions that look at a row alone run in one pass over the scan, in a single CASE; one that looks at other rows gets
a pass of its own over the survivors so far.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.selections.candidates import TOMBSTONE, Candidates
from tuwen.selections.selection import Selection
from tuwen.selections.steps import ID, SURVIVORS, Condition
from tuwen.selections.tree import literal, quoted

if TYPE_CHECKING:
    import duckdb

WEIGHT = '"_weight"'
_DECIDED = "_decided"  # rows that earlier passes refused
_VERDICT = f"{ID}, _failed, _value, CASE WHEN _failed IS NULL THEN {WEIGHT} END AS {WEIGHT}"


@dataclass(frozen=True)
class Numbered:
    """A condition and the step that states it: 0 for takedowns, then the recipe's steps from 1."""

    step: int
    name: str
    condition: Condition
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """What came of a selection.

    `sql` gives one row per candidate: `_id`, `_failed` (index into `conditions`, null: kept), `_value` (JSON) and
    `_weight`, for sampling, which is null for rows that are refused, and for all rows of a selection that gives none.
    `expected`: index of a condition → how many rows it should have kept, for those that draw.
    """

    last: str
    conditions: list[Numbered]
    expected: dict[int, int] = field(default_factory=dict)
    num_passes: int = 1

    @property
    def sql(self) -> str:
        """The last pass is made when this runs."""
        return self.last if self.num_passes == 1 else f"FROM {_DECIDED} UNION ALL {self.last}"

    def settled(self, connection: duckdb.DuckDBPyConnection) -> str:
        """`sql` to be sorted: of one table, for DuckDB holds in memory what it sorts of several."""
        if self.num_passes == 1:
            return self.last
        connection.execute(f"INSERT INTO {_DECIDED} {self.last}")
        connection.execute(f"DROP TABLE {_pass_table(self.num_passes - 2)}")
        return f"FROM {_DECIDED}"


def judgement(
    connection: duckdb.DuckDBPyConnection, corpus: Corpus, selection: Selection, rows: Candidates
) -> Judgement:
    """Run all passes but the last, which is left to whoever runs the result.

    Raises `UsageError` for a condition that DuckDB cannot make sense of, or that is not a condition.
    """
    connection.execute("SET TimeZone = 'UTC'")  # the only zone in which a date is a fact and not an opinion
    connection.execute("SET error_on_division_by_zero = false")  # null, which refuses
    for table, columns in rows.tables.items():
        connection.register(table, corpus.stored(table, columns))
    relation = connection.sql(rows.sql)
    types = {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
    conditions = _conditions(selection, types)
    _check(connection, selection, conditions, types)
    return _passes(connection, rows.sql, conditions)


def _conditions(selection: Selection, types: Mapping[str, str]) -> list[Numbered]:
    gone = quoted(TOMBSTONE)
    takedown = Condition(f"{gone} IS NULL", "tombstone", {"tombstone": gone}, alone=True)
    found = [Numbered(0, "tombstone", takedown, (TOMBSTONE,))]
    for number, named in enumerate(selection.steps, start=1):
        reads = tuple(named.step.reads)
        known = {name: types[name] for name in reads}
        found += [Numbered(number, named.name, condition, reads) for condition in named.step.conditions(known)]
    return found


def _check(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    conditions: Sequence[Numbered],
    types: Mapping[str, str],
) -> None:
    """Try every condition on one row of nulls: types that do not fit and constants that mean nothing show there."""
    import duckdb

    columns = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in types.items())
    connection.execute(f"CREATE TEMP TABLE _nulls AS SELECT {columns}")  # a table: constants would fold away
    for numbered in conditions:
        where = f"selection {selection.name}, step {numbered.step} ({numbered.condition.rule})"
        judged = ", ".join(f"({sql})" for sql in _judged(numbered.condition))
        try:
            tried = connection.sql(f"WITH {SURVIVORS} AS (FROM _nulls) SELECT {judged} FROM {SURVIVORS}")
            kind = str(tried.types[0])
            tried.fetchall()
        except duckdb.Error as error:
            what = str(error).split("\n")[0].partition(": ")[2] or str(error)
            reads = ", ".join(f"{name} is {types[name]}" for name in numbered.reads)
            raise UsageError(f"{where}: {what}" + (f" ({reads})" if reads else "")) from None
        if kind != "BOOLEAN" and kind != '"NULL"':
            raise UsageError(f"{where}: a rule must be true or false, this is {kind}; compare it with something")


def _judged(condition: Condition) -> list[str]:
    """What DuckDB has to make sense of."""
    return [sql for sql in (condition.keep, condition.weight, condition.expected) if sql is not None]


def _passes(connection: duckdb.DuckDBPyConnection, source: str, conditions: list[Numbered]) -> Judgement:
    """A table for each pass but the last, which goes when the next one is made; what it refuses is put aside."""
    groups = [
        list(group)
        for _, group in itertools.groupby(
            enumerate(conditions), key=lambda item: -1 if item[1].condition.alone else item[0]
        )
    ]
    start = "1.0::DOUBLE" if any(numbered.condition.weight for numbered in conditions) else "NULL::DOUBLE"
    source = f"SELECT *, {start} AS {WEIGHT} FROM ({source})"
    expected: dict[int, int] = {}
    for number, group in enumerate(groups):
        index, numbered = group[0]
        if numbered.condition.expected is not None:
            query = f"WITH {SURVIVORS} AS ({source}) SELECT ({numbered.condition.expected})::DOUBLE"
            ((count,),) = connection.sql(query).fetchall()
            expected[index] = round(count or 0)
        later = {name: None for rest in groups[number + 1 :] for _, numbered in rest for name in numbered.reads}
        sql = _pass(source, group, list(later))
        if number == len(groups) - 1:
            return Judgement(f"SELECT {_VERDICT} FROM ({sql})", conditions, expected, len(groups))
        table = _pass_table(number)
        connection.execute(f"CREATE TEMP TABLE {table} AS {sql}")
        refused = f"SELECT {_VERDICT} FROM {table} WHERE _failed IS NOT NULL"
        connection.execute(
            f"INSERT INTO {_DECIDED} {refused}" if number else f"CREATE TEMP TABLE {_DECIDED} AS {refused}"
        )
        if number:
            connection.execute(f"DROP TABLE {_pass_table(number - 1)}")
        source = f"SELECT * EXCLUDE (_failed, _value) FROM {table} WHERE _failed IS NULL"
    raise AssertionError("a selection has a condition at least: takedowns")


def _pass_table(number: int) -> str:
    return f"_pass_{number}"


def _pass(source: str, group: Sequence[tuple[int, Numbered]], later: Sequence[str]) -> str:
    columns = ", ".join([ID, *map(quoted, later)])
    survivors = f"WITH {SURVIVORS} AS ({source})"
    index, numbered = group[0]
    if not numbered.condition.alone:
        # In one SELECT, so that a window of `keep` that appears in `value` is computed once.
        refused, weight = f"({numbered.condition.keep}) IS NOT TRUE", WEIGHT
        if numbered.condition.weight:
            weight = f"({WEIGHT} * ({numbered.condition.weight}))"
            refused = f"({refused} OR ({weight} > 0 AND isfinite({weight})) IS NOT TRUE)"  # products overflow, too
        return (
            f"{survivors} SELECT {columns}, CASE WHEN {refused} THEN {index}::SMALLINT END AS _failed, "
            f"CASE WHEN {refused} THEN {_value(numbered.condition)} END AS _value, {weight} AS {WEIGHT} "
            f"FROM {SURVIVORS}"
        )
    cases = " ".join(f"WHEN TRY({each.condition.keep}) IS NOT TRUE THEN {place}" for place, each in group)
    values = " ".join(f"WHEN {place} THEN {_value(each.condition)}" for place, each in group)
    return (
        f"{survivors} SELECT {columns}, _failed, CASE _failed {values} END AS _value, {WEIGHT} "
        f"FROM (SELECT *, CAST(CASE {cases} END AS SMALLINT) AS _failed FROM {SURVIVORS})"
    )


def _value(condition: Condition) -> str:
    members = ", ".join(f"{literal(label)}, {sql}" for label, sql in condition.value.items())
    return f"CAST(json_object({members}) AS VARCHAR)"
