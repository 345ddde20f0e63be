"""How rows are spread: the answers to what a block of the page of distributions asks of a corpus."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.corpus.tables import host_sql
from tuwen.errors import UsageError
from tuwen.explorer.columns import Column
from tuwen.explorer.facets import Facet, Value, floats, normal, numbers, rule_name, texts
from tuwen.explorer.scan import Scan, Stop
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.selections.tree import literal

MOST = 15  # values that a block lists
MAX_HOSTS = 200_000  # different hosts or concepts that are counted; beyond, the rarest so far are let go
CLUSTER_SIZES = np.array([1.0, *(2.0**k + 1 for k in range(21))])  # 1, 2, 3 to 4, 5 to 8, …
HALF_OCTAVES = np.array(sorted({math.ceil(2 ** (k / 2)) for k in range(33)}))  # 1, 2, 3, 4, 6, 8, 12, …

# What stands before the third slash: few different ones, so that the host is looked for a few times only.
FRONTS = """SELECT CASE WHEN split_part(url, '/', 2) = ''
    THEN split_part(url, '/', 1) || '//' || split_part(url, '/', 3) END AS front, count(*) AS n FROM rows GROUP BY 1"""


@dataclass(frozen=True)
class Answer:
    """What came of a question: as `facets`, or, of sizes, counts in `cells` of (place across, place up, count).

    `exact` is false where only `read` of `total` rows were looked at; counts are then "at least".
    """

    facets: list[Facet]
    exact: bool
    read: int
    total: int
    cells: tuple[tuple[int, int, int], ...] = ()
    ranks: tuple[tuple[int, int], ...] = ()
    tail: tuple[tuple[int, int, int], ...] = ()

    @property
    def num_rows(self) -> int:
        """Rows counted in cells."""
        return sum(count for _, _, count in self.cells)


def answer(snapshot: Snapshot, view: View, kind: str, names: Sequence[str], stop: Stop) -> Answer:
    """Ask the rows of a view."""
    if kind == "fetches":
        return _fetches(snapshot, stop)
    columns = [snapshot.column(view.unit, name) for name in names]
    if kind not in _ASK or not columns:
        raise UsageError(f"{kind!r} is nothing that can be asked; open /distributions")
    return _ASK[kind](snapshot, view, columns, stop)


def _values(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    if columns[0].kind not in ("text", "list", "flag"):
        raise UsageError(f"{columns[0].name} holds no texts whose values could be counted")
    return _of_facets([texts(view, columns[0], Scan(snapshot, view, [columns[0].name], stop=stop), MOST)])


def _numbers(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    _refuse_others(columns)
    return _of_facets(numbers(snapshot, view, columns, Scan(snapshot, view, [c.name for c in columns], stop=stop)))


def _clusters(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    _refuse_others(columns)
    scan = Scan(snapshot, view, [each.name for each in columns], stop=stop)
    found = numbers(snapshot, view, columns, scan, {each.name: CLUSTER_SIZES for each in columns})
    return _of_facets([_without_empty_end(each) for each in found])


def _without_empty_end(facet: Facet) -> Facet:
    last = max((place for place, value in enumerate(facet.values) if value.count), default=-1)
    return replace(facet, values=facet.values[: last + 1], num_values=last + 1)


def _refuse_others(columns: Sequence[Column]) -> None:
    other = next((each.name for each in columns if each.kind not in ("number", "time")), None)
    if other:
        raise UsageError(f"{other} holds no numbers")


def _of_facets(facets: list[Facet]) -> Answer:
    return Answer(facets, all(each.exact for each in facets), facets[0].read, facets[0].total)


def _hosts(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    """Hosts of a column of URLs."""
    import duckdb

    (column,) = columns[:1]
    if column.kind != "text":
        raise UsageError(f"{column.name} holds no URLs")
    host, counts, num_null, read, complete = host_sql(rule_name(column.name)), Counter[str](), 0, 0, True
    num_rows = 0
    scan = Scan(snapshot, view, [column.name], stop=stop)
    with duckdb.connect(":memory:", config={"threads": "1", "memory_limit": "300MB"}) as connection:
        for chunk in scan:
            connection.register("rows", pa.table({"url": chunk.columns[column.name]}))
            found = connection.sql(f"SELECT {host_sql('front')} AS host, sum(n) FROM ({FRONTS}) GROUP BY 1").fetchall()
            num_null += sum(int(count) for name, count in found if not name)
            counts.update({name: int(count) for name, count in found if name})
            counts, complete = _bounded(counts, complete)
            num_rows += len(chunk.rows)
            read = chunk.read
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]
    values = [_spelt(view, name, f"{host} = {literal(name)}", count) for name, count in order]
    exact = scan.finished and complete
    read = scan.total if scan.finished else read
    return _of_facets([Facet(column, values, num_null, len(counts), False, exact, read, scan.total, num_rows=num_rows)])


def _bounded(counts: Counter[str], complete: bool) -> tuple[Counter[str], bool]:
    if len(counts) <= MAX_HOSTS:
        return counts, complete
    return Counter(dict(counts.most_common(MAX_HOSTS // 2))), False


def _spelt(view: View, label: str, rule: str, count: int) -> Value:
    rule = normal(rule)
    return Value(label, rule, count, active=rule in view.rules)


def _sizes(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    """Counts of two columns of whole numbers, in cells of half octaves: (place, place, count) of `HALF_OCTAVES`."""
    _refuse_others(columns)
    if len(columns) != 2:
        raise UsageError("two columns are set against each other")
    side, read = len(HALF_OCTAVES), 0
    counts = np.zeros(side * side, np.int64)
    num_null = 0
    scan = Scan(snapshot, view, [each.name for each in columns], stop=stop)
    for chunk in scan:
        across, up = (floats(chunk.columns[each.name].combine_chunks()) for each in columns)
        known = (across >= 1) & (up >= 1)
        num_null += int((~known).sum())
        i, j = (np.searchsorted(HALF_OCTAVES, values[known], "right") - 1 for values in (across, up))
        counts += np.bincount(i * side + j, minlength=side * side)
        read = chunk.read
    cells = tuple((int(at) // side, int(at) % side, int(counts[at])) for at in np.flatnonzero(counts))
    read = scan.total if scan.finished else read
    facet = Facet(columns[0], [], num_null, 0, False, scan.finished, read, scan.total)
    return Answer([facet], scan.finished, read, scan.total, cells)


def cell_rule(names: Sequence[str], cell: tuple[int, int, int]) -> str:
    """The rule that asks for the rows of a cell of `_sizes`."""
    parts = []
    for name, place in zip(names, cell[:2], strict=True):
        parts.append(f"{rule_name(name)} >= {HALF_OCTAVES[place]}")
        if place + 1 < len(HALF_OCTAVES):
            parts.append(f"{rule_name(name)} < {HALF_OCTAVES[place + 1]}")
    return normal(" and ".join(parts))


def _concepts(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    """The head and the tail of a column of lists: the commonest entries, how often that of each rank occurs, and how
    many entries occur 2^k to 2^(k+1) - 1 times."""
    (column,) = columns[:1]
    if column.kind != "list":
        raise UsageError(f"{column.name} holds no lists")
    counts, num_null, num_rows, read, complete = Counter[str](), 0, 0, 0, True
    scan = Scan(snapshot, view, [column.name], stop=stop)
    for chunk in scan:
        lists = chunk.columns[column.name].combine_chunks()
        num_null += lists.null_count
        for entry in pc.value_counts(lists.flatten().drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
        counts, complete = _bounded(counts, complete)
        num_rows += len(chunk.rows)
        read = chunk.read
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    name = rule_name(column.name)
    values = [_spelt(view, each, f"list_contains({name}, {literal(each)})", count) for each, count in order[:MOST]]
    exact = scan.finished and complete
    read = scan.total if scan.finished else read
    facet = Facet(column, values, num_null, len(counts), False, exact, read, scan.total, num_rows=num_rows)
    frequencies = np.array([count for _, count in order], np.int64)
    return Answer([facet], exact, read, scan.total, ranks=_ranks(frequencies), tail=_tail(frequencies))


def _ranks(frequencies: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    if not len(frequencies):
        return ()
    places = np.unique(np.geomspace(1, len(frequencies), 60).round().astype(int))
    return tuple((int(place), int(frequencies[place - 1])) for place in places)


def _tail(frequencies: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """(least, most, how many entries occur so often), the rarest first."""
    octaves = np.bincount(np.log2(frequencies).astype(int)) if len(frequencies) else ()
    return tuple((2**k, 2 ** (k + 1) - 1, int(count)) for k, count in enumerate(octaves) if count)


def _flags(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    """Of each flag, or list, how many rows say yes (have entries), no (have none), and how many were not asked."""
    scan = Scan(snapshot, view, [each.name for each in columns], stop=stop)
    counts, read = np.zeros((len(columns), 3), np.int64), 0
    for chunk in scan:
        for place, column in enumerate(columns):
            values = chunk.columns[column.name].combine_chunks()
            yes = pc.greater(pc.list_value_length(values), 0) if column.kind == "list" else values
            num_yes = pc.sum(pc.cast(yes, pa.int64())).as_py() or 0
            counts[place] += (num_yes, len(values) - values.null_count - num_yes, values.null_count)
        read = chunk.read
    read = scan.total if scan.finished else read
    found = []
    for column, (yes, no, unknown) in zip(columns, counts.tolist(), strict=True):
        name = rule_name(column.name)
        rules = (f"len({name}) > 0", f"len({name}) = 0") if column.kind == "list" else (name, f"not {name}")
        values = [_spelt(view, label, rule, n) for label, rule, n in zip(("yes", "no"), rules, (yes, no), strict=True)]
        found.append(Facet(column, values, unknown, 2, False, scan.finished, read, scan.total))
    return _of_facets(found)


def _rights(snapshot: Snapshot, view: View, columns: Sequence[Column], stop: Stop) -> Answer:
    """Kinds of evidence in a column of (kind, value): how often each was found. No rule asks for a kind."""
    (column,) = columns[:1]
    kind = snapshot.corpus.schema(column.table).field(column.stored).type
    if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        raise UsageError(f"{column.name} holds no evidence")
    counts, num_null, read = Counter[str](), 0, 0
    scan = Scan(snapshot, view, [column.name], stop=stop)
    for chunk in scan:
        lists = chunk.columns[column.name].combine_chunks()
        num_null += lists.null_count
        for entry in pc.value_counts(pc.struct_field(lists.flatten(), "kind").drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
        read = chunk.read
    read = scan.total if scan.finished else read
    values = [Value(name or "?", "", count) for name, count in counts.most_common(MOST)]
    total = counts.total()
    return _of_facets(
        [Facet(column, values, num_null, len(counts), False, scan.finished, read, scan.total, num_rows=total)]
    )


def _fetches(snapshot: Snapshot, stop: Stop) -> Answer:
    """What came of asking for URLs: HTTP status and class of error."""
    dataset, total = snapshot.corpus.dataset("fetches"), snapshot.corpus.count("fetches")
    counts, read = Counter[tuple[int | None, str | None]](), 0
    for batch in dataset.scanner(columns=["status", "error"], batch_size=262_144).to_batches():
        for entry in pa.table(batch).group_by(["status", "error"]).aggregate([([], "count_all")]).to_pylist():
            counts[entry["status"], entry["error"]] += entry["count_all"]
        read += batch.num_rows
        if stop:
            break
    linked = "fetch_error" in snapshot.columns["pair"]
    order = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    values = []
    for (status, error), count in order[:MOST]:
        rule = f"fetch_error = {literal(error)}" if error and linked else ""
        values.append(Value(" · ".join(str(each) for each in (status, error) if each is not None), rule, count))
    column = Column("status", "fetches", "status", "other", None)
    return _of_facets([Facet(column, values, 0, len(counts), False, read == total, read, total, num_rows=read)])


_ASK = {
    "values": _values,
    "hosts": _hosts,
    "numbers": _numbers,
    "clusters": _clusters,
    "sizes": _sizes,
    "concepts": _concepts,
    "flags": _flags,
    "rights": _rights,
}
