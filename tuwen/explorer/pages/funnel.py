"""The steps of a selection, and how many rows each refuses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from tuwen.errors import UsageError
from tuwen.explorer.bands import strips
from tuwen.explorer.cards import cards
from tuwen.explorer.cutting import command
from tuwen.explorer.visit import Routes, Visit
from tuwen.selections.dials import dials
from tuwen.selections.saved import FOLDER, recipe_text, saved_names

EXAMPLES = 6


def funnel(visit: Visit) -> Response:
    """One selection's funnel; without a name all of them, small."""
    name = visit.argument("selection")
    if not name:
        return visit.render("funnels.html", saved=saved_names(visit.snapshot.corpus))
    selection = visit.snapshot.selection(name)
    ledger = visit.snapshot.ledger(name)
    is_saved = name in saved_names(visit.snapshot.corpus)
    return visit.render(
        "funnel.html",
        selection=selection,
        ledger=ledger,
        strips=strips(ledger.funnel(), ledger.num_rows),
        dials=dials(selection),
        is_saved=is_saved,
        is_new=is_saved and visit.argument("saved") == "now",
        file=visit.snapshot.corpus.path / FOLDER / f"{name}.yaml",
        command=command("funnel", visit.snapshot.corpus.path, "--selection", name),
        recipe=recipe_text(selection),
    )


def small(visit: Visit) -> Response:
    """One selection in a few lines, as a part of a page."""
    ledger = visit.snapshot.ledger(visit.argument("selection"))
    return visit.render("part_small_funnel.html", ledger=ledger, selection=ledger.selection)


def examples(visit: Visit) -> Response:
    """Rows that one step refused, as a part of a page."""
    selection = visit.snapshot.selection(visit.argument("selection"))
    step = visit.argument("step")
    if not step.isdecimal() or len(step) > 6 or int(step) > len(selection.steps):
        raise UsageError(f"step={step[:20]!r} is no step of {selection.name!r}; it has {len(selection.steps)}")
    rows = np.flatnonzero(visit.snapshot.verdicts(selection.name) == int(step))
    shown = cards(visit.snapshot, selection.unit, spread(rows, EXAMPLES)) if int(step) else []
    return visit.render("part_cards.html", cards=shown)


def spread(rows: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """A few of many, evenly spread."""
    if len(rows) <= number:
        return rows
    return rows[np.linspace(0, len(rows) - 1, number).astype(np.int64)]


ROUTES: Routes = (
    ("GET", "/funnel", funnel, 5.0),
    ("GET", "/funnel/small", small, 5.0),
    ("GET", "/funnel/examples", examples, 5.0),
)
