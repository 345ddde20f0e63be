"""How the corpus, or what a selection keeps of it, is spread: one block for each question, each fetched by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from tuwen.explorer.facets import Value
from tuwen.explorer.scan import Stop
from tuwen.explorer.spread import HALF_OCTAVES, Answer, answer, cell_rule
from tuwen.explorer.spread_blocks import is_whole, sections
from tuwen.explorer.spread_charts import heat, histogram, rank_curve, span
from tuwen.explorer.view import View
from tuwen.explorer.visit import Routes, Visit
from tuwen.releases.charts import compact

IN_FULL_S = 3_600.0


def distributions(visit: Visit) -> Response:
    """Headings, what to look out for, and places for the answers."""
    view = scope(visit)
    found = sections(visit.snapshot, view)
    return visit.render(
        "distributions.html",
        view=view,
        sections=found,
        whole=is_whole(view),
        selections=list(visit.snapshot.selections),
    )


def scope(visit: Visit) -> View:
    """What the URL asks for; where it names a selection and no unit, rows of that selection's unit."""
    view = visit.view
    if visit.argument("unit") or not view.terms:
        return view
    return view.changed(unit=visit.snapshot.selection(view.terms[0].selection).unit)


def spread(visit: Visit) -> Response:
    """The answer to one question, as a part of the page: of what can be read at once, or (`all`) of all rows."""
    view, kind = visit.view.changed(q="", like="", image="", sort=""), visit.argument("kind")
    names = [name for name in visit.argument("columns").split(",") if name]
    snapshot = visit.snapshot
    if visit.argument("all"):

        def make() -> Answer:
            return answer(snapshot, view, kind, names, Stop(IN_FULL_S))

        key = ("spread", view, kind, *names, *snapshot.version.values())
        what = f"a count of all rows by {', '.join(names)}"
        found: Answer = snapshot.prepared.get(key, what, make, slow=True)  # other pages do not wait for it
    else:
        found = answer(snapshot, view, kind, names, visit.stop)
    more: dict[str, Any] = {"in_full": view.url("/spread", kind=kind, columns=",".join(names), all=1)}
    return visit.render(
        "part_spread.html", view=view, kind=kind, names=names, found=found, **more, charts=_Charts(view, names, found)
    )


class _Charts:
    """What the template of an answer draws, and where its marks lead."""

    def __init__(self, view: View, names: list[str], found: Answer) -> None:
        self._view, self._names, self._found = view, names, found
        self.span = partial(span, HALF_OCTAVES.tolist())

    def url(self, value: Value) -> str:
        """The rows of a value in the grid."""
        return self._view.with_rule(value.rule).url()

    def cell_url(self, cell: tuple[int, int, int]) -> str:
        """The rows of a cell in the grid."""
        return self._view.with_rule(cell_rule(self._names, cell)).url()

    def number(self, value: float) -> str:
        """A number in few characters: 0.0123, 12.3, 1,234, 34k."""
        return f"{value:.3g}" if abs(value) < 1000 else compact(value)

    def histogram(self, values: list[Value], label: str) -> str:
        return histogram(values, self.url, label)

    def heat(self, label: str) -> str:
        across, up = self._names
        return heat(self._found.cells, HALF_OCTAVES.tolist(), self.cell_url, label, across, up)

    def ranks(self, across: str, up: str) -> str:
        return rank_curve(self._found.ranks, across, up)

    @property
    def fullest(self) -> list[tuple[int, int, int]]:
        """The cells with most rows."""
        return sorted(self._found.cells, key=lambda cell: -cell[2])[:20]


ROUTES: Routes = (
    ("GET", "/distributions", distributions, 2.5),
    ("GET", "/spread", spread, 2.5),
)
