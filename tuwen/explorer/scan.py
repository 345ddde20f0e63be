"""Reading rows in the order of their numbers, chunk by chunk, until they end or the time does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.corpus.readable import readable_schema
from tuwen.errors import UsageError
from tuwen.explorer.columns import LINKS, Column
from tuwen.explorer.snapshot import KEPT, Snapshot
from tuwen.explorer.view import Term, View
from tuwen.selections.expressions import Expression
from tuwen.selections.selection import UNITS

if TYPE_CHECKING:
    import duckdb

FEW = 64  # rows of a chunk that are faster to take one by one than to scan for
GRACE_S = 1.0  # that a rule may work on one chunk when the time is up
ALONE_S = 10.0  # that a rule may work on rows that nobody gave a time for
POLL_S = 0.1
Mask = Callable[[int, int], NDArray[np.bool_]]


class Stop:
    """When to stop: nobody waits any more, or the time is up."""

    def __init__(self, seconds: float = 3.0) -> None:
        self._seconds = seconds
        self._gone = threading.Event()
        self.begin()

    def begin(self) -> None:
        """The time counts from now: whoever waited for others has not worked yet."""
        self._until = time.monotonic() + self._seconds

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._gone.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._gone.is_set()

    def __bool__(self) -> bool:
        return self._gone.is_set() or time.monotonic() > self._until


class TimeUpError(Exception):
    """Nobody waits any more, or the time was up, in the middle of a query."""


@contextmanager
def interrupted(connection: duckdb.DuckDBPyConnection, stop: Stop, grace_s: float = 0.0) -> Iterator[None]:
    """Interrupt a connection as soon as nobody waits any more, or the time is up and it has worked for `grace_s`."""
    import duckdb

    done, started = threading.Event(), time.monotonic()

    def watch() -> None:
        while not done.wait(POLL_S):
            if stop.is_cancelled or (stop and time.monotonic() - started > grace_s):
                connection.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except duckdb.InterruptException:
        raise TimeUpError from None
    finally:
        done.set()
        watcher.join()


@dataclass(frozen=True)
class Chunk:
    """Rows that passed: their numbers, ascending, and their columns by the names that rules use.

    `read`: how many rows of the table have been looked at, this chunk included, of `total`.
    """

    rows: NDArray[np.int64]
    columns: pa.Table
    read: int
    total: int


class Scan:
    """The rows of a view, with some of their columns.

    Iterating gives chunks; when it ends early because of `stop`, `finished` stays false. One chunk is read even when
    the time is up, so that whoever looks on from there comes further; a rule that does not come to the end of one is
    refused (`UsageError`). `more`: what else rows must pass by their numbers.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        view: View,
        names: Sequence[str] = (),
        *,
        stop: Stop | None = None,
        first: int = 0,
        more: Sequence[Mask] = (),
    ) -> None:
        self._snapshot = snapshot
        self._unit = view.unit
        self._rule = view.rule
        self._wanted = list(dict.fromkeys(names))
        self._tested = [snapshot.column(view.unit, name) for name in (self._rule.columns() if self._rule else ())]
        self._masks = [*masks(snapshot, view), *more]
        self._stop = Stop() if stop is None else stop
        self._first = first
        self.total = snapshot.num_rows(view.unit)
        self.finished = False

    def __iter__(self) -> Iterator[Chunk]:
        test = RowTest(self._rule, self._stop) if self._rule else None
        begun = read = False
        for first, count, fragments in self._snapshot.chunks(UNITS[self._unit]):
            if first + count <= self._first:
                continue
            if self._stop and (begun or self._stop.is_cancelled):
                return
            begun = True
            mask = np.ones(count, bool)
            mask[: max(0, self._first - first)] = False
            for each in self._masks:
                mask &= each(first, first + count)
            if mask.any():
                try:
                    found = self._chunk(first, fragments, mask, test)
                except TimeUpError:
                    if not read and not self._stop.is_cancelled:
                        raise UsageError(
                            f"this filter takes too long, on {count:,} rows already; ask for less"
                        ) from None
                    return
                if found is not None:
                    yield Chunk(*found, first + count, self.total)
            read = True
        self.finished = True

    def _chunk(
        self, first: int, fragments: list[Any], mask: NDArray[np.bool_], test: RowTest | None
    ) -> tuple[NDArray[np.int64], pa.Table] | None:
        columns = {column.name: column for column in self._tested}
        columns |= {name: self._snapshot.column(self._unit, name) for name in self._wanted}
        rows = np.flatnonzero(mask) + first
        if len(rows) <= FEW < len(mask):
            table = self._snapshot.take(self._unit, rows, list(columns)) if columns else None
        else:
            table = self._read(first, fragments, list(columns.values()), mask)
        if test is not None and table is not None:
            passed = test(table)
            rows, table = rows[passed], table.filter(pa.array(passed))
        if not len(rows):
            return None
        return rows, table.select(self._wanted) if table is not None else pa.table({})

    def _read(
        self, first: int, fragments: list[Any], columns: Sequence[Column], mask: NDArray[np.bool_]
    ) -> pa.Table | None:
        if not columns:
            return None
        own = [column for column in columns if column.table == UNITS[self._unit]]
        arrays: dict[str, pa.ChunkedArray] = {}
        all_rows, chosen = bool(mask.all()), pa.array(mask)
        if own:
            scanner = self._snapshot.corpus.dataset(UNITS[self._unit]).scanner(
                columns=[column.stored for column in own], fragments=fragments, batch_size=len(mask)
            )
            read = scanner.to_table() if all_rows else scanner.to_table().filter(chosen)
            arrays = {column.name: read[column.stored] for column in own}
        others = [column for column in columns if column not in own]
        large = [column.name for column in others if self._snapshot.is_large(column)]
        if large:
            taken = self._snapshot.take(self._unit, np.flatnonzero(mask) + first, large)
            arrays |= {name: taken[name] for name in large}
        for unit in LINKS:
            theirs = [column for column in others if column.table == UNITS[unit] and column.name not in large]
            if theirs:
                link = np.asarray(self._snapshot.link(unit)[first : first + len(mask)][mask], np.int64)
                at = pa.array(link, mask=link < 0)
                arrays |= {column.name: self._snapshot.whole(column).take(at) for column in theirs}
        return pa.table({column.name: arrays[column.name] for column in columns})


class Listed:
    """Rows that are known already, the hits of a search for instance, in the shape of a scan that has ended."""

    def __init__(self, snapshot: Snapshot, unit: str, rows: NDArray[np.int64], names: Sequence[str]) -> None:
        self._rows, self._columns = rows, snapshot.take(unit, rows, names)
        self.total = len(rows)
        self.finished = True

    def __iter__(self) -> Iterator[Chunk]:
        if self.total:
            yield Chunk(self._rows, self._columns, self.total, self.total)


class RowTest:
    """A rule, ready to be asked of tables that have its columns; `TimeUpError` once `stop` says so."""

    def __init__(self, rule: Expression, stop: Stop | None = None) -> None:
        import duckdb

        self._stop = stop
        self._sql = f"SELECT ({rule.safe_sql()}) IS TRUE AS passed FROM rows"
        self._connection: duckdb.DuckDBPyConnection = duckdb.connect(
            ":memory:", config={"threads": "1", "enable_external_access": "false", "memory_limit": "300MB"}
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET error_on_division_by_zero = false")

    def __call__(self, table: pa.Table) -> NDArray[np.bool_]:
        import duckdb

        schema = readable_schema(table.schema)
        self._connection.register("rows", table if schema.equals(table.schema) else table.cast(schema))
        try:
            stop = Stop(ALONE_S) if self._stop is None else self._stop
            with interrupted(self._connection, stop, GRACE_S):
                passed = self._connection.sql(self._sql).to_arrow_table()["passed"]
        except duckdb.Error as error:
            told = str(error).split("\n")[0].partition(": ")[2] or str(error)
            raise UsageError(f"this filter cannot be used: {told}") from None
        return np.asarray(passed.combine_chunks().to_numpy(zero_copy_only=False), bool)


def masks(snapshot: Snapshot, view: View) -> list[Mask]:
    """What a view asks of rows by their numbers alone: not taken down, and what selections must have said."""
    found: list[Mask] = []
    gone = snapshot.gone(view.unit)
    if gone is not None and not any(term.step == 0 for term in view.terms):
        found.append(lambda low, high: ~gone[low:high])
    found += [_verdict(snapshot, view.unit, term) for term in view.terms]
    if view.lasso:
        from tuwen.explorer.projection import inside  # type: ignore[import-not-found,unused-ignore]

        chosen = inside(snapshot, view)
        found.append(lambda low, high: chosen[low:high])
    return found


def _verdict(snapshot: Snapshot, unit: str, term: Term) -> Mask:
    selection = snapshot.selection(term.selection)
    if selection.unit != unit and (unit != "pair" or selection.unit not in LINKS):
        raise UsageError(f"{term.selection} judges {selection.unit}s; look at {selection.unit}s to see what it said")
    verdicts = snapshot.verdicts(term.selection)
    link = None if selection.unit == unit else snapshot.link(selection.unit)

    def mask(low: int, high: int) -> NDArray[np.bool_]:
        if link is None:
            said, known = verdicts[low:high], np.ones(high - low, bool)
        else:
            places = link[low:high]
            known = places >= 0
            said = verdicts[places] if len(verdicts) else np.zeros(len(places), np.int16)
        if term.step is not None:
            return np.asarray((said == term.step) & known)
        return np.asarray(((said == KEPT) == term.kept) & known)

    return mask
