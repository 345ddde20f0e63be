"""Two selections beside each other: what both keep, what one of them keeps, and how what is kept is spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.explorer.columns import LINKS, Column
from tuwen.explorer.facets import PREFERRED, edges, floats, number, sample
from tuwen.explorer.scan import Scan, Stop, masks
from tuwen.explorer.snapshot import CHUNK_ROWS, Snapshot
from tuwen.explorer.view import Term, View

MOST_COLUMNS = 24
MOST_VALUES = 60  # different ones in a sample, up to which a column of texts is compared
SHOWN_VALUES = 6
BINS = 10
OPAQUE = ("hash", "cluster", "_id", "position", "num_bytes", "fingerprint", "error")  # numbers that measure nothing
PARTS = ("both", "a", "b")


@dataclass
class Counts:
    """Rows that both keep, only A, only B, and a few of each by their numbers."""

    both: int = 0
    a: int = 0
    b: int = 0
    rows: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def total_a(self) -> int:
        return self.both + self.a

    @property
    def total_b(self) -> int:
        return self.both + self.b


@dataclass(frozen=True)
class Shift:
    """A value, and its share among what A keeps and what B keeps, in percent."""

    label: str
    share_a: float
    share_b: float

    @property
    def points(self) -> float:
        return self.share_b - self.share_a


@dataclass(frozen=True)
class Shifted:
    """A column. `distance`: half the sum of differences of shares, in percent: 0 alike, 100 disjoint."""

    name: str
    distance: float
    shifts: list[Shift]
    num_values: int


def unit_of(snapshot: Snapshot, a: str, b: str) -> str:
    """The unit by which two selections are compared: theirs, or pairs, which belong to images and documents."""
    units = {snapshot.selection(name).unit for name in (a, b)}
    if len(units) == 1:
        return units.pop()
    if "pair" in units and snapshot.is_linked((units - {"pair"}).pop()):
        return "pair"
    raise UsageError(f"{a} judges {snapshot.selection(a).unit}s and {b} {snapshot.selection(b).unit}s; "
                     "compare selections of one unit")  # fmt: skip


def view_of(unit: str, a: str, b: str, part: str) -> View:
    """The rows of one part, as the grid shows them."""
    kept = {"both": (True, True), "a": (True, False), "b": (False, True)}[part]
    return View(unit=unit, terms=(Term(a, kept[0]), Term(b, kept[1])))


def counts(snapshot: Snapshot, unit: str, a: str, b: str, few: int) -> Counts:
    """How many rows each part has, from verdicts alone."""
    tests = {part: masks(snapshot, view_of(unit, a, b, part)) for part in PARTS}
    found, total = Counts(), snapshot.num_rows(unit)
    rows: dict[str, list[NDArray[np.int64]]] = {part: [] for part in PARTS}
    for low in range(0, total, CHUNK_ROWS):
        high = min(low + CHUNK_ROWS, total)
        for part, each in tests.items():
            mask = np.logical_and.reduce([test(low, high) for test in each])
            setattr(found, part, getattr(found, part) + int(mask.sum()))
            rows[part].append(_spread(np.flatnonzero(mask) + low, few))
    found.rows = {part: _spread(np.concatenate([np.empty(0, np.int64), *each]), few) for part, each in rows.items()}
    return found


def _spread(rows: NDArray[np.int64], few: int) -> NDArray[np.int64]:
    return rows if len(rows) <= few else rows[np.linspace(0, len(rows) - 1, few).astype(np.int64)]


def compared_columns(snapshot: Snapshot, unit: str) -> list[Column]:
    """Columns whose distributions tell something, the usual ones first."""
    known = snapshot.columns[unit]
    names = [name for name in PREFERRED if name in known]
    for kind in ("number", "text", "flag"):
        names += [name for name, each in known.items() if each.kind == kind and name not in names]
    found = [known[name] for name in names if not any(word in name for word in OPAQUE)]
    telling = [column for column in found if column.kind in ("number", "flag") or _has_few(snapshot, column)]
    return telling[:MOST_COLUMNS]


def _has_few(snapshot: Snapshot, column: Column) -> bool:
    return column.kind == "text" and pc.count_distinct(sample(snapshot, column)).as_py() <= MOST_VALUES


@dataclass(frozen=True)
class Shifts:
    """Columns by how much they shifted, largest first; `read` of `total` rows were looked at."""

    columns: list[Shifted]
    read: int
    total: int
    exact: bool


def shifts(snapshot: Snapshot, unit: str, a: str, b: str, stop: Stop) -> Shifts:
    """How the rows that A keeps and those that B keeps are spread over the values of columns."""
    columns = compared_columns(snapshot, unit)
    kept = [masks(snapshot, View(unit=unit, terms=(Term(name),))) for name in (a, b)]
    bounds = {each.name: edges(snapshot, each, BINS) for each in columns if each.kind == "number"}
    found: dict[str, list[Counter[object]]] = {each.name: [Counter(), Counter()] for each in columns}

    def either(low: int, high: int) -> NDArray[np.bool_]:
        sides = [np.logical_and.reduce([test(low, high) for test in each]) for each in kept]
        return np.asarray(sides[0] | sides[1])

    scan = Scan(snapshot, View(unit=unit), [each.name for each in columns], stop=stop, more=[either])
    read = 0
    for chunk in scan:
        low, high = int(chunk.rows[0]), int(chunk.rows[-1]) + 1
        for side, tests in enumerate(kept):
            mask = np.logical_and.reduce([test(low, high) for test in tests])[chunk.rows - low]
            for column in columns:
                values = chunk.columns[column.name].combine_chunks().filter(pa.array(mask))
                found[column.name][side].update(_counted(column, values, bounds.get(column.name)))
        read = chunk.read
    shifted = [_shifted(column, found[column.name], bounds.get(column.name)) for column in columns]
    shifted.sort(key=lambda each: (-each.distance, each.name))
    return Shifts(shifted, scan.total if scan.finished else read, scan.total, scan.finished)


def _counted(column: Column, values: pa.Array, bounds: NDArray[np.float64] | None) -> dict[object, int]:
    if bounds is None:
        return {entry["values"]: entry["counts"] for entry in pc.value_counts(values).to_pylist()}
    known = floats(values)
    bins = np.searchsorted(bounds, known[~np.isnan(known)], "right")
    counted: dict[object, int] = {
        int(place): int(n) for place, n in zip(*np.unique(bins, return_counts=True), strict=True)
    }
    return counted | {None: int(np.isnan(known).sum())}


def _shifted(column: Column, sides: Sequence[Counter[object]], bounds: NDArray[np.float64] | None) -> Shifted:
    a, b = sides
    total_a, total_b = (max(sum(each.values()), 1) for each in sides)
    values = [value for value in {*a, *b} if a[value] or b[value]]
    found = {
        value: Shift(_label(value, bounds), 100 * a[value] / total_a, 100 * b[value] / total_b) for value in values
    }
    distance = sum(abs(each.points) for each in found.values()) / 2
    if bounds is None:
        order = sorted(values, key=lambda value: (-abs(found[value].points), str(value)))[:SHOWN_VALUES]
    else:
        order = sorted(values, key=lambda value: (value is None, value or 0))
    return Shifted(column.name, distance, [found[value] for value in order], len(values))


def _label(value: object, bounds: NDArray[np.float64] | None) -> str:
    if value is None:
        return "—"
    if bounds is None or not isinstance(value, int):
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    if value == 0:
        return f"< {number(float(bounds[0]))}" if len(bounds) else ""
    if value == len(bounds):
        return f"≥ {number(float(bounds[-1]))}"
    return f"{number(float(bounds[value - 1]))} – {number(float(bounds[value]))}"


def comparable(snapshot: Snapshot) -> Sequence[tuple[str, str]]:
    """Pairs of selections that can be compared: those of one unit first, neighbours first."""
    known = list(snapshot.selections.values())
    found = [
        (one.name, two.name)
        for index, one in enumerate(known)
        for two in known[index + 1 :]
        if one.unit == two.unit or ("pair" in (one.unit, two.unit) and {one.unit, two.unit} - {"pair"} <= set(LINKS))
    ]
    return sorted(found, key=lambda names: len({snapshot.selections[name].unit for name in names}))
