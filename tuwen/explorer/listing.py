"""A page of a view's rows: in the order they are stored, by a column, or by how well they answer a search."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.engine.search import Hit, Searcher
from tuwen.engine.search_request import Request
from tuwen.engine.search_rows import Links
from tuwen.errors import UsageError
from tuwen.explorer.cards import COLUMN, LIKE, RELEVANCE, SIMILARITY, Card, cards
from tuwen.explorer.facets import floats
from tuwen.explorer.scan import Scan, Stop, masks
from tuwen.explorer.similar import admitted, most_similar
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.selections.expressions import Expression

PAGE = 60
SEARCHED = 120  # hits that a search is asked for at most: more than people look through


@dataclass(frozen=True)
class Listing:
    """Cards of one page.

    `after`: where the next page starts, if there may be one. `read` of `total` rows were looked at; `finished` is
    false where the time was up first. `complete` is false where a search looked at its best hits only, so that more
    rows may fit. `notes`: what else to know, in sentences.
    """

    cards: list[Card]
    after: str = ""
    read: int = 0
    total: int = 0
    finished: bool = True
    notes: list[str] = field(default_factory=list)
    complete: bool = True


def listing(snapshot: Snapshot, view: View, uploads: Path, stop: Stop, size: int = PAGE) -> Listing:
    """One page of a view; `uploads`: where pictures lie that somebody dropped."""
    if view.is_search:
        return _found(snapshot, view, uploads, size)
    if view.sort:
        return _sorted(snapshot, view, stop, size)
    return _stored(snapshot, view, stop, size)


def _stored(snapshot: Snapshot, view: View, stop: Stop, size: int) -> Listing:
    first = _number(view.after) if view.after else 0
    scan = Scan(snapshot, view, stop=stop, first=first)
    rows, read = np.empty(0, np.int64), first
    for chunk in scan:
        rows, read = np.concatenate([rows, chunk.rows]), chunk.read
        if len(rows) > size:
            break
    full = len(rows) > size
    after = str(rows[size]) if full else "" if scan.finished else str(read)
    shown = cards(snapshot, view.unit, rows[:size])
    return Listing(shown, after, scan.total if scan.finished else read, scan.total, full or scan.finished)


def _number(text: str) -> int:
    if not text.isdigit():
        raise UsageError(f"after={text!r} is none that this page gave out")
    return int(text)


def _sorted(snapshot: Snapshot, view: View, stop: Stop, size: int) -> Listing:
    """The first rows by a column of numbers or times; rows without a value are left out."""
    found = re.fullmatch(r"([\w.]+?)(?: (asc|desc))?", view.sort)
    if found is None:
        raise UsageError(f"sort is COLUMN or COLUMN desc, not {view.sort!r}")
    column = snapshot.column(view.unit, found[1])
    if column.kind not in ("number", "time"):
        raise UsageError(f"rows are sorted by numbers or times; {column.name} holds neither")
    sign = -1.0 if found[2] == "desc" else 1.0
    least, least_row = _cursor(view.after)
    values, rows = np.empty(0), np.empty(0, np.int64)
    scan = Scan(snapshot, view, [column.name], stop=stop)
    read = 0
    for chunk in scan:
        read = chunk.read
        new = sign * floats(chunk.columns[column.name].combine_chunks())
        later = (new > least) | ((new == least) & (chunk.rows > least_row)) if view.after else ~np.isnan(new)
        values, rows = np.concatenate([values, new[later]]), np.concatenate([rows, chunk.rows[later]])
        if len(values) > 4 * size:
            values, rows = _first(values, rows, size + 1)
    values, rows = _first(values, rows, size + 1)
    full = len(rows) > size
    after = f"{float(values[size - 1])!r}:{rows[size - 1]}" if full else ""
    shown = cards(snapshot, view.unit, rows[:size])
    kept = snapshot.take(view.unit, rows[:size], [column.name])[column.name].to_pylist()
    shown = [replace(card, score=_shown(value), measure=COLUMN) for card, value in zip(shown, kept, strict=True)]
    return Listing(shown, after, scan.total if scan.finished else read, scan.total, scan.finished)


def _cursor(after: str) -> tuple[float, int]:
    value, _, row = after.partition(":")
    try:
        return (float(value), int(row)) if after else (-np.inf, -1)
    except ValueError:
        raise UsageError(f"after={after!r} is none that this page gave out") from None


def _first(
    values: NDArray[np.float64], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    order = np.lexsort([rows, values])[:k]
    return values[order], rows[order]


def _shown(value: object) -> str | None:
    """A value for people: four digits of a fraction, thousands parted."""
    if isinstance(value, float):
        value += 0.0  # which is never -0
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else None if value is None else str(value)


# Searches ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hits:
    """What a search found, the best first, of what the view's other terms admit: rows, scores, and how many alike
    each stands for. `found`: what is known of the hits of words or a meaning. `complete`: there are no others. `notes`:
    what else to know, in sentences."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    similar: NDArray[np.int64]
    found: dict[int, Hit]
    notes: list[str]
    complete: bool


def hits(snapshot: Snapshot, view: View, uploads: Path) -> Hits:
    """The best hits of a view that is a search, at most `SEARCHED`; a page's facets ask for the same ones again."""
    asked = view.changed(sort="")
    return snapshot.remembered(("hits", asked), lambda: _hits(snapshot, asked, uploads))


def _hits(snapshot: Snapshot, view: View, uploads: Path) -> Hits:
    if view.unit == "document":
        raise UsageError("a search finds pairs and images; look at one of these")
    if view.like or view.image:
        rows, scores, notes, complete = most_similar(snapshot, view, uploads, SEARCHED)
        similar, found = np.zeros(len(rows), np.int64), dict[int, Hit]()
    else:
        rows, scores, similar, notes, found, complete = _by_text(snapshot, view)
    for mask in masks(snapshot, view):
        keep = np.array([mask(row, row + 1)[0] for row in rows.tolist()], bool)
        rows, scores, similar = rows[keep], scores[keep], similar[keep]
    return Hits(rows, scores, similar, found, notes, complete)


def _found(snapshot: Snapshot, view: View, uploads: Path, size: int) -> Listing:
    first = _number(view.after) if view.after else 0
    found = hits(snapshot, view, uploads)
    page = slice(first, first + size)
    measure = LIKE if view.like or view.image else SIMILARITY if view.by == "meaning" else RELEVANCE
    shown = [
        replace(card, score=_score(measure, score), measure=measure, num_similar=int(number))
        for card, score, number in zip(
            _told(snapshot, cards(snapshot, view.unit, found.rows[page]), found.found),
            found.scores[page].tolist(),
            found.similar[page].tolist(),
            strict=True,
        )
    ]
    after = str(first + size) if len(found.rows) > first + size else ""
    total = snapshot.num_rows(view.unit)
    return Listing(shown, after, len(found.rows), total, True, found.notes, found.complete)


def _score(measure: str, score: float) -> float:
    return round(100 * score) if measure == LIKE else round(score, 3)


def _told(snapshot: Snapshot, shown: list[Card], found: Mapping[int, Hit]) -> list[Card]:
    """Cards of images with the text by which they were found, unless it was taken down since."""
    known = [(place, found[card.row]) for place, card in enumerate(shown) if card.unit == "image" and card.row in found]
    gone = snapshot.gone("pair")
    if gone is not None and known:
        rows = snapshot.rows_of("pair", [hit.pair_id or "" for _, hit in known]).tolist()
        known = [each for each, row in zip(known, rows, strict=True) if row >= 0 and not gone[row]]
    for place, hit in known:
        if hit.pair_id is not None:
            shown[place] = replace(shown[place], text=hit.text or "", source=hit.text_source, language=hit.language)
    return shown


def _by_text(
    snapshot: Snapshot, view: View
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], list[str], dict[int, Hit], bool]:
    searcher: Searcher = snapshot.prepared.get(
        ("searcher", *snapshot.version.values()),
        "the search",
        lambda: Searcher(snapshot.corpus, StoredLinks(snapshot)),
    )
    request = Request(view.q, view.by, where=view.where or None, unit=view.unit, top=SEARCHED, unsafe=True)
    found = searcher.search(request)
    rows = snapshot.rows_of(view.unit, found.ids)
    scores = np.array([hit.score for hit in found.hits])
    similar = np.array([hit.num_similar for hit in found.hits], np.int64)
    told = [note for note in found.notes if "hidden" not in note]  # nothing is hidden here: it is blurred
    return rows, scores, similar, told, dict(zip(rows.tolist(), found.hits, strict=True)), found.complete


class StoredLinks(Links):
    """As `Links`, from the snapshot's arrays on disk instead of 24 bytes a row in memory."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot.corpus)
        self._snapshot = snapshot

    def rows(self, table: str, keys: Sequence[str | None] | pa.Array) -> list[int]:
        """Row of each key; -1 where there is none."""
        return self._snapshot.index("image" if table == "images" else "pair").find(keys)

    def admitted(self, unit: str, where: str, keys: pa.Array) -> NDArray[np.bool_]:
        """Which rows `where` is true for."""
        return admitted(self._snapshot, unit, Expression.parse(where), self._snapshot.index(unit).rows(keys))

    def pairs_of(self, images: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the pairs of images: (place in `images`, row in pairs) of each."""
        rows = self._snapshot.index("image").rows(images)
        known = np.flatnonzero(rows >= 0)
        pairs = self._snapshot.pairs_of("image", rows[known])
        places = np.repeat(known, [len(each) for each in pairs])
        return places, np.concatenate([np.empty(0, np.int64), *pairs])


def id_asked(snapshot: Snapshot, text: str) -> list[tuple[str, str]]:
    """(unit, id) of the rows whose id is, or starts with, a text that looks like one; none where it does not."""
    prefix = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{6,32}", prefix):
        return []
    found: list[tuple[str, str]] = []
    for unit in ("image", "pair", "document"):
        rows: Sequence[int] = snapshot.index(unit).starting_with(prefix)[:10].tolist()
        found += [(unit, snapshot.id_of(unit, row)) for row in rows]
    return found
