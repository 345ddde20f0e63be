"""Two selections, or two releases, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tuwen.errors import TuwenError
from tuwen.explorer.cards import Card, cards
from tuwen.explorer.comparing import PARTS, Shift, Shifted, Shifts, comparable, counts, shifts, unit_of, view_of
from tuwen.explorer.cutting import Made, command
from tuwen.explorer.visit import Routes, Visit, redirect
from tuwen.releases.diff import Diff, diff
from tuwen.releases.manifest import read_manifest
from tuwen.releases.rows import key_column
from tuwen.selections.selection import UNITS

SHOWN = 6


def compare(visit: Visit) -> Response:
    """What both keep, what only one of them keeps, and what shifted."""
    snapshot = visit.snapshot
    made = visit.explorer.cutting.listed()
    a, b = visit.argument("a"), visit.argument("b")
    if not a and not b:
        a, b = next(iter(comparable(snapshot)), ("", ""))
    shared: dict[str, Any] = {"a": a, "b": b, "made": made, "name_of": lambda path: Path(path).name}
    if not a or not b:
        return visit.render("compare.html", kind="none", **shared)
    paths = {each.path for each in made}
    known = {*paths, *snapshot.selections}
    if {a, b} <= known and (a in paths) != (b in paths):
        if (suited := _suited(visit, a, b, made)) is None:
            return visit.render("compare.html", 400, kind="alone", **shared)
        return redirect(f"/compare?{urlencode(dict(zip('ab', suited, strict=True)))}")
    try:
        if a in paths and b in paths:
            return visit.render("compare.html", **_releases(visit, a, b), **shared)
        unit = unit_of(snapshot, a, b)
    except TuwenError as error:  # the lists stay, so that others can be chosen
        return visit.render("compare.html", 400, kind="wrong", problem=str(error), **shared)
    counted = counts(snapshot, unit, a, b, SHOWN)
    kept = {part: cards(snapshot, unit, counted.rows[part]) for part in PARTS}
    views = {part: view_of(unit, a, b, part) for part in PARTS}
    return visit.render("compare.html", kind="selections", unit=unit, counts=counted, cards=kept, views=views, **shared)


def _releases(visit: Visit, a: str, b: str) -> dict[str, Any]:
    """What the page shows of two releases. `UsageError` where they name their rows by different keys."""
    key = ("compared", a, b, *(Path(each).stat().st_mtime_ns for each in (a, b)))
    found: Diff = visit.snapshot.prepared.get(key, "what the two releases hold", lambda: diff(a, b))
    unit = _unit_of_release(a)
    examples = {"a": found.rows.removed_examples, "both": (), "b": found.rows.added_examples}
    shown = {part: _cards(visit, unit, ids) for part, ids in examples.items()}
    return {
        "kind": "releases",
        "found": found,
        "cards": shown,
        "spread": _spread(found),
        "command": command("diff", a, b),
    }


def _suited(visit: Visit, a: str, b: str, made: Sequence[Made]) -> tuple[str, str] | None:
    """A release and a selection cannot be compared: the two, with another one in place of the side that stayed.

    A person who looked at releases (`shown`) chose the selection, anybody else the release. None: nothing suits.
    """
    paths = [each.path for each in made]
    if visit.argument("shown") == "releases":
        chosen = b if a in paths else a
        names = next((names for names in comparable(visit.snapshot) if chosen in names), (chosen, chosen))
        other = names[0] if names[1] == chosen else names[1]
    else:
        chosen = a if a in paths else b
        others = [path for path in paths if path != chosen]
        if not others:
            return None
        unit = _unit_of_release(chosen)  # those of another one have no rows in common
        other = next((path for path in others if _unit_of_release(path) == unit), others[0])
    return (chosen, other) if chosen == a else (other, chosen)


def _unit_of_release(path: str) -> str:
    """What names the samples of a listed release: webdataset has one an image, whatever was selected. "": not known."""
    try:
        return key_column(read_manifest(Path(path))).removesuffix("_id")
    except (TuwenError, KeyError):  # a stranger's
        return ""


def _cards(visit: Visit, unit: str, ids: Sequence[str]) -> list[Card]:
    """Those of a release's samples that this corpus has, too."""
    if unit not in UNITS:
        return []
    rows = visit.snapshot.rows_of(unit, ids)
    return cards(visit.snapshot, unit, rows[rows >= 0][:SHOWN])


def _spread(found: Diff) -> Shifts:
    """A diff's distributions as those of selections are shown."""
    one, two = max(found.before.num_rows, 1), max(found.after.num_rows, 1)
    columns = [
        Shifted(
            each.name,
            100 * each.distance,
            [Shift(shift.value or "—", 100 * shift.before / one, 100 * shift.after / two) for shift in each.shifts],
            each.num_values,
        )
        for each in found.distributions
    ]
    return Shifts(columns, two, two, True)


def shifted(visit: Visit) -> Response:
    """Distributions of what the two keep, as a part of a page."""
    a, b = visit.argument("a"), visit.argument("b")
    unit = unit_of(visit.snapshot, a, b)
    return visit.render("part_shifts.html", found=shifts(visit.snapshot, unit, a, b, visit.stop), a=a, b=b)


ROUTES: Routes = (
    ("GET", "/compare", compare, 5.0),
    ("GET", "/compare/shifts", shifted, 12.0),
)
