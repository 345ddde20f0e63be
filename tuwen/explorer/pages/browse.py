"""The first page: a grid of rows, a box to search, filters, and what a selection keeps beside what it refuses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.responses import PlainTextResponse, Response

from tuwen.errors import UsageError
from tuwen.explorer.around import remember
from tuwen.explorer.asked import Asked, asked, checked
from tuwen.explorer.facets import Count, count, facet, first_columns, rule_name
from tuwen.explorer.listing import Listing, hits, id_asked, listing
from tuwen.explorer.similar import keep_upload
from tuwen.explorer.view import Term, View
from tuwen.explorer.visit import Routes, Visit, redirect

HALF = 24  # rows on each side where kept and refused ones stand side by side
MAX_UPLOAD_BYTES = 30 << 20


def browse(visit: Visit) -> Response:
    """Rows of a view as a grid; an id in the box leads to its page."""
    found = asked(visit.snapshot, visit.request.query_params.multi_items(), visit.default_unit)
    view, problem = found.view, found.problem
    if view.q and not view.after:
        rows = id_asked(visit.snapshot, view.q)
        if len(rows) == 1:
            unit, id_ = rows[0]
            return redirect(f"/{unit}/{id_}")
    split = visit.argument("split")
    if split:
        return _side_by_side(visit, found, split)
    shown: Listing | None = None
    try:
        shown = _listing(visit, view)
    except UsageError as error:  # of a search by meaning without vectors, for instance: what was asked stays
        problem = problem or str(error)
    return visit.render(
        "browse.html",
        400 if problem else 200,
        view=view,
        listing=shown,
        columns=first_columns(visit.snapshot, view.unit, view),
        selections=_selections(visit, view),
        problem=problem,
        rule=found.rule,
    )


def _side_by_side(visit: Visit, found: Asked, name: str) -> Response:
    view = found.view
    selection = visit.snapshot.selection(name)
    view = view.changed(unit=selection.unit) if view.unit != selection.unit else view
    sides = []
    for kept in (True, False):
        own = view.with_term(Term(name, kept))
        sides.append((own, listing(visit.snapshot, own, visit.explorer.uploads, visit.stop, HALF)))
    columns = first_columns(visit.snapshot, view.unit, view)
    return visit.render(
        "split.html",
        400 if found.problem else 200,
        view=view,
        sides=sides,
        name=name,
        columns=columns,
        selections=_selections(visit, view),
        problem=found.problem,
        rule=found.rule,
    )


def _listing(visit: Visit, view: View) -> Listing:
    shown = listing(visit.snapshot, view, visit.explorer.uploads, visit.stop)
    remember(visit.snapshot, view, shown)
    return shown


def _selections(visit: Visit, view: View) -> list[str]:
    """Selections whose verdicts can be asked for here: of this unit, or of what a pair belongs to."""
    return [
        name
        for name, each in visit.snapshot.selections.items()
        if each.unit == view.unit or (view.unit == "pair" and each.unit in ("image", "document"))
    ]


def counts(visit: Visit) -> Response:
    """How many rows a view has, or a search found, as a part of a page."""
    if visit.view.is_search:
        shown = listing(visit.snapshot, visit.view, visit.explorer.uploads, visit.stop, 1)
        found = Count(shown.read, shown.complete)
    else:
        found = count(visit.snapshot, visit.view, visit.stop)
    return visit.render("part_count.html", view=visit.view, found=found)


def facets(visit: Visit) -> Response:
    """A column's values, as a part of a page; of a search, those of its hits."""

    def search(view: View) -> NDArray[np.int64]:
        return hits(visit.snapshot, view, visit.explorer.uploads).rows

    found = facet(visit.snapshot, visit.view, visit.argument("column"), visit.stop, search)
    return visit.render("part_facet.html", view=visit.view, facet=found, rule_name=rule_name)


def narrow(visit: Visit) -> Response:
    """A rule that somebody wrote, or a range, added to a view."""
    view = visit.view
    column, low, high = (visit.argument(name).strip() for name in ("column", "low", "high"))
    rules = [visit.argument("rule").strip()]
    if column and (low or high):
        rules = [f"{rule_name(column)} {sign} {value}" for sign, value in ((">=", low), ("<", high)) if value]
    try:
        for rule in filter(None, rules):
            checked(visit.snapshot, view.unit, rule)
            view = view.with_rule(rule)
    except UsageError:  # the page says why, with the rule in its field
        return redirect(view.changed().url(rule=" and ".join(rules)))
    return redirect(view.changed().url())


def dropped(visit: Visit) -> Response:
    """A picture that was dropped on the box: what is like it."""
    upload = visit.form.get("picture") if visit.form is not None else None
    if not isinstance(upload, UploadFile):
        raise UsageError("no picture was sent; drop one on the search box, or choose a file")
    data = upload.file.read(MAX_UPLOAD_BYTES + 1)
    if len(data) > MAX_UPLOAD_BYTES:
        raise UsageError(f"a picture to look for has at most {MAX_UPLOAD_BYTES >> 20} MB")
    if not data:
        raise UsageError("the file is empty; drop a picture")
    url = View(image=keep_upload(visit.explorer.uploads, data)).url()
    return PlainTextResponse(url) if visit.is_part else redirect(url)


ROUTES: Routes = (
    ("GET", "/", browse, 2.5),
    ("GET", "/count", counts, 2.5),
    ("GET", "/facet", facets, 2.5),
    ("GET", "/narrow", narrow, 1.0),
    ("POST", "/dropped", dropped, 5.0),
)
