"""One image, pair or document: its picture, its texts, its columns, and why each selection kept or refused it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from starlette.responses import JSONResponse, Response

from tuwen.explorer.answers import answers, judged, limit_of
from tuwen.explorer.around import around
from tuwen.explorer.cards import TEXT_SOURCES, UNSCORED, Card, cards, safety
from tuwen.explorer.duplicates import Column, Member, cluster_columns, near_by_hash
from tuwen.explorer.places import IndexedPlaces
from tuwen.explorer.reading import reading
from tuwen.explorer.similar import HASH
from tuwen.explorer.snapshot import KEPT, Snapshot
from tuwen.explorer.takedown import is_gone, reason, removed
from tuwen.explorer.view import View
from tuwen.explorer.visit import Routes, Visit, redirect
from tuwen.selections.life import Cell, Life, words
from tuwen.selections.selection import UNITS, Selection
from tuwen.selections.why import why

TEXTS = 60  # different ones of an image that are shown; the grid has the others
READ_TEXTS = 600
SHOWN_NEAR = 6
HIDDEN = ("nodes", "image_ids", "text")  # columns that the page shows in words of their own


@dataclass(frozen=True)
class Text:
    """A text of an image. `kept`: selections of pairs that keep it. `times`: how often its pages say it."""

    id: str
    text: str
    source: str
    language: str | None
    kept: tuple[str, ...]
    times: int = 1


@dataclass(frozen=True)
class Written:
    """Columns that one stage wrote (None: they came with the row): those with a value, and names of the others."""

    stage: str | None
    cells: list[Cell]
    empty: list[str]


def image(visit: Visit) -> Response:
    """An image."""
    return _item(visit, "image")


def pair(visit: Visit) -> Response:
    """A pair."""
    return _item(visit, "pair")


def document(visit: Visit) -> Response:
    """A document."""
    return _item(visit, "document")


def _item(visit: Visit, unit: str) -> Response:
    snapshot, row_id = visit.snapshot, visit.request.path_params["id"].strip().lower()
    is_id = re.fullmatch("[0-9a-f]{32}", row_id) is not None
    row = int(snapshot.rows_of(unit, [row_id])[0]) if is_id else -1
    if row < 0:
        return _missing(visit, unit, row_id)
    places = IndexedPlaces(snapshot)
    if is_gone(snapshot, unit, row):
        return _taken_down(visit, unit, row_id, reason(snapshot, places, unit, row_id))
    fit, refused = judged(snapshot)
    life = _without_gone(snapshot, why(snapshot.corpus, row_id, fit, places))
    if visit.argument("format") == "json":
        return JSONResponse(life.to_json(), headers={"Cache-Control": "no-store"})
    return visit.render("item.html", **_shown(visit, places, life, row, fit), not_judged=refused)


def _missing(visit: Visit, unit: str, row_id: str) -> Response:
    """An id that is none of this unit: one of another unit, the start of one, or a 404 for people."""
    if (why_gone := removed(visit.snapshot, unit, row_id)) is not None:
        return _taken_down(visit, unit, row_id, why_gone)
    found: list[tuple[str, str]] = []
    if re.fullmatch("[0-9a-f]{6,32}", row_id):
        for other in UNITS:
            rows = visit.snapshot.index(other).starting_with(row_id)[:10]
            found += [(other, visit.snapshot.id_of(other, each)) for each in rows.tolist()]
    if len(found) == 1:
        return redirect(f"/{found[0][0]}/{found[0][1]}")
    if visit.argument("format") == "json":
        return JSONResponse({"error": f"no {unit} has the id {row_id[:60]}"}, 404)
    return visit.render("item_missing.html", 404, unit=unit, id=row_id, found=found)


def _taken_down(visit: Visit, unit: str, row_id: str, why_gone: str) -> Response:
    if visit.argument("format") == "json":
        return JSONResponse({"kind": unit, "id": row_id, "taken_down": why_gone}, 410)
    return visit.render("item_gone.html", 410, unit=unit, id=row_id, reason=why_gone)


def _without_gone(snapshot: Snapshot, life: Life) -> Life:
    """The life without the texts and pages around it that were taken down; their numbers stay."""
    origin = dict(life.origin)
    for name, unit in (("texts", "pair"), ("other_texts", "pair"), ("pages", "document")):
        if name in origin:
            origin[name] = _standing(snapshot, unit, origin[name])
    if origin.get("document"):
        origin["document"] = next(iter(_standing(snapshot, "document", [origin["document"]])), None)
    return replace(life, origin=origin)


def _standing(snapshot: Snapshot, unit: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    gone = snapshot.gone(unit)
    if gone is None:
        return list(rows)
    places = snapshot.rows_of(unit, [each[f"{unit}_id"] for each in rows])
    return [each for each, place in zip(rows, places, strict=True) if not gone[place]]


# What the page shows ----------------------------------------------------------------------------------------------


def _shown(
    visit: Visit, places: IndexedPlaces, life: Life, row: int, selections: Mapping[str, Selection]
) -> dict[str, Any]:
    snapshot, values = visit.snapshot, {cell.name: cell.value for cell in life.columns}
    beside = around(visit, life.kind, row, life.id)
    shown: dict[str, Any] = {
        "life": life,
        "values": values,
        "answers": answers(snapshot, life.kind, row, life.verdicts),
        "limit_of": limit_of,
        "value_of": value_of,
        "shown": shown_value,
        "written": _written(life),
        "around": beside,
        "view": beside.view or View(unit=visit.default_unit),
        "list": beside.view.as_list if beside.view else "",
        "image_id": life.id if life.kind == "image" else values.get("image_id"),
        "texts": [],
        "by_source": [],
        "num_texts": life.origin.get("num_texts", life.origin.get("num_other_texts", 0)),
        "title": _title(life, values),
        "reading": None,
        "near": [],
        "clusters": [],
    }
    if life.kind == "document":
        asked, at = visit.argument("from"), visit.argument("at")
        first = int(asked) if asked.isdecimal() and len(asked) <= 12 else None
        document_row = places.rows("document", [life.id])[0]
        shown["reading"] = reading(snapshot, document_row, at, first)
        return shown | {"safety": UNSCORED, "image_id": None, "image_gone": False}
    image_row = row if life.kind == "image" else _image_row(snapshot, shown["image_id"])
    shown["image_gone"] = image_row >= 0 and is_gone(snapshot, "image", image_row)
    if image_row < 0 or shown["image_gone"]:
        return shown | {"safety": UNSCORED, "image_id": None}
    shown["safety"] = safety(snapshot, "image", np.array([image_row]))[0]
    shown["texts"] = _texts(snapshot, image_row, selections, but=life.id)
    shown["by_source"] = [
        (name, list(own)) for name, own in itertools.groupby(shown["texts"], lambda text: text.source)
    ]
    if life.kind == "image":
        shown["title"] = next((text.text for text in shown["texts"]), "")
    return shown | {"near": _near(snapshot, image_row), "clusters": _clusters(snapshot, life.kind, values)}


def value_of(value: Any) -> str:
    """A value on one line: as `tuwen why` prints it, numbers and times shorter."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else words(value)


def shown_value(cell: Cell) -> str:
    """A column's value; of bytes how many there are."""
    if isinstance(cell.value, Mapping) and set(cell.value) == {"num_bytes"}:
        return f"{cell.value['num_bytes']:,} bytes"
    return value_of(cell.value)


def _title(life: Life, values: Mapping[str, Any]) -> str:
    return str(values.get("text" if life.kind == "pair" else "title") or values.get("url") or "")


def _image_row(snapshot: Snapshot, image_id: str | None) -> int:
    return int(snapshot.rows_of("image", [image_id])[0]) if image_id else -1


def _written(life: Life) -> list[Written]:
    stages: dict[str | None, list[Cell]] = {}
    for cell in life.columns:
        if cell.name not in HIDDEN:
            stages.setdefault(cell.stage, []).append(cell)
    return [
        Written(stage, [cell for cell in cells if cell.value is not None], [c.name for c in cells if c.value is None])
        for stage, cells in stages.items()
    ]


def _texts(snapshot: Snapshot, image_row: int, selections: Mapping[str, Selection], but: str) -> list[Text]:
    """Texts of an image, the most telling sources first and equal ones once, without the pair `but`."""
    (rows,) = snapshot.pairs_of("image", [image_row])
    gone = snapshot.gone("pair")
    rows = (rows if gone is None else rows[~gone[rows]])[:READ_TEXTS]
    known = ["language"] if "language" in snapshot.columns["pair"] else []
    taken = snapshot.take("pair", rows, ["pair_id", "text", "text_source", *known]).to_pylist()
    verdicts = {name: snapshot.verdicts(name) for name, each in selections.items() if each.unit == "pair"}
    found: dict[tuple[object, ...], Text] = {}
    for each, row in zip(taken, rows, strict=True):
        if each["pair_id"] == but:
            continue
        kept = tuple(name for name, said in verdicts.items() if said[row] == KEPT)
        key = each["text_source"], each["text"], each.get("language"), kept
        text = Text(each["pair_id"], each["text"] or "", each["text_source"], each.get("language"), kept, 0)
        found[key] = replace(found.get(key, text), times=found.get(key, text).times + 1)
    return sorted(found.values(), key=_telling)[:TEXTS]


def _telling(text: Text) -> tuple[int, str, int, str]:
    known = text.source in TEXT_SOURCES
    return (TEXT_SOURCES.index(text.source) if known else len(TEXT_SOURCES), text.source, -len(text.kept), text.id)


def _near(snapshot: Snapshot, image_row: int) -> list[tuple[Card, Member]]:
    """The images nearest by perceptual hash, if there are hashes."""
    if HASH not in snapshot.columns["image"]:
        return []
    members = [each for each in near_by_hash(snapshot, image_row, SHOWN_NEAR + 1) if each.row != image_row]
    return list(zip(cards(snapshot, "image", [each.row for each in members]), members, strict=True))


def _clusters(snapshot: Snapshot, unit: str, values: Mapping[str, Any]) -> list[tuple[Column, str, int]]:
    """Groups of near-duplicates that a row belongs to: column, its name, members."""
    return [
        (column, values[column.name], values[column.size])
        for column in cluster_columns(snapshot)
        if column.unit == unit and values.get(column.name) and (values.get(column.size) or 0) > 1
    ]


ROUTES: Routes = (
    ("GET", "/image/{id}", image, 3.0),
    ("GET", "/pair/{id}", pair, 3.0),
    ("GET", "/document/{id}", document, 3.0),
)
