"""Near-duplicates: groups of rows side by side, and what is near one image."""

from __future__ import annotations

from starlette.responses import Response

from tuwen.errors import UsageError
from tuwen.explorer.cards import cards
from tuwen.explorer.duplicates import GROUPS, Column, cluster_columns, groups, near_by_hash, page_of
from tuwen.explorer.similar import HASH
from tuwen.explorer.takedown import is_gone
from tuwen.explorer.visit import Routes, Visit

NEAR = 60  # images nearest to one that are shown


def duplicates(visit: Visit) -> Response:
    """Groups of a column, the largest first; with `of=ID` the images nearest to one."""
    if visit.argument("of"):
        return _near(visit, visit.argument("of"))
    columns = cluster_columns(visit.snapshot)
    if not columns:
        return visit.render("duplicates.html", columns=[], column=None, has_hashes=_has_hashes(visit))
    column = _column(columns, visit.argument("column"))
    asked = visit.argument("first")
    first = int(asked) if asked.isdecimal() and len(asked) <= 12 else 0
    found = groups(visit.snapshot, column)
    return visit.render(
        "duplicates.html",
        columns=columns,
        column=column,
        has_hashes=_has_hashes(visit),
        groups=page_of(visit.snapshot, column, first),
        num_groups=len(found),
        num_rows=found.num_rows,
        first=first,
        before=max(first - GROUPS, 0) if first else None,
        after=first + GROUPS if first + GROUPS < len(found) else None,
    )


def _has_hashes(visit: Visit) -> bool:
    return HASH in visit.snapshot.columns["image"]


def _column(columns: list[Column], name: str) -> Column:
    found = next((each for each in columns if each.name == name), None)
    if name and found is None:
        raise UsageError(f"no column {name!r} of groups; there are {', '.join(each.name for each in columns)}")
    return found or columns[0]


def _near(visit: Visit, image_id: str) -> Response:
    snapshot = visit.snapshot
    row = int(snapshot.rows_of("image", [image_id])[0])
    if row < 0 or is_gone(snapshot, "image", row):
        raise UsageError(f"{image_id[:60]} is no image of this corpus")
    members = near_by_hash(snapshot, row, NEAR + 1)
    shown = list(zip(cards(snapshot, "image", [each.row for each in members]), members, strict=True))
    return visit.render("near.html", image_id=image_id, members=shown)


ROUTES: Routes = (("GET", "/duplicates", duplicates, 3.0),)
