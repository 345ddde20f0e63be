"""The map: vectors of images or texts laid out in the plane so that what is alike lies together.

A sample of rows that depends on nothing but their number is reduced to its first principal components and, where
scikit-learn is installed, laid out by t-SNE: van der Maaten and Hinton 2008, https://www.jmlr.org/papers/v9/vandermaaten08a.html
What was made lies in `cache/explorer` of the corpus.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.corpus.tables import digest
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.engine.search_vectors import VectorColumn, vector_column
from tuwen.errors import UsageError
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.selections.selection import UNITS
from tuwen.stages.words import words_of

MAX_SAMPLED = 5_000  # Plotly draws so many as SVG; its WebGL compiles code, which our pages' policy forbids
COMPONENTS = 50  # that t-SNE is given
SIDE = 100.0  # of the map
CELLS = 8  # a side
FEWEST = 8  # points that t-SNE can do anything with
NUM_WORDS = 6
VERSION = 1  # of what is made of equal vectors
Point = tuple[float, float]


@dataclass(frozen=True)
class Map:
    """Rows of a unit, ascending, and where they lie: (N, 2) from 0 to `SIDE`. `total`: rows that there are."""

    unit: str
    column: str
    model: str | None
    method: str
    rows: NDArray[np.int64]
    points: NDArray[np.float32]
    total: int

    def inside(self, polygon: tuple[Point, ...]) -> NDArray[np.bool_]:
        """Which points lie in a polygon."""
        return in_polygon(self.points, polygon)


def map_of(snapshot: Snapshot) -> Map:
    """The map of a corpus. `UsageError` where it has no vectors that could be compared."""
    vectors = vector_column(snapshot.corpus)
    unit = next(unit for unit, table in UNITS.items() if table == vectors.table)
    method = "t-SNE" if importlib.util.find_spec("sklearn") else "PCA"
    content = snapshot.corpus.content(vectors.table, vectors.column)
    name = digest("map", VERSION, method, snapshot.rows_digest(vectors.table), vectors.column, content)
    file = snapshot.folder / f"map-{name}.npz"

    def make() -> Map:
        rows, points = _stored(file) or _made(snapshot, unit, vectors, method, file)
        kind = method if len(rows) >= FEWEST else "PCA"
        column = f"{vectors.table}.{vectors.column}"
        return Map(unit, column, vectors.model, kind, rows, points, snapshot.num_rows(unit))

    found: Map = snapshot.prepared.get(("map", name), "the map of what is alike", make, slow=True)
    gone = snapshot.gone(unit)
    if gone is None:
        return found
    standing = ~gone[found.rows]
    return replace(found, rows=found.rows[standing], points=found.points[standing])


def _stored(file: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    try:
        with np.load(file) as kept:
            return kept["rows"], kept["points"]
    except (OSError, ValueError, KeyError):
        return None


def _made(
    snapshot: Snapshot, unit: str, vectors: VectorColumn, method: str, file: Path
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    total = snapshot.num_rows(unit)
    rows = np.unique(np.linspace(0, max(total - 1, 0), min(MAX_SAMPLED, total)).astype(np.int64))
    taken = snapshot.take(unit, rows, [vectors.column])[vectors.column]
    values, known = unit_vectors_of(taken.combine_chunks())
    rows, values = rows[known], values[known]
    points = laid_out(values, method)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}")
        with temporary.open("wb") as stream:
            np.savez(stream, rows=rows, points=points)
        temporary.replace(file)
    except OSError:
        pass  # it is made again next time
    return rows, points


def laid_out(vectors: NDArray[np.float32], method: str) -> NDArray[np.float32]:
    """Places (N, 2) from 0 to `SIDE` of unit vectors (N, dim); the same ones for the same vectors."""
    if not len(vectors):
        return np.empty((0, 2), np.float32)
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    kept = axes[:, ::-1][:, : max(2, min(COMPONENTS, axes.shape[1]))]
    # Signs of axes are arbitrary: the largest number of each is positive.
    kept = kept * np.where(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])] < 0, -1, 1)
    places = centred @ kept
    if places.shape[1] < 2:
        places = np.hstack([places, np.zeros_like(places)])
    if method == "t-SNE" and len(vectors) >= FEWEST:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        with threadpool_limits(1):  # its threads wait for each other: on two busy cores thirty times as long
            places = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(places)
    flat = places[:, :2] - places[:, :2].min(axis=0)
    return np.asarray(np.round(flat * (SIDE / max(float(flat.max()), 1e-9)), 2), np.float32)


def in_polygon(points: NDArray[np.float32], polygon: tuple[Point, ...]) -> NDArray[np.bool_]:
    """Which points lie in a polygon: whose ray to the right crosses its sides an odd number of times.

    Of polygons side by side each point lies in one.
    """
    x, y = points[:, 0], points[:, 1]
    odd = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], *polygon[:1]), strict=True):
        crosses = (y1 > y) != (y2 > y)
        if y1 != y2:
            odd ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return odd


def inside(snapshot: Snapshot, view: View) -> NDArray[np.bool_]:
    """For each row of the view's unit, whether it lies in the view's lasso. Rows that the map does not show do not."""
    drawn = map_of(snapshot)
    chosen = np.zeros(snapshot.num_rows(drawn.unit), bool)
    chosen[drawn.rows[drawn.inside(view.lasso)]] = True
    if view.unit == drawn.unit:
        return chosen
    if view.unit == "pair" and snapshot.is_linked(drawn.unit):
        link = np.asarray(snapshot.link(drawn.unit))
        return np.asarray(chosen[link] & (link >= 0))
    raise UsageError(f"the map shows {drawn.unit}s; look at {drawn.unit}s to see what was drawn on it")


# What lies where --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A square of the map: its corner, how many points lie in it, the row in their midst, and words of their texts."""

    left: float
    low: float
    count: int
    row: int
    words: tuple[str, ...]

    @property
    def lasso(self) -> tuple[Point, ...]:
        """Its outline, of which the lower and left sides belong to it: at the map's edges it reaches beyond."""
        left, low, step = self.left, self.low, SIDE / CELLS
        right, high = (end + (end >= SIDE) for end in (left + step, low + step))
        return ((left, low), (right, low), (right, high), (left, high))


def cells_of(snapshot: Snapshot, drawn: Map) -> list[Cell]:
    """The squares in which anything lies, the fullest first."""
    key = ("map cells", drawn.unit, drawn.column, len(drawn.rows), *snapshot.version.values())
    found: list[Cell] = snapshot.prepared.get(key, "what lies where", lambda: _cells(snapshot, drawn), slow=True)
    return found


def _cells(snapshot: Snapshot, drawn: Map) -> list[Cell]:
    step = SIDE / CELLS
    place = np.minimum((drawn.points / step).astype(int), CELLS - 1)
    number = place[:, 1] * CELLS + place[:, 0]
    words, of = words_of(pa.array(first_texts(snapshot, drawn), pa.string()))
    spoken = np.asarray(words.to_numpy(zero_copy_only=False), object)
    cell_of_word = number[of.to_numpy()] if len(of) else np.empty(0, int)
    everywhere = Counter(spoken.tolist())
    found = []
    for cell in np.unique(number).tolist():
        members = np.flatnonzero(number == cell)
        middle = np.median(drawn.points[members], axis=0)
        nearest = members[((drawn.points[members] - middle) ** 2).sum(axis=1).argmin()]
        here = Counter(spoken[cell_of_word == cell].tolist())
        left, low = cell % CELLS * step, cell // CELLS * step
        found.append(Cell(left, low, len(members), int(drawn.rows[nearest]), _telling(here, everywhere)))
    return sorted(found, key=lambda each: (-each.count, each.low, each.left))


def _telling(here: Counter[str], everywhere: Counter[str]) -> tuple[str, ...]:
    """The words that are most frequent here for how frequent they are anywhere."""
    wordy = {word: count for word, count in here.items() if len(word) > 1 or not word.isascii()}
    order = sorted(wordy, key=lambda word: (-(wordy[word] ** 1.5) / everywhere[word], word))
    return tuple(order[:NUM_WORDS])


def first_pairs(snapshot: Snapshot, drawn: Map) -> NDArray[np.int64]:
    """For each point the row of the first pair that belongs to it; -1 where there is none."""
    if drawn.unit == "pair":
        return drawn.rows
    gone, of_image = snapshot.gone("pair"), snapshot.pairs_of("image", drawn.rows)
    standing = of_image if gone is None else [pairs[~gone[pairs]] for pairs in of_image]
    return np.array([pairs[0] if len(pairs) else -1 for pairs in standing], np.int64)


def first_texts(snapshot: Snapshot, drawn: Map) -> list[str | None]:
    """For each point a text, cut."""
    return [None if text is None else text[:300] for text in of_first_pairs(snapshot, drawn, "text")]


def of_first_pairs(snapshot: Snapshot, drawn: Map, name: str) -> list[str | None]:
    """A column of the first pair of each point."""
    pairs = first_pairs(snapshot, drawn)
    known = pairs >= 0
    values = iter(snapshot.take("pair", pairs[known], [name])[name].to_pylist())
    return [next(values) if each else None for each in known.tolist()]
