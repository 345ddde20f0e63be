"""The map: a projection of vectors to two dimensions, and what a lasso on it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.responses import JSONResponse, Response

from tuwen.errors import UsageError
from tuwen.explorer.cards import cards
from tuwen.explorer.facets import floats
from tuwen.explorer.projection import CELLS, SIDE, Map, cells_of, map_of, of_first_pairs
from tuwen.explorer.security import policy
from tuwen.explorer.snapshot import KEPT, Snapshot
from tuwen.explorer.visit import Routes, Visit, redirect, short

GROUPS = 9  # colours that can be told apart; all other values share one
OF_TEXTS = ("language", "text_source")  # columns of the first text that an image has
WORDLESS = ("_id", "_ref", "_hash", "_cluster", "url", "text", "title", "given", "expected_hash", "source_unit")


def page(visit: Visit) -> Response:
    """The map, the squares of it as links, and what was drawn on it."""
    try:
        drawn = map_of(visit.snapshot)
    except UsageError as error:
        return visit.render("map_none.html", reason=str(error))
    view = visit.view.changed(unit=drawn.unit)
    cells = cells_of(visit.snapshot, drawn)
    shown = cards(visit.snapshot, drawn.unit, [cell.row for cell in cells])
    gone = visit.snapshot.gone(drawn.unit)
    response = visit.render(
        "map.html",
        view=view,
        drawn=drawn,
        cells=[pair for pair in zip(cells, shown, strict=True) if gone is None or not gone[pair[0].row]],
        side=SIDE,
        step=SIDE / CELLS,
        colours=colours_of(visit.snapshot, drawn),
        colour=visit.argument("color"),
        num_inside=int(drawn.inside(view.lasso).sum()) if view.lasso else 0,
    )
    response.headers["Content-Security-Policy"] = policy(style_src="'unsafe-inline'")  # Plotly styles its elements
    return response


def colours_of(snapshot: Snapshot, drawn: Map) -> list[str]:
    """What points can be coloured by: columns of the unit, of the first text of an image, and verdicts."""
    own = [
        column.name
        for column in snapshot.columns[drawn.unit].values()
        if column.kind in ("number", "flag", "text") and "." not in column.name and not column.name.endswith(WORDLESS)
    ]
    of_texts = [f"pair.{name}" for name in OF_TEXTS if drawn.unit == "image" and name in snapshot.columns["pair"]]
    said = [f"is:{name}" for name, each in snapshot.selections.items() if each.unit in ("pair", drawn.unit)]
    return [*of_texts, *own, *said]


def points(visit: Visit) -> Response:
    """The points as JSON: rows, x, y, and numbers (`values`) or places (`of`) in `labels` to colour them by."""
    drawn = map_of(visit.snapshot)
    found: dict[str, Any] = {"rows": drawn.rows.tolist()}
    found |= {axis: drawn.points[:, place].astype(float).round(2).tolist() for place, axis in enumerate("xy")}
    colour = visit.argument("color")
    if colour:
        if colour not in colours_of(visit.snapshot, drawn):
            raise UsageError(f"the points of the map cannot be coloured by {short(colour)}")
        found |= _coloured(visit.snapshot, drawn, colour, visit)
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def _coloured(snapshot: Snapshot, drawn: Map, colour: str, visit: Visit) -> dict[str, Any]:
    if colour.startswith("is:"):
        names = (visit.translated("refused"), visit.translated("kept"))
        return _grouped([names[kept] for kept in _kept(snapshot, drawn, colour.removeprefix("is:"))])
    if colour.startswith("pair."):
        return _grouped(of_first_pairs(snapshot, drawn, colour.removeprefix("pair.")))
    values = snapshot.take(drawn.unit, drawn.rows, [colour])[colour].combine_chunks()
    if snapshot.column(drawn.unit, colour).kind == "number":
        numbers = floats(values)
        return {"values": [value if np.isfinite(value) else None for value in numbers.tolist()]}
    return _grouped([None if value is None else str(value) for value in values.to_pylist()])


def _kept(snapshot: Snapshot, drawn: Map, name: str) -> list[bool]:
    """Whether a selection keeps the row of each point, or, of an image, any of its pairs."""
    verdicts = snapshot.verdicts(name)
    if snapshot.selection(name).unit == drawn.unit:
        return (verdicts[drawn.rows] == KEPT).tolist()  # type: ignore[no-any-return]
    return [bool((verdicts[pairs] == KEPT).any()) for pairs in snapshot.pairs_of(drawn.unit, drawn.rows)]


def _grouped(values: Sequence[str | None]) -> dict[str, Any]:
    """The commonest values by name, all others as one group, those that are missing as another."""
    counts = Counter(value for value in values if value is not None)
    names = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:GROUPS]]
    place = {name: number for number, name in enumerate(names)}
    of = [len(names) + 1 if value is None else place.get(value, len(names)) for value in values]
    return {"labels": [short(name, 30) for name in names], "of": of}


def card(visit: Visit) -> Response:
    """One point as a card, for whoever points at it."""
    drawn, row = map_of(visit.snapshot), _row(visit)
    gone = visit.snapshot.gone(drawn.unit)
    if not 0 <= row < visit.snapshot.num_rows(drawn.unit) or (gone is not None and gone[row]):
        raise UsageError("this is no row of the corpus any more; open the map again")
    return visit.render("part_map_card.html", cards=cards(visit.snapshot, drawn.unit, [row]))


def go(visit: Visit) -> Response:
    """The page of a point."""
    drawn, row = map_of(visit.snapshot), _row(visit)
    if not 0 <= row < visit.snapshot.num_rows(drawn.unit):
        raise UsageError("this is no row of the corpus any more; open the map again")
    return redirect(f"/{drawn.unit}/{visit.snapshot.id_of(drawn.unit, row)}")


def _row(visit: Visit) -> int:
    text = visit.argument("row")
    if not text.isdecimal() or len(text) > 12:
        raise UsageError("a point of the map is a number of a row")
    return int(text)


ROUTES: Routes = (
    ("GET", "/map", page, 5.0),
    ("GET", "/map/points", points, 5.0),
    ("GET", "/map/card", card, 2.5),
    ("GET", "/map/go", go, 2.5),
)
