"""What is on screen, or a threshold that was moved, saved as a selection of the corpus."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from tuwen.errors import UsageError
from tuwen.explorer.keeping import TooManyError, ids_of, selection_of
from tuwen.explorer.pages.thresholds import asked, query
from tuwen.explorer.turning import funnel_after
from tuwen.explorer.view import View
from tuwen.explorer.visit import Routes, Visit, redirect
from tuwen.selections.saved import forget, recipe_text, save
from tuwen.selections.selection import Selection

MAX_NAME = 100


def proposed(visit: Visit, name: str) -> Selection:
    """The selection that a URL or a form describes."""
    if visit.argument("step"):
        return replace(asked(visit).moved, name=name)
    view = _view(visit)
    if not (view.rules or view.terms or view.is_search or view.lasso):
        raise UsageError("everything is shown: add a rule or a search first, then save what is left as a selection")
    return selection_of(visit.snapshot, view, name, visit.explorer.uploads, visit.stop)


def _view(visit: Visit) -> View:
    if visit.form is None:
        return visit.view
    items = [(name, value) for name, value in visit.form.multi_items() if isinstance(value, str)]
    return View.from_query(items, visit.view.unit)


def _parameters(visit: Visit) -> list[tuple[str, str]]:
    """What describes the selection, for the form."""
    return list(query(asked(visit)).items()) if visit.argument("step") else _view(visit).parameters()


def saving(visit: Visit) -> Response:
    """The recipe text of a selection, its funnel, and a field for its name."""
    name = visit.argument("name") or _free_name(visit)
    return _page(visit, name)


def _page(visit: Visit, name: str, problem: str = "", status: int = 200) -> Response:
    parameters = _parameters(visit)
    try:
        selection = proposed(visit, _free_name(visit))
    except TooManyError as error:
        return visit.render("too_many.html", 400, message=str(error), view=_view(visit))
    text = recipe_text(selection).replace(f"\n  {selection.name}:\n", "\n  NAME:\n", 1)
    return visit.render(
        "save.html",
        status,
        selection=selection,
        text=text,
        name=name,
        parameters=parameters,
        funnel_url=f"/save/funnel?{urlencode(parameters)}",
        problem=problem,
    )


def _free_name(visit: Visit) -> str:
    """A name that nobody has: after the selection that is changed, or the unit."""
    stem = visit.argument("selection") if visit.argument("step") else f"{_view(visit).unit}s"
    known = {name.casefold() for name in visit.snapshot.selections}
    return next(name for number in range(2, 10_000) if (name := f"{stem[:90]}-{number}").casefold() not in known)


def funnel(visit: Visit) -> Response:
    """What the selection would keep, as a part of a page."""
    selection = proposed(visit, _free_name(visit))
    steps = funnel_after(visit.snapshot, selection, visit.stop)
    return visit.render("part_new_funnel.html", selection=selection, steps=steps)


def save_it(visit: Visit) -> Response:
    """Write it into the corpus, and go on to its funnel."""
    name = visit.argument("name").strip()
    try:
        if not name:
            raise UsageError("a selection needs a name")
        save(visit.snapshot.corpus, proposed(visit, name), visit.snapshot.selections)
    except TooManyError:
        raise
    except UsageError as error:
        return _page(visit, name[:MAX_NAME], str(error), 400)
    visit.explorer.explored.renew()
    return redirect(f"/funnel?{urlencode({'selection': name, 'saved': 'now'})}")


def forget_it(visit: Visit) -> Response:
    """Delete a saved selection."""
    forget(visit.snapshot.corpus, visit.argument("selection"), visit.snapshot.selections)
    visit.explorer.explored.renew()
    return redirect("/funnel")


def ids(visit: Visit) -> Response:
    """Ids of the rows of a view, one a line, for `tuwen join`."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it; ten million ids are 330 MB)
    try:
        for lines in ids_of(visit.snapshot, visit.view.changed(), visit.stop):
            file.write(lines.encode())
    except BaseException:
        file.close()
        raise
    file.seek(0)
    headers = {"Content-Disposition": 'attachment; filename="ids.txt"'}
    return StreamingResponse(
        iter(lambda: file.read(1 << 20), b""),
        media_type="text/plain",
        headers=headers,
        background=BackgroundTask(file.close),
    )


ROUTES: Routes = (
    ("GET", "/save", saving, 10.0),
    ("GET", "/save/funnel", funnel, 60.0),
    ("POST", "/save", save_it, 20.0),
    ("POST", "/selections/forget", forget_it, 5.0),
    ("GET", "/ids.txt", ids, 30.0),
)
