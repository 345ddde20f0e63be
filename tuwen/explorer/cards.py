"""Rows as people see them in a grid: a picture, a text, and what is known of their safety."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.engine.search_rows import UNSAFE_COLUMNS, UNSAFE_FROM
from tuwen.explorer.snapshot import Snapshot

TEXT_SOURCES = ("caption", "given", "alt", "title")  # the most telling first
PAGES = "num_pages"  # how many an image is on, as a stage counted them
SHOWN = 4  # pictures of a document
MAX_PICTURES = 100  # of a document, among which those are chosen
MAX_TEXTS = 40  # of an image that are looked at for the most telling one
SAFE, UNSAFE, UNSCORED = "safe", "unsafe", "unscored"
RELEVANCE, SIMILARITY, LIKE, COLUMN = "relevance", "similarity", "like", "column"


@dataclass(frozen=True)
class Card:
    """One row of a grid. `safety`: safe, unsafe or unscored; the last two are blurred.

    `pictures`: ids of images, one or none for pairs and images, four of a document. `score`: how well it
    answers a search, or the value that rows are sorted by; `measure` says which: the relevance of words, the similarity
    of vectors, how like a picture it is in percent, or the value of a column.
    """

    unit: str
    id: str
    row: int
    text: str
    pictures: tuple[str, ...] = ()
    safety: str = UNSCORED
    language: str | None = None
    source: str | None = None
    url: str | None = None
    num_texts: int = 0
    num_similar: int = 0
    score: float | str | None = None
    measure: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def cards(snapshot: Snapshot, unit: str, rows: Sequence[int] | NDArray[np.integer[Any]]) -> list[Card]:
    """Cards of rows, in the order asked for."""
    if not len(rows):
        return []
    made = {"pair": _pairs, "image": _images, "document": _documents}[unit]
    return made(snapshot, np.asarray(rows, np.int64))


def safety(snapshot: Snapshot, unit: str, rows: NDArray[np.int64]) -> list[str]:
    """For each row safe, unsafe or unscored: what the columns of a safety model say, of the row or of its image."""
    known = snapshot.columns[unit]
    names = [name for each in UNSAFE_COLUMNS for name in (each, f"image.{each}") if name in known]
    if not names:
        return [UNSCORED] * len(rows)
    values = snapshot.take(unit, rows, names)
    found = []
    for row in values.to_pylist():
        scores = [value for value in row.values() if value is not None and value == value]
        unsafe = any(value >= UNSAFE_FROM for value in scores)
        found.append(UNSAFE if unsafe else SAFE if scores else UNSCORED)
    return found


def _pairs(snapshot: Snapshot, rows: NDArray[np.int64]) -> list[Card]:
    known = [name for name in ("image_id", "language") if name in snapshot.columns["pair"]]
    taken = snapshot.take("pair", rows, ["pair_id", "text", "text_source", *known]).to_pylist()
    return [
        Card(
            "pair",
            each["pair_id"],
            int(row),
            each["text"] or "",
            (each["image_id"],) if each.get("image_id") else (),
            safe,
            each.get("language"),
            each["text_source"],
        )
        for each, row, safe in zip(taken, rows, safety(snapshot, "pair", rows), strict=True)
    ]


def _images(snapshot: Snapshot, rows: NDArray[np.int64]) -> list[Card]:
    ids = snapshot.take("image", rows, ["image_id"])["image_id"].to_pylist()
    of_image, gone = snapshot.pairs_of("image", rows), snapshot.gone("pair")
    if gone is not None:  # of a page that was taken down, for instance, while others still show the image
        of_image = [pairs[~gone[pairs]] for pairs in of_image]
    chosen = [pairs[:MAX_TEXTS] for pairs in of_image]
    known = ["language"] if "language" in snapshot.columns["pair"] else []
    texts = snapshot.take("pair", np.concatenate(chosen), ["pair_id", "text", "text_source", *known]).to_pylist()
    found, start = [], 0
    for id_, row, all_pairs, pairs, safe in zip(
        ids, rows, of_image, chosen, safety(snapshot, "image", rows), strict=True
    ):
        best: dict[str, Any] = min(texts[start : start + len(pairs)], key=_telling, default={})
        start += len(pairs)
        text = best.get("text") or ""
        source, language = best.get("text_source"), best.get("language")
        found.append(Card("image", id_, int(row), text, (id_,), safe, language, source, num_texts=len(all_pairs)))
    return found


def _telling(text: dict[str, Any]) -> tuple[int, str]:
    source = text["text_source"]
    return (TEXT_SOURCES.index(source) if source in TEXT_SOURCES else len(TEXT_SOURCES)), str(text["pair_id"])


def _documents(snapshot: Snapshot, rows: NDArray[np.int64]) -> list[Card]:
    known = [name for name in ("image_ids", "language") if name in snapshot.columns["document"]]
    taken = snapshot.take("document", rows, ["document_id", "title", "url", *known]).to_pylist()
    pictures = _own_pictures(snapshot, [each.get("image_ids") or () for each in taken])
    ids = list(dict.fromkeys(id_ for each in pictures for id_ in each))
    places = snapshot.rows_of("image", ids)
    there = [id_ for id_, place in zip(ids, places, strict=True) if place >= 0]
    told = dict(zip(there, safety(snapshot, "image", places[places >= 0]), strict=True))
    return [
        Card(
            "document",
            each["document_id"],
            int(row),
            each["title"] or each["url"] or "",
            shown,
            _worst([told.get(id_, UNSCORED) for id_ in shown]),
            each.get("language"),
            url=each["url"],
        )
        for each, row, shown in zip(taken, rows, pictures, strict=True)
    ]


def _own_pictures(snapshot: Snapshot, named: Sequence[Sequence[str | None]]) -> list[tuple[str, ...]]:
    """Of each document four pictures, in its order: those on the fewest pages, since logos and icons are on all."""
    pictures = [list(dict.fromkeys(id_ for id_ in each if id_))[:MAX_PICTURES] for each in named]
    if PAGES not in snapshot.columns["image"]:
        return [tuple(each[:SHOWN]) for each in pictures]
    ids = list(dict.fromkeys(id_ for each in pictures for id_ in each))
    places = snapshot.rows_of("image", ids)
    there = [id_ for id_, place in zip(ids, places, strict=True) if place >= 0]
    pages = dict(zip(there, snapshot.take("image", places[places >= 0], [PAGES])[PAGES].to_pylist(), strict=True))
    chosen = [sorted(each, key=lambda id_: pages.get(id_) or 0)[:SHOWN] for each in pictures]
    return [tuple(id_ for id_ in each if id_ in own) for each, own in zip(pictures, chosen, strict=True)]


def _worst(safeties: Sequence[str]) -> str:
    """Of several pictures, the one that asks for most care."""
    return next((each for each in (UNSAFE, UNSCORED) if each in safeties), SAFE)
