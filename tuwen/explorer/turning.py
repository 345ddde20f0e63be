"""What happens when a number of a selection is moved: where the values lie, and which rows cross."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.corpus.readable import readable_schema
from tuwen.errors import TuwenError, UsageError
from tuwen.explorer.columns import LINKS
from tuwen.explorer.facets import count
from tuwen.explorer.scan import GRACE_S, Mask, RowTest, Scan, Stop, TimeUpError, interrupted
from tuwen.explorer.snapshot import KEPT, Snapshot
from tuwen.explorer.view import MAX_TERMS, Term, View, joined
from tuwen.selections.dials import Dial, conditions, rule_of, turned
from tuwen.selections.expressions import Expression
from tuwen.selections.ledger import FunnelStep, preview
from tuwen.selections.selection import Selection
from tuwen.selections.steps.within import Within

if TYPE_CHECKING:
    import duckdb

BINS = 80
EXAMPLES = 12  # rows of each direction that are remembered to show some of them
PREVIEW_MEMORY = "256MB"  # beyond, DuckDB spills: the server stays small


@dataclass(frozen=True)
class Histogram:
    """How many rows have a value between two neighbours of `edges`; ascending, one more edge than counts.

    `below` and `beyond`: rows outside. `num_null`: rows without a value. `exact` is false where the time was up first.
    """

    edges: list[float]
    counts: list[int]
    below: int = 0
    beyond: int = 0
    num_null: int = 0
    exact: bool = True

    @property
    def most(self) -> int:
        """The largest count."""
        return max(self.counts, default=0) or 1

    @property
    def num_rows(self) -> int:
        """Rows with a value."""
        return sum(self.counts) + self.below + self.beyond


@dataclass
class Crossing:
    """Rows that a moved number would let pass at its step, and rows that it would refuse there; at most a few of each
    by their numbers. `num_anyway`: rows of which the number's own condition says something else now, but which other
    conditions of the step refuse anyway. `exact` is false where the time was up first: counts are then "at least"."""

    num_in: int = 0
    num_out: int = 0
    num_anyway: int = 0
    rows_in: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rows_out: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    exact: bool = True


def reached(snapshot: Snapshot, selection: Selection, step: int) -> Mask:
    """The rows that a step judges: those that no step before it refused."""
    verdicts = snapshot.verdicts(selection.name)

    def mask(low: int, high: int) -> NDArray[np.bool_]:
        said = verdicts[low:high]
        return np.asarray((said == KEPT) | (said >= step))

    return mask


def is_known(snapshot: Snapshot, unit: str, expression: Expression) -> bool:
    """Whether all that an expression reads stands in columns: some exist only while a selection is judged."""
    return all(name in snapshot.columns[unit] for name in expression.columns())


def admitting(snapshot: Snapshot, selection: Selection, dial: Dial) -> str:
    """The rule by which the other conditions of a dial's step admit rows; empty where there are none, or where they
    read what no column holds."""
    known = all(is_known(snapshot, selection.unit, each) for each in dial.others)
    return joined([str(each) for each in dial.others]) if known else ""


def decides(snapshot: Snapshot, selection: Selection, dial: Dial) -> bool:
    """Whether a dial alone decides about the rows that its histogram counts."""
    return dial.alone and bool(admitting(snapshot, selection, dial)) == bool(dial.others)


def own_count(snapshot: Snapshot, selection: Selection, dial: Dial, funnel: FunnelStep, stop: Stop) -> int | None:
    """How many rows the condition that holds a number refuses, of those that the conditions before it passed; None
    where its step has no other, or where the time was up."""
    if dial.rule is None or not dial.others:
        return None
    lost = funnel.rules[dial.part].lost
    if dial.limit is None:
        return lost if len(funnel.rules) > 1 else None
    *before, first = conditions(dial.rule)[: dial.place - dial.limit + 1]  # the ledger counts both limits together
    if not is_known(snapshot, selection.unit, dial.rule):
        return None
    rules = [*map(str, before), f"({first}) is not true"]
    view = View(unit=selection.unit, where=joined(rules), terms=(Term(selection.name, False, dial.step),))
    try:
        refused = snapshot.remembered(("own", view), lambda: _whole_count(snapshot, view, stop))
    except TimeoutError:
        return None
    return lost - refused if dial.limit else refused


def _whole_count(snapshot: Snapshot, view: View, stop: Stop) -> int:
    found = count(snapshot, view, stop)
    if not found.exact:
        raise TimeoutError
    return found.count


def histogram(snapshot: Snapshot, selection: Selection, dial: Dial, stop: Stop) -> Histogram | None:
    """Where the values lie that a dial is compared with, among the rows that reach its step and that the step's other
    conditions admit: those about which moving it decides. None without values."""
    if dial.compared is None or not is_known(snapshot, selection.unit, dial.compared):
        return None
    chunks = _values(snapshot, selection, dial, stop)
    edges: NDArray[np.float64] | None = None
    counts, num_null, exact = np.empty(0, np.int64), 0, True
    waiting: list[NDArray[np.float64]] = []
    for values, finished in chunks:
        exact = finished
        known = values[np.isfinite(values)]
        num_null += len(values) - len(known)
        waiting.append(known)
        if edges is None and sum(map(len, waiting)) >= 2_000:
            edges = edges_of(np.concatenate(waiting), float(dial.value))
        if edges is not None:
            counts, waiting = _counted(edges, counts, waiting), []
    if edges is None and waiting:
        edges = edges_of(np.concatenate(waiting), float(dial.value))
    if edges is None:
        return None
    counts = _counted(edges, counts, waiting)
    below, *inner, beyond = counts.tolist()
    return Histogram(edges.tolist(), inner, below, beyond, num_null, exact)


def _counted(
    edges: NDArray[np.float64], counts: NDArray[np.int64], values: Sequence[NDArray[np.float64]]
) -> NDArray[np.int64]:
    joined = np.concatenate(values) if values else np.empty(0)
    places = np.searchsorted(edges, joined, "right")
    more = np.bincount(places, minlength=len(edges) + 1)
    return more if not len(counts) else counts + more


def _values(
    snapshot: Snapshot, selection: Selection, dial: Dial, stop: Stop
) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Chunks of values, and whether no chunk was left out so far."""
    compared = dial.compared
    assert compared is not None
    scan = Scan(
        snapshot,
        View(unit=selection.unit, where=admitting(snapshot, selection, dial)),
        compared.columns(),
        stop=stop,
        more=[reached(snapshot, selection, dial.step)],
    )
    values = RowNumbers(compared, stop)
    with suppress(TimeUpError):
        for chunk in scan:
            yield values(chunk.columns), chunk.read == chunk.total
    yield np.empty(0), scan.finished


class RowNumbers:
    """An expression as numbers, ready to be asked of tables that have its columns; nan where there is none.
    `TimeUpError` once `stop` says so."""

    def __init__(self, expression: Expression, stop: Stop) -> None:
        self._stop = stop
        self._plain = expression.columns()[0] if str(expression) == "".join(expression.columns()) else None
        self._sql = f"SELECT TRY_CAST(({expression.safe_sql()}) AS DOUBLE) AS value FROM rows"
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __call__(self, table: pa.Table) -> NDArray[np.float64]:
        if self._plain is not None and _is_number(table.schema.field(self._plain).type):
            column = table[self._plain].combine_chunks()
        else:
            column = self._computed(table)
        return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)

    def _computed(self, table: pa.Table) -> pa.Array:
        import duckdb

        if self._connection is None:
            self._connection = duckdb.connect(
                ":memory:", config={"threads": "1", "enable_external_access": "false", "memory_limit": "300MB"}
            )
            self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register("rows", table.cast(readable_schema(table.schema)))
        try:
            with interrupted(self._connection, self._stop, GRACE_S):
                return self._connection.sql(self._sql).to_arrow_table()["value"].combine_chunks()
        except duckdb.Error as error:
            raise UsageError(f"this cannot be computed: {str(error).splitlines()[0]}") from None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def edges_of(values: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Round numbers that part values into at most about `BINS` bins, even in size or in factor; `limit` is one."""
    seen = np.append(values, limit)
    low, high = (float(each) for each in np.quantile(seen, [0.002, 0.998]))
    low, high = min(low, limit), max(high, limit)
    whole = bool(np.all(seen == np.round(seen)))
    if low == high:
        span = 1.0 if whole else max(abs(low) * 0.1, 0.1)
        low, high = low - span, high + span
    positive = seen[seen > 0]
    if low >= 0 and len(positive) and high / max(float(np.quantile(positive, 0.05)), 1e-12) > 200:
        first = max(float(np.quantile(positive, 0.01)), high * 1e-6)
        found = np.geomspace(first, high, BINS)
        found = np.concatenate([[0.0], found])
        rounded = np.round(found) if whole else np.array([float(f"{each:.2g}") for each in found])
    else:
        step = _step((high - low) / BINS, whole)
        rounded = np.round(np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step, 10)
    return np.unique(np.append(rounded, limit))


def _step(step: float, whole: bool) -> float:
    magnitude = 10.0 ** np.floor(np.log10(step))
    nice = next(float(factor * magnitude) for factor in (1, 2, 5, 10) if factor * magnitude >= step * 0.999)
    return max(1.0, float(round(nice))) if whole else nice


def crossing(snapshot: Snapshot, selection: Selection, dial: Dial, value: str, stop: Stop) -> Crossing | None:
    """Which rows of those that reach the step would be judged otherwise there; None where that cannot be told row by
    row."""
    before, after = dial.rule, rule_after(selection, dial, value)
    if before is None or after is None or not is_known(snapshot, selection.unit, before):
        return None
    tests = RowTest(before, stop), RowTest(after, stop)
    own = [RowTest(conditions(rule)[dial.place], stop) for rule in (before, after)] if dial.others else []
    scan = Scan(
        snapshot,
        View(unit=selection.unit),
        before.columns(),
        stop=stop,
        more=[reached(snapshot, selection, dial.step)],
    )
    found = Crossing()
    with suppress(TimeUpError):
        for chunk in scan:
            old, new = (test(chunk.columns) for test in tests)
            came, went = chunk.rows[new & ~old], chunk.rows[old & ~new]
            found.num_in += len(came)
            found.num_out += len(went)
            if own:
                was, now = (test(chunk.columns) for test in own)
                found.num_anyway += int(np.count_nonzero((was != now) & ~old & ~new))
            found.rows_in = np.concatenate([found.rows_in, _few(came)])
            found.rows_out = np.concatenate([found.rows_out, _few(went)])
    found.exact = scan.finished
    found.rows_in, found.rows_out = _few(found.rows_in), _few(found.rows_out)
    return found


def rule_after(selection: Selection, dial: Dial, value: str) -> Expression | None:
    """The condition that the step of a dial states once it is moved."""
    return rule_of(turned(selection, dial, value).steps[dial.step - 1].step)


def views_of(snapshot: Snapshot, selection: Selection, dial: Dial, value: str) -> tuple[View | None, View | None]:
    """The rows that would pass the step, and those that it would refuse, as views; None where no view can say it."""
    before, after = dial.rule, rule_after(selection, dial, value)
    if before is None or after is None or not is_known(snapshot, selection.unit, before):
        return None, None
    unit, name = selection.unit, selection.name
    came = View(unit=unit, where=str(after), terms=(Term(name, False, dial.step),))
    refused = f"({after}) is not true"
    if dial.step == len(selection.steps):  # what it lets pass is kept
        return came, View(unit=unit, where=refused, terms=(Term(name),))
    earlier = [rule_of(each.step) for each in selection.steps[: dial.step - 1]]
    rules = [each for each in earlier if each is not None and is_known(snapshot, unit, each)]
    within = [each.step.selection for each in selection.steps[: dial.step - 1] if isinstance(each.step, Within)]
    sayable = [each for each in within if snapshot.selection(each).unit in (unit, *(LINKS if unit == "pair" else ()))]
    if len(rules) + len(sayable) < dial.step - 1 or len(sayable) > MAX_TERMS:
        return came, None
    where = joined([*map(str, rules), str(before), refused])
    return came, View(unit=unit, where=where, terms=tuple(map(Term, dict.fromkeys(sayable))))


def _few(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(rows) <= EXAMPLES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, EXAMPLES).astype(np.int64)]


def funnel_after(snapshot: Snapshot, selection: Selection, stop: Stop) -> list[FunnelStep]:
    """The whole funnel of a selection that nobody saved; `TuwenError` when it was stopped."""
    try:
        return preview(
            snapshot.corpus,
            selection,
            snapshot.selections,
            memory=PREVIEW_MEMORY,
            watch=lambda each: interrupted(each, stop),
        )
    except TimeUpError:
        raise TuwenError("judging the whole selection takes longer than this page waits; save it to see it") from None
