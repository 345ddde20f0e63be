"""What is on screen as a selection: rules, verdicts of other selections, and the rows that a search or lasso found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuwen.corpus.tables import TABLES
from tuwen.errors import UsageError
from tuwen.explorer.listing import SEARCHED, listing
from tuwen.explorer.scan import Scan, Stop
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import Term, View
from tuwen.selections.dials import rule_of
from tuwen.selections.expressions import Expression
from tuwen.selections.selection import UNITS, NamedStep, Selection
from tuwen.selections.steps.rule import Rule
from tuwen.selections.steps.within import Within
from tuwen.selections.tree import literal, quoted

MOST_IDS = 500  # in a rule; a longer list is a column, which tuwen join brings


class TooManyError(UsageError):
    """More rows than a rule can name; they have to be joined as a list of ids."""


def selection_of(snapshot: Snapshot, view: View, name: str, uploads: Path, stop: Stop) -> Selection:
    """A selection that keeps what a view shows. `UsageError` says what of it no selection can say, and what to do."""
    steps = [step for term in view.terms for step in _steps_of(snapshot, view.unit, term)]
    steps += [NamedStep(Rule(rule)) for rule in view.rules]
    if view.is_search or view.lasso:
        steps.append(NamedStep(Rule(_among(view.unit, _ids(snapshot, view, uploads, stop))), _found_by(view)))
    return Selection(name, view.unit, tuple(steps))


def _found_by(view: View) -> str:
    if view.lasso:
        return "drawn on the map"
    return f"found by {view.q!r}"[:100] if view.q else "like a picture"


def _steps_of(snapshot: Snapshot, unit: str, term: Term) -> Iterator[NamedStep]:
    selection = snapshot.selection(term.selection)
    if term.step is None and term.kept:
        yield NamedStep(Within(term.selection))
    elif term.step is None:
        yield NamedStep(Rule(f"not {_within(term.selection)}"), f"not within {term.selection}")
    else:
        yield from _refused_at(selection, unit, term.step)


def _within(name: str) -> str:
    return quoted(f"within:{name}")


def _refused_at(selection: Selection, unit: str, step: int) -> Iterator[NamedStep]:
    """The steps before, and that one turned round."""
    if selection.unit != unit:
        raise UsageError(f"what {selection.name!r} refused at a step can be saved as a selection of {selection.unit}s")
    if step == 0:
        raise UsageError("what was taken down can be in no selection")
    named = selection.steps[step - 1] if step <= len(selection.steps) else None
    if named is None:
        raise UsageError(f"selection {selection.name!r} has {len(selection.steps)} steps, not {step}")
    rule = (
        rule_of(named.step) if not isinstance(named.step, Within) else Expression.parse(_within(named.step.selection))
    )
    if rule is None:
        raise UsageError(
            f"step {step} of {selection.name!r} ({named.name}) compares rows with each other, so no rule can say what "
            f"it refuses; save what {selection.name!r} refuses as a whole (is=!{selection.name}) instead"
        )
    yield from selection.steps[: step - 1]
    yield NamedStep(Rule(f"({rule}) is not true"), f"not: {named.name}"[:100])


def _ids(snapshot: Snapshot, view: View, uploads: Path, stop: Stop) -> list[str]:
    if view.is_search:
        found = listing(snapshot, view.changed(), uploads, stop, SEARCHED)
        return sorted(card.id for card in found.cards)
    rows: NDArray[np.int64] = np.empty(0, np.int64)
    scan = Scan(snapshot, view.changed(where="", terms=()), stop=stop)
    for chunk in scan:
        rows = np.concatenate([rows, chunk.rows])
        if len(rows) > MOST_IDS:
            raise TooManyError(f"more than {MOST_IDS} rows were drawn round, which no rule can name one by one")
    if not scan.finished:
        raise UsageError("the time was up before all rows were read; draw round fewer")
    key = TABLES[UNITS[view.unit]].key
    return sorted(str(each) for each in snapshot.take(view.unit, rows, [key])[key].to_pylist())


def _among(unit: str, ids: list[str]) -> str:
    if not ids:
        raise UsageError("nothing was found, so there is nothing to save")
    key = TABLES[UNITS[unit]].key
    return f"{key} in ({', '.join(map(literal, ids))})"


def ids_of(snapshot: Snapshot, view: View, stop: Stop) -> Iterator[str]:
    """Ids of all rows of a view that is no search, one a line, some thousands at a time."""
    key = TABLES[UNITS[view.unit]].key
    scan = Scan(snapshot, view, [key], stop=stop)
    for chunk in scan:
        yield "".join(f"{each}\n" for each in chunk.columns[key].to_pylist())
    if not scan.finished:
        raise UsageError("the time was up before all rows were read; narrow them")
