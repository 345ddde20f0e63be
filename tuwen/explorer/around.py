"""The rows before and after one: in the list that a link came from, else as they are stored."""

from __future__ import annotations

from dataclasses import dataclass

from tuwen.errors import TuwenError, UsageError
from tuwen.explorer.asked import asked
from tuwen.explorer.listing import Listing, listing
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.takedown import is_gone
from tuwen.explorer.view import View
from tuwen.explorer.visit import Visit

WAIT_S = 1.0  # for a list of the row's neighbours that is not remembered
FIRST, FIRST_OF_PAGE, LAST = "first", "first of page", "last"


class _TooLongError(Exception):
    """A list was not read to the end in time."""


@dataclass(frozen=True)
class Page:
    """Ids of one page of a list, and where the next one starts."""

    ids: tuple[str, ...]
    after: str


@dataclass(frozen=True)
class Around:
    """Links to the rows before and after one, and, where there is none, which `end` of the list this is.

    `view`: the list that both are of; None where these are the neighbours as stored.
    """

    prev: str | None = None
    next: str | None = None
    view: View | None = None
    ends: tuple[str, ...] = ()


def remember(snapshot: Snapshot, view: View, shown: Listing) -> None:
    """A page as somebody has seen it: the rows that are opened from it ask for it again."""
    if view.as_list and shown.finished:
        page = Page(tuple(card.id for card in shown.cards), shown.after)
        snapshot.remembered(("page", view), lambda: page)


def around(visit: Visit, unit: str, row: int, row_id: str) -> Around:
    """The neighbours of a row in the list that the URL names; as stored where it names none that can be shown."""
    view = _list_of(visit, unit)
    try:
        page = _page(visit, view) if view else None
    except TuwenError:  # columns that are not there, a search that cannot be made: such a list nobody came from
        view = page = None
    if view is None:
        return _stored(visit.snapshot, unit, row)
    if page is None or row_id not in page.ids:
        return Around(view=view)
    at = page.ids.index(row_id)
    before, after = (page.ids[i] if 0 <= i < len(page.ids) else None for i in (at - 1, at + 1))
    following, is_last = view, after is None and not page.after
    if after is None and page.after:
        following = view.changed(after=page.after)
        later = _page(visit, following)
        after, is_last = (later.ids[0], False) if later and later.ids else (None, later is not None)
    ends = [] if before else [FIRST_OF_PAGE if view.after else FIRST]
    return Around(
        f"/{unit}/{before}{view.as_list}" if before else None,
        f"/{unit}/{after}{following.as_list}" if after else None,
        view,
        (*ends, LAST) if is_last else tuple(ends),
    )


def _list_of(visit: Visit, unit: str) -> View | None:
    try:
        found = asked(visit.snapshot, visit.request.query_params.multi_items(), unit)
    except UsageError:
        return None
    return found.view if found.view.unit == unit and found.view.as_list and not found.problem else None


def _page(visit: Visit, view: View) -> Page | None:
    """A page of a list; None where it cannot be read in time."""

    def make() -> Page:
        stop = Stop(WAIT_S)
        if visit.stop.is_cancelled:
            stop.cancel()
        shown = listing(visit.snapshot, view, visit.explorer.uploads, stop)
        if not shown.finished:
            raise _TooLongError
        return Page(tuple(card.id for card in shown.cards), shown.after)

    try:
        return visit.snapshot.remembered(("page", view), make)
    except _TooLongError:
        return None


def _stored(snapshot: Snapshot, unit: str, row: int) -> Around:
    """The rows stored before and after one, those that were taken down left out."""
    found: list[str | None] = []
    for step in (-1, 1):
        other = row + step
        while 0 <= other < snapshot.num_rows(unit) and is_gone(snapshot, unit, other):
            other += step
        there = 0 <= other < snapshot.num_rows(unit)
        found.append(f"/{unit}/{snapshot.id_of(unit, other)}" if there else None)
    return Around(found[0], found[1])
