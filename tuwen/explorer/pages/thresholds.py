"""A threshold that is moved: how many rows cross it, which they are, and what becomes of the funnel."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from starlette.responses import Response

from tuwen.errors import UsageError
from tuwen.explorer.cards import cards
from tuwen.explorer.facets import number
from tuwen.explorer.turning import (
    Histogram,
    admitting,
    crossing,
    decides,
    funnel_after,
    histogram,
    own_count,
    views_of,
)
from tuwen.explorer.visit import Routes, Visit
from tuwen.selections.dials import Dial, dial_at, dials, turned
from tuwen.selections.ledger import FunnelStep
from tuwen.selections.selection import Selection

SHOWN = 6


@dataclass(frozen=True)
class Asked:
    """Which number is moved, and where to."""

    selection: Selection
    dial: Dial
    value: str

    @property
    def moved(self) -> Selection:
        return turned(self.selection, self.dial, self.value)

    @property
    def is_moved(self) -> bool:
        return self.value != self.dial.value


def asked(visit: Visit) -> Asked:
    """From `selection`, `step`, `at` and `value` of a URL or a form. `UsageError` says what is wrong with them."""
    unmoved = named(visit)
    value = visit.argument("value").strip() or unmoved.value
    turned(unmoved.selection, unmoved.dial, value)  # refuses what is no number
    return replace(unmoved, value=value)


def named(visit: Visit) -> Asked:
    """The number that a URL or a form names, where it stands."""
    selection = visit.snapshot.selection(visit.argument("selection"))
    step, at = (visit.argument(name, "0") for name in ("step", "at"))
    if not all(each.isdecimal() and len(each) <= 6 for each in (step, at)):
        raise UsageError(f"step={step[:20]!r} and at={at[:20]!r} are none that this page gave out")
    dial = dial_at(selection, int(step), int(at))
    return Asked(selection, dial, dial.value)


def thresholds(visit: Visit) -> Response:
    """A threshold to move, its histogram, and places for what crosses it."""
    snapshot = visit.snapshot
    name = visit.argument("selection") or next((name for name, each in snapshot.selections.items() if dials(each)), "")
    if not name:
        return visit.render("thresholds.html", selection=None)
    selection = snapshot.selection(name)
    known = dials(selection)
    funnel = {step.step: step for step in snapshot.ledger(name).funnel()}
    if not known:
        return visit.render("thresholds.html", selection=selection, dials=[], funnel=funnel, asked=None)
    problem = ""
    if visit.argument("step"):
        chosen = named(visit)
        try:
            chosen = asked(visit)
        except UsageError as error:  # beside the field, and everything else stays
            problem = str(error)
    else:
        telling = [dial for dial in known if dial.compared] or known
        dial = max(telling, key=lambda each: funnel[each.step].lost)
        chosen = Asked(selection, dial, dial.value)
    found = histogram(snapshot, selection, chosen.dial, visit.stop)
    return visit.render(
        "thresholds.html",
        400 if problem else 200,
        selection=selection,
        dials=known,
        funnel=funnel,
        own={dial: own_count(snapshot, selection, dial, funnel[dial.step], visit.stop) for dial in known},
        problem=problem,
        admitting=admitting(snapshot, selection, chosen.dial),
        decides=decides(snapshot, selection, chosen.dial),
        asked=chosen,
        histogram=found,
        bars=bars(found) if found else [],
        position=position(found, chosen.value) if found else 0.0,
        old_position=position(found, chosen.dial.value) if found else 0.0,
        query=query(chosen),
    )


def query(chosen: Asked) -> dict[str, str]:
    """The parameters of the URL that ask for it."""
    dial = chosen.dial
    return {"selection": chosen.selection.name, "step": str(dial.step), "at": str(dial.at), "value": chosen.value}


def bars(found: Histogram) -> list[tuple[float, float, float, str]]:
    """For each bin its place, width and height, of 1000 by 100, and its words. Bins are equally wide to the eye."""
    width = 1000.0 / len(found.counts)
    return [
        (
            index * width,
            max(width - 1, 0.6),
            max(100.0 * (count / found.most) ** 0.5, 1.5) if count else 0.0,
            f"{number(found.edges[index])} – {number(found.edges[index + 1])}: {count:,}",
        )
        for index, count in enumerate(found.counts)
    ]


def position(found: Histogram, value: str) -> float:
    """Where a value stands, of 1000: between the edges that it lies between."""
    edges, limit = found.edges, float(value)
    width = 1000.0 / len(found.counts)
    if limit <= edges[0]:
        return 0.0
    for index, (low, high) in enumerate(itertools.pairwise(edges)):
        if low <= limit < high:
            return (index + (limit - low) / (high - low)) * width
    return 1000.0


def crossed(visit: Visit) -> Response:
    """Rows that cross, as a part of a page."""
    chosen = asked(visit)
    found = crossing(visit.snapshot, chosen.selection, chosen.dial, chosen.value, visit.stop)
    unit = chosen.selection.unit
    view_in, view_out = views_of(visit.snapshot, chosen.selection, chosen.dial, chosen.value)
    return visit.render(
        "part_crossing.html",
        asked=chosen,
        found=found,
        view_in=view_in,
        view_out=view_out,
        cards_in=cards(visit.snapshot, unit, found.rows_in[:SHOWN]) if found else [],
        cards_out=cards(visit.snapshot, unit, found.rows_out[:SHOWN]) if found else [],
    )


def after(visit: Visit) -> Response:
    """The whole funnel beside the one that there is, as a part of a page."""
    chosen = asked(visit)
    old = visit.snapshot.ledger(chosen.selection.name).funnel()
    new = funnel_after(visit.snapshot, chosen.moved, visit.stop) if chosen.is_moved else old
    return visit.render("part_funnels.html", asked=chosen, steps=paired(old, new), kept=(_left(old), _left(new)))


def _left(funnel: list[FunnelStep]) -> int:
    return funnel[-1].left if funnel else 0


def paired(old: list[FunnelStep], new: list[FunnelStep]) -> list[tuple[FunnelStep, FunnelStep]]:
    """Steps of two funnels side by side; takedowns appear only where both have them."""
    by_number = {step.step: step for step in new}
    return [(step, by_number[step.step]) for step in old if step.step in by_number]


ROUTES: Routes = (
    ("GET", "/thresholds", thresholds, 3.0),
    ("GET", "/thresholds/crossing", crossed, 8.0),
    ("GET", "/thresholds/funnel", after, 60.0),
)
