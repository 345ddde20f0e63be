"""What a URL asks for as far as it can be shown, and what is left of it for the person to correct."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tuwen.errors import UsageError
from tuwen.explorer.similar import admitted
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View, joined, parsed
from tuwen.selections.expressions import Expression


@dataclass(frozen=True)
class Asked:
    """A view without the rules that cannot be used. `rule`: these, to be corrected; `problem`: what is wrong."""

    view: View
    rule: str = ""
    problem: str = ""


def asked(snapshot: Snapshot, items: Iterable[tuple[str, str]], unit: str) -> Asked:
    """From the parameters of a URL, `rule` among them: one more rule that somebody wrote."""
    given = list(items)
    more = [value.strip() for name, value in given if name == "rule" and value.strip()]
    try:
        view = View.from_query(given, unit)
    except UsageError:  # a rule that cannot be read, or whatever is told of the rest
        view = View.from_query([(name, value) for name, value in given if name != "where"], unit)
        more = [*(value for name, value in given if name == "where"), *more]
    good: list[str] = []
    bad: list[str] = []
    problem = ""
    for rule in [*view.rules, *more]:
        try:
            good += [str(each) for each in checked(snapshot, view.unit, rule).conjuncts()]
        except UsageError as error:
            bad, problem = [*bad, rule], problem or str(error)
    if bad or more:
        view = view.changed(where=joined(list(dict.fromkeys(good))))
    return Asked(view, " and ".join(bad), problem)


def checked(snapshot: Snapshot, unit: str, rule: str) -> Expression:
    """A rule that rows of a unit can be asked. `UsageError` for any other, with the nearest name of a column."""
    expression = parsed(rule)
    for name in expression.columns():
        snapshot.column(unit, name)
    admitted(snapshot, unit, expression, np.arange(min(1, snapshot.num_rows(unit))))
    return expression
