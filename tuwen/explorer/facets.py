"""How the rows of a view are spread over the values of a column, and the rules that narrow the view to some of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.explorer.columns import Column
from tuwen.explorer.scan import Listed, Scan, Stop
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.selections.expressions import Expression
from tuwen.selections.selection import UNITS
from tuwen.selections.tree import Column as Name
from tuwen.selections.tree import literal

SAMPLED = 4_096  # rows, evenly spread, that tell what a column is like
MAX_VALUES = 12
MAX_DISTINCT = 50_000  # values of texts that are counted; beyond, the rarest so far are let go
MAX_BINS = 24
FEW_BINS = 7  # beside the grid, so that the other columns stay in sight; open ends and rounding add up to three
SECOND = 1e6  # microseconds
SEEN = 1_000  # numbers of a chunk that quantiles are taken of
FREE_TEXT = 0.5  # share of different values in the sample from which on a column holds free text


@dataclass(frozen=True)
class Value:
    """A value or a range of values: how many rows have it, and the rule that asks for it."""

    label: str
    rule: str
    count: int
    low: float | None = None
    high: float | None = None
    active: bool = False


@dataclass(frozen=True)
class Facet:
    """A column's values among the rows of a view.

    `exact` is false where only `read` of `total` rows were looked at before the time was up: counts are then "at
    least". `free`: a column of free text, whose values are not counted. `num_values`: how many differ. `hits`: the rows
    are so many hits of a search, and no others.
    """

    column: Column
    values: list[Value] = field(default_factory=list)
    num_null: int = 0
    num_values: int = 0
    free: bool = False
    exact: bool = True
    read: int = 0
    total: int = 0
    quantiles: tuple[float, ...] = ()
    num_rows: int = 0
    hits: int | None = None

    @property
    def most(self) -> int:
        """The largest count, for bars."""
        return max((value.count for value in self.values), default=0) or 1


def facet(
    snapshot: Snapshot, view: View, name: str, stop: Stop, search: Callable[[View], NDArray[np.int64]] | None = None
) -> Facet:
    """A column's values among the rows of a view, whose rules on that very column are left out of account.

    `search`: finds the rows of a view that is a search; they are counted, and no others.
    """
    column = snapshot.column(view.unit, name)
    others = [rule for rule in view.rules if not _speaks_of_it_alone(rule, name)]
    widened = view.changed(where=" and ".join(f"({rule})" for rule in others))
    if view.is_search and search is not None:
        hits = Listed(snapshot, view.unit, search(widened), [name])
        found = _facet(snapshot, view, column, hits) if hits.total else Facet(column)
        return replace(found, hits=hits.total)
    return _facet(snapshot, view, column, Scan(snapshot, widened, [name], stop=stop))


def _facet(snapshot: Snapshot, view: View, column: Column, scan: Scan | Listed) -> Facet:
    if column.kind in ("number", "time"):
        return numbers(snapshot, view, [column], scan, {column.name: edges(snapshot, column, FEW_BINS)})[0]
    if column.kind == "other" or is_free(snapshot, column):
        return Facet(column, free=True, total=scan.total)
    return texts(view, column, scan)


def _speaks_of_it_alone(rule: str, name: str) -> bool:
    return Expression.parse(rule).columns() == (name,)


def sample(snapshot: Snapshot, column: Column) -> pa.ChunkedArray:
    """Values of a column in some rows, evenly spread over its table; the same rows every time."""
    total = snapshot.corpus.count(column.table)
    rows = np.unique(np.linspace(0, max(total - 1, 0), min(SAMPLED, total)).astype(np.int64))
    other = next(each for each, table in UNITS.items() if table == column.table)
    return snapshot.take(other, rows, [column.stored])[column.stored]


def is_free(snapshot: Snapshot, column: Column) -> bool:
    """Whether nearly every row has a text of its own, so that counting them tells nothing."""
    return column.kind == "text" and snapshot.remembered(("free", column), lambda: _is_free(snapshot, column))


def _is_free(snapshot: Snapshot, column: Column) -> bool:
    values = sample(snapshot, column)
    known = len(values) - values.null_count
    return bool(known > MAX_VALUES and pc.count_distinct(values).as_py() > FREE_TEXT * known)


def texts(view: View, column: Column, scan: Scan | Listed, most: int = MAX_VALUES) -> Facet:
    """The commonest values of a column of texts, flags or lists of texts; `scan` reads that column."""
    counts: Counter[object] = Counter()
    num_null, num_rows, read, exact_values = 0, 0, 0, True
    for chunk in scan:
        values = chunk.columns[column.name].combine_chunks()
        num_null += values.null_count
        if column.kind == "list":
            values = values.flatten()
        for entry in pc.value_counts(values).to_pylist():
            if entry["values"] is not None:
                counts[entry["values"]] += entry["counts"]
        if len(counts) > MAX_DISTINCT:
            counts, exact_values = Counter(dict(counts.most_common(MAX_DISTINCT // 2))), False
        num_rows += len(chunk.rows)
        read = chunk.read
    order = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    values_shown = [_value(view, column, value, count) for value, count in order[:most]]
    exact = scan.finished and exact_values
    read = scan.total if scan.finished else read
    return Facet(column, values_shown, num_null, len(counts), False, exact, read, scan.total, num_rows=num_rows)


def _value(view: View, column: Column, value: object, count: int) -> Value:
    name = rule_name(column.name)
    if column.kind == "flag":
        rule = name if value else f"not {name}"
        label = "yes" if value else "no"
    else:
        spelt = literal(str(value))
        rule = f"list_contains({name}, {spelt})" if column.kind == "list" else f"{name} = {spelt}"
        label = str(value)
    return Value(label, normal(rule), count, active=normal(rule) in view.rules)


def normal(rule: str) -> str:
    """A rule as `View.rules` spells it."""
    return str(Expression.parse(rule))


def rule_name(name: str) -> str:
    """A column's name as rules spell it."""
    return str(Expression(Name(name)))


# Numbers ----------------------------------------------------------------------------------------------------------


def edges(snapshot: Snapshot, column: Column, bins: int = MAX_BINS) -> NDArray[np.float64]:
    """Edges of bins that show how a column's numbers are spread: round numbers, even steps or, where the values span
    orders of magnitude, even factors. Empty where nothing is known."""

    def make() -> NDArray[np.float64]:
        values = floats(sample(snapshot, column).combine_chunks())
        values = values[np.isfinite(values)]
        if column.kind == "time":  # rules spell whole seconds
            return _edges(np.floor(values / SECOND), True, bins) * SECOND
        return _edges(values, is_whole(snapshot, column), bins)

    return snapshot.remembered(("edges", column, bins), make)


def _edges(values: NDArray[np.float64], whole: bool, bins: int) -> NDArray[np.float64]:
    if not len(values):
        return np.empty(0)
    low, high = np.quantile(values, [0.01, 0.99])
    if low == high:
        return np.array([low, low + 1.0])
    positive = values[values > 0]
    if low >= 0 and len(positive) and high / max(float(np.quantile(positive, 0.05)), 1e-12) > 100:
        first = math.floor(math.log2(max(float(np.quantile(positive, 0.01)), high * 1e-6)))
        steps = np.arange(first, math.ceil(math.log2(high)) + 1)
        powers = 2.0 ** steps[:: max(1, math.ceil(len(steps) / bins))]
        return np.concatenate([[0.0] if low < powers[0] else [], powers])
    step = _round_step((high - low) / bins, whole)
    first_edge = math.floor(low / step) * step
    return np.round(np.arange(first_edge, high + step, step), 10).astype(np.float64)


def _round_step(step: float, whole: bool) -> float:
    magnitude = 10.0 ** math.floor(math.log10(step))
    nice = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= step)
    return max(nice, 1.0) if whole else nice


def is_whole(snapshot: Snapshot, column: Column) -> bool:
    """Whether a column holds whole numbers."""
    return bool(pa.types.is_integer(snapshot.corpus.schema(column.table).field(column.stored).type))


def _as_stored(snapshot: Snapshot, column: Column, bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bounds as a rule compares them with a column: .65 is another number among 32-bit ones."""
    kind = snapshot.corpus.schema(column.table).field(column.stored).type
    return bounds.astype(np.float32).astype(np.float64) if kind in (pa.float32(), pa.float16()) else bounds


def numbers(
    snapshot: Snapshot,
    view: View,
    columns: Sequence[Column],
    scan: Scan | Listed,
    bounds: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
) -> list[Facet]:
    """Columns of numbers or times in bins, between `edges` or the bounds that are given; `scan` reads all of them."""
    ends = [bounds[each.name] if each.name in bounds else edges(snapshot, each) for each in columns]
    compared = [_as_stored(snapshot, each, end) for each, end in zip(columns, ends, strict=True)]
    counts = [np.zeros(len(each) + 1, np.int64) for each in ends]  # below the first, between two, from the last one on
    num_null, num_rows, read = [0] * len(columns), 0, 0
    seen: list[list[NDArray[np.float64]]] = [[] for _ in columns]
    for chunk in scan:
        for place, column in enumerate(columns):
            values = floats(chunk.columns[column.name].combine_chunks())
            known = values[~np.isnan(values)]
            num_null[place] += len(values) - len(known)
            counts[place] += np.bincount(np.searchsorted(compared[place], known, "right"), minlength=len(counts[place]))
            seen[place].append(known[:: max(1, len(known) // SEEN)])
        num_rows += len(chunk.rows)
        read = chunk.read
    read = scan.total if scan.finished else read
    found = []
    for place, column in enumerate(columns):
        shown = _bins(view, column, ends[place], counts[place], is_whole(snapshot, column)) if len(ends[place]) else []
        values = np.concatenate([np.empty(0), *seen[place]])
        quantiles = tuple(np.quantile(values, [0.01, 0.5, 0.99], method="lower").tolist()) if len(values) else ()
        found.append(
            Facet(
                column, shown, num_null[place], len(shown), False, scan.finished, read, scan.total, quantiles, num_rows
            )
        )
    return found


def _bins(
    view: View, column: Column, bounds: NDArray[np.float64], counts: NDArray[np.int64], whole: bool
) -> list[Value]:
    name = rule_name(column.name)
    ends: list[float | None] = [None, *bounds.tolist(), None]
    found = []
    for low, high, count in zip(ends, ends[1:], counts.tolist(), strict=False):
        if not count and (low is None or high is None):
            continue
        spelt_low, spelt_high = _spelt(column, low), _spelt(column, high)
        parts = [f"{name} >= {spelt_low}"] if low is not None else []
        parts += [f"{name} < {spelt_high}"] if high is not None else []
        rule = normal(" and ".join(parts))
        label = f"{_day(low)} – {_day(high)}" if column.kind == "time" else _range(low, high, whole)
        active = all(part in view.rules for part in map(normal, parts))
        found.append(Value(label, rule, count, low, high, active))
    return found


def _range(low: float | None, high: float | None, whole: bool) -> str:
    if low is None:
        return f"< {number(high)}"
    if high is None:
        return f"≥ {number(low)}"
    if whole and high - low <= 1:
        return number(low)
    return f"{number(low)} – {number(high - 1 if whole else high)}"


def _spelt(column: Column, value: float | None) -> str:
    if value is None:
        return ""
    return literal(_moment(value)) + "::timestamptz" if column.kind == "time" else number(value)


def number(value: float | None) -> str:
    """A number as people write it: no trailing zeros, no exponent below 1e15."""
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def _moment(microseconds: float) -> str:
    return str(np.datetime64(int(microseconds), "us"))[:19].replace("T", " ") + "+00"


def _day(microseconds: float | None) -> str:
    return "…" if microseconds is None else str(np.datetime64(int(microseconds), "us"))[:10]


def floats(values: pa.Array) -> NDArray[np.float64]:
    """Numbers, or microseconds of times, as floats; nan where there is none."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


@dataclass(frozen=True)
class Count:
    """How many rows a view has: at least `count`, where not all were read in time."""

    count: int
    exact: bool


def count(snapshot: Snapshot, view: View, stop: Stop) -> Count:
    """Count the rows of a view."""
    scan = Scan(snapshot, view, stop=stop)
    total = sum(len(chunk.rows) for chunk in scan)
    return Count(total, scan.finished)


PREFERRED: Sequence[str] = (
    "language", "image.language", "text_source", "document.language", "format", "image.format", "width", "image.width",
    "height", "num_characters", "editorial", "nsfw_score", "image.nsfw_score", "num_images", "source",
)  # fmt: skip


def first_columns(snapshot: Snapshot, unit: str, view: View, most: int = 5) -> list[str]:
    """Columns whose values are shown before anyone asks: those of the view's rules, then the most telling."""
    known = snapshot.columns[unit]
    asked = [name for name in (view.rule.columns() if view.rule else ()) if name in known]
    return list(dict.fromkeys([*asked, *[name for name in PREFERRED if name in known]]))[: max(most, len(set(asked)))]
