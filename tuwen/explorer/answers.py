"""What selections said of one row, for people: the rule that refused with value and threshold, and all other rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tuwen.corpus.readable import readable_schema
from tuwen.errors import TuwenError, UsageError
from tuwen.explorer.snapshot import Snapshot
from tuwen.selections.expressions import Expression
from tuwen.selections.life import Verdict
from tuwen.selections.selection import NUM_KEPT_IMAGES, Selection
from tuwen.selections.steps import WITHIN
from tuwen.selections.tree import Call, Column, Constant, Node, Number

PASSED, REFUSED, NOT_ASKED = "passed", "refused", "not asked"
COMPARED = ("=", "<>", "<", ">", "<=", ">=", "between", "in", "is null", "is not null")
Types = Mapping[str, str]


@dataclass(frozen=True)
class Limit:
    """A rule that compares one column with constants: what it asks for. `operator`: of `COMPARED`, `yes` or `no`."""

    column: str
    operator: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One rule of a step. `values`: columns that it reads, or what it saw when it refused. `outcome`: passed, refused
    or not asked. `inner`: the selection that it asks."""

    step: int
    name: str
    rule: str
    values: Mapping[str, Any]
    outcome: str
    inner: str | None = None


@dataclass(frozen=True)
class Answer:
    """A selection's word on a row of its unit, with every rule it has."""

    selection: Selection
    verdict: Verdict
    checks: list[Check] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the selection."""
        return self.selection.name

    @property
    def limit(self) -> Limit | None:
        """What the rule that refused asks for, where it is as simple as that."""
        return limit_of(self.verdict)


def limit_of(verdict: Verdict) -> Limit | None:
    """What the rule that refused compares, where it is one column with constants and the column's value is known."""
    if verdict.rule is None or not isinstance(verdict.value, Mapping):
        return None
    try:
        found = _limit(Expression.parse(verdict.rule).root)
    except UsageError:
        return None  # the words of a step that is no rule
    return found if found is not None and found.column in verdict.value else None


def _limit(node: Node) -> Limit | None:
    if isinstance(node, Column):
        return Limit(node.name, "yes")
    if not isinstance(node, Call):
        return None
    first, *others = node.arguments
    if node.name == "not" and isinstance(first, Column):
        return Limit(first.name, "no")
    constants = tuple(_spelt(each) for each in others if isinstance(each, (Constant, Number)))
    if node.name not in COMPARED or not isinstance(first, Column) or len(constants) < len(others):
        return None
    return Limit(first.name, node.name, constants)


def _spelt(node: Constant | Number) -> str:
    return node.text if isinstance(node, Number) else str(node.value)


def judged(snapshot: Snapshot) -> tuple[dict[str, Selection], dict[str, str]]:
    """The selections that can be judged, and why the others cannot: one that asks for a column that is gone, say."""
    fit, refused = dict[str, Selection](), dict[str, str]()
    for name, selection in snapshot.selections.items():
        try:
            snapshot.ledger(name)
            fit[name] = selection
        except TuwenError as error:
            refused[name] = str(error)
    return fit, refused


def answers(snapshot: Snapshot, unit: str, row: int, verdicts: Sequence[Verdict]) -> list[Answer]:
    """The verdicts on a row of a unit with every rule that was passed, refused, or never asked."""
    selections = [snapshot.selections[verdict.selection] for verdict in verdicts]
    names = {name for each in selections for name in each.reads() if name in snapshot.columns[unit]}
    table = snapshot.take(unit, [row], sorted(names))
    types = _types(table)
    values = table.to_pylist()[0] if names else {}
    return [
        Answer(selection, verdict, _checks(selection, verdict, types, values))
        for selection, verdict in zip(selections, verdicts, strict=True)
    ]


def _types(table: pa.Table) -> Types:
    """DuckDB's names for the types of columns, as steps are told them."""
    import duckdb

    if not table.num_columns:
        return {}
    with duckdb.connect(":memory:") as connection:
        relation = connection.from_arrow(table.slice(0, 0).cast(readable_schema(table.schema)))
        return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def _checks(selection: Selection, verdict: Verdict, types: Types, values: Mapping[str, Any]) -> list[Check]:
    found: list[Check] = []
    refused = False
    for number, named in enumerate(selection.steps, start=1):
        reads = named.step.reads
        known = {name: types.get(name, _virtual(name)) for name in reads}
        inner = next((name.removeprefix(WITHIN) for name in reads if name.startswith(WITHIN)), None)
        for condition in named.step.conditions(known):
            here = not refused and number == verdict.step and condition.rule == verdict.rule
            seen = {name: values[name] for name in _columns(condition.rule, reads) if name in values}
            if here and isinstance(verdict.value, Mapping) and inner is None:
                seen = dict(verdict.value)
            outcome = REFUSED if here else NOT_ASKED if refused else PASSED
            refused = refused or here
            found.append(Check(number, named.name, condition.rule, seen, outcome, inner))
    return found


def _virtual(name: str) -> str:
    return "BOOLEAN" if name.startswith(WITHIN) else "INTEGER" if name == NUM_KEPT_IMAGES else "VARCHAR"


def _columns(rule: str, reads: Sequence[str]) -> Sequence[str]:
    """Columns of one part of a rule; of a step that has no such parts all that it reads."""
    try:
        return Expression.parse(rule).columns()
    except UsageError:
        return reads
