"""How two releases, or two selections of corpora, differ: rows, columns, settings, and what the rows are like.

Rows are told apart by their key and compared column by column over the columns that both sides have. They stream into
a DuckDB file in a temporary folder, 8 bytes a value, so memory stays bounded whatever the size.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus, narrow_memory
from tuwen.corpus.tables import host_of
from tuwen.errors import UsageError
from tuwen.parts import nearest
from tuwen.releases.content import open_content
from tuwen.releases.manifest import MANIFEST, canonical_json, plain, read_manifest
from tuwen.releases.release import definition_of, inner_ledgers
from tuwen.releases.rows import Row, key_column, released_rows
from tuwen.releases.samples import plain_rows
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import selections_of

if TYPE_CHECKING:
    import duckdb

EXAMPLES, SHIFTS, _BATCH = 20, 10, 4_096


@dataclass(frozen=True)
class Side:
    """What was compared: its address, the unit of its rows, and how much it holds. `seal`: of a release."""

    name: str
    unit: str
    num_rows: int
    num_images: int
    num_documents: int
    seal: str | None = None


@dataclass(frozen=True)
class Change:
    """Rows (or images, documents) that only B has, only A has, and that both have; with the first keys of each."""

    added: int
    removed: int
    kept: int
    added_examples: tuple[str, ...] = ()
    removed_examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shift:
    """A value of a distribution: rows of A and of B that have it."""

    value: str
    before: int
    after: int


@dataclass(frozen=True)
class Distribution:
    """One property of the rows. `distance` is half the sum of the differences of shares, 0 (alike) to 1 (disjoint);
    `shifts` holds the values whose share changed most, at most `SHIFTS`. "" stands for rows without a value.
    """

    name: str
    num_values: int
    distance: float
    shifts: tuple[Shift, ...]


@dataclass(frozen=True)
class Setting:
    """What was set differently; None: not set there."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Diff:
    """How B differs from A. Distributions come with the most different first."""

    before: Side
    after: Side
    rows: Change
    images: Change
    documents: Change
    num_changed: int  # rows on both sides of which a column differs
    changed_examples: tuple[str, ...]
    changed_columns: dict[str, int]  # column → rows
    added_columns: tuple[str, ...]
    removed_columns: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    settings: tuple[Setting, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the rows, all their columns and the settings are the same."""
        differs = self.rows.added or self.rows.removed or self.num_changed or self.added_columns or self.removed_columns
        return not (differs or self.settings)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def diff(a: str | Path, b: str | Path, *, allow_code: bool = False) -> Diff:
    """Compare two places, each a release folder, or a selection of a corpus as `CORPUS:NAME`.

    Raises `UsageError` for a place that is neither, and for two whose rows are not of one kind.
    """
    with ExitStack() as stack:
        places = [stack.enter_context(_open(str(place), allow_code)) for place in (a, b)]
        one, two = places
        if one.key != two.key:
            raise UsageError(f"{one.name} holds rows by {one.key}, {two.name} by {two.key}; compare what has one key")
        shared = sorted(set(one.columns) & set(two.columns) - {one.key})
        connection = stack.enter_context(_scratch())
        for table, place in (("a", one), ("b", two)):
            _load(connection, table, place, shared)
        return Diff(
            before=_side(connection, "a", one),
            after=_side(connection, "b", two),
            rows=_change(connection, "SELECT key FROM {}"),
            images=_change(connection, "SELECT DISTINCT unnest(image_ids) AS key FROM {}"),
            documents=_change(connection, "SELECT DISTINCT document_id AS key FROM {} WHERE document_id IS NOT NULL"),
            **_changed(connection, shared),
            added_columns=tuple(sorted(set(two.columns) - set(one.columns))),
            removed_columns=tuple(sorted(set(one.columns) - set(two.columns))),
            distributions=_distributions(connection),
            settings=_settings(one.settings, two.settings),
        )


# Places --------------------------------------------------------------------------------------------------------


@dataclass
class _Place:
    name: str
    unit: str
    key: str
    columns: Sequence[str]
    rows: Iterator[Row]
    settings: Mapping[str, Any]
    seal: str | None = None


@contextmanager
def _open(place: str, allow_code: bool) -> Iterator[_Place]:
    if (Path(place) / MANIFEST).is_file():
        yield _release(Path(place))
        return
    folder, _, name = place.rpartition(":")
    if not name or not (Path(folder) / "corpus.json").is_file():
        is_corpus = (Path(place) / "corpus.json").is_file()
        known = ", ".join(selections_of(Corpus.open(place), allow_code=allow_code)) if is_corpus else ""
        hint = (
            f"name one of its selections: {place}:NAME with {known or 'none'}" if is_corpus else "name one of the two"
        )
        raise UsageError(f"{place} is neither a release nor a selection of a corpus (CORPUS:NAME); {hint}")
    corpus = Corpus.open(folder).pinned()
    selections = selections_of(corpus, allow_code=allow_code)
    if name not in selections:
        raise UsageError(f"{folder} has no selection {name!r}; {nearest(name, selections)}")
    ledger = Ledger.open_or_judge(corpus, name, selections)
    inner = inner_ledgers(corpus, ledger.selection, selections)
    images = inner[ledger.selection.images] if ledger.selection.images else None
    settings = {"selection": definition_of(ledger.selection, inner)}
    with open_content(corpus, ledger, images) as content:
        rows = chain.from_iterable(plain_rows(batch) for batch in content.rows())
        unit = ledger.selection.unit
        yield _Place(place, unit, f"{unit}_id", content.schema.names, rows, settings)


def _release(folder: Path) -> _Place:
    manifest = read_manifest(folder)
    rows = (released.row for released in released_rows(folder, manifest, "data/"))
    first = next(rows, {})
    settings = {
        "tuwen_version": manifest.tuwen_version,
        "writer": manifest.writer,
        "selection": manifest.selection,
        "corpus": {table: described["rows"] for table, described in manifest.corpus.items()},
    }
    unit, key = str(manifest.selection["unit"]), key_column(manifest)
    rows = chain([first] if first else [], rows)  # type: ignore[assignment]
    return _Place(str(folder), unit, key, list(first), rows, settings, manifest.seal)


# Loading -------------------------------------------------------------------------------------------------------

_LOADED = pa.schema(
    [
        ("key", pa.string()),
        ("hashes", pa.binary()),  # 8 bytes a shared column, in their order
        ("image_ids", pa.list_(pa.string())),
        ("document_id", pa.string()),
    ]
)


def _host(row: Row, *names: str) -> str | None:
    url = next((row[name] for name in names if row.get(name)), None)
    return host_of(url) if isinstance(url, str) else None


def _octave(value: object) -> str | None:
    """`64-127` for 100."""
    if not isinstance(value, int | float) or value < 1:
        return None
    low = 1 << (int(value).bit_length() - 1)
    return f"{low}-{2 * low - 1}" if low > 1 else "1"


def _short_side(row: Row) -> str | None:
    sides = [row.get(name) for name in ("image_width", "image_height")]
    return _octave(min(sides)) if all(isinstance(side, int) for side in sides) else None  # type: ignore[type-var]


def _text_length(row: Row) -> str | None:
    text = row.get("text")
    return _octave(len(text)) if isinstance(text, str) else None


_PROPERTIES: dict[str, Callable[[Row], object]] = {
    "language": lambda row: row.get("language"),
    "text_source": lambda row: row.get("text_source"),
    "region": lambda row: row.get("region"),
    "image_host": lambda row: _host(row, "image_url"),
    "page_host": lambda row: _host(row, "document_url", "url"),
    "license": lambda row: row.get("document_license") or row.get("license"),
    "image_format": lambda row: row.get("image_format"),
    "image_short_side": _short_side,
    "image_bytes": lambda row: _octave(row.get("image_num_bytes")),
    "text_length": _text_length,
}


@contextmanager
def _scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="tuwen-diff-") as folder:
        connection = duckdb.connect(
            str(Path(folder) / "rows.duckdb"), config={"memory_limit": narrow_memory(), "threads": "1"}
        )
        connection.execute("SET enable_progress_bar = false")
        try:
            yield connection
        finally:
            connection.close()


def _load(connection: duckdb.DuckDBPyConnection, table: str, place: _Place, shared: Sequence[str]) -> None:
    schema = pa.schema([*_LOADED, *((name, pa.string()) for name in _PROPERTIES)])
    connection.register("batch", schema.empty_table())
    connection.execute(f"CREATE TABLE {table} AS FROM batch")
    for batch in _batches(place, shared, schema):
        connection.register("batch", batch)
        connection.execute(f"INSERT INTO {table} FROM batch")


def _batches(place: _Place, shared: Sequence[str], schema: pa.Schema) -> Iterator[pa.Table]:
    waiting: list[dict[str, Any]] = []
    for row in place.rows:
        images = row.get("images") or [row.get("image_id")]
        described = {
            "key": str(row[place.key]),
            "hashes": array("q", [_hash(row.get(name)) for name in shared]).tobytes(),
            "image_ids": [image for image in images if isinstance(image, str)],
            "document_id": row.get("document_id"),
        }
        found = ((name, of(row)) for name, of in _PROPERTIES.items())
        waiting.append({**described, **{name: None if value is None else str(value) for name, value in found}})
        if len(waiting) >= _BATCH:
            yield pa.Table.from_pylist(waiting, schema=schema)
            waiting = []
    if waiting:
        yield pa.Table.from_pylist(waiting, schema=schema)


def _hash(value: Any) -> int:
    """Of a plain value. Python's own hash of texts differs from process to process: it never leaves this one."""
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return hash(value)
    if (kind is int or kind is float) and value == value:
        return hash(value) if value != -1 else 3  # Python gives -1 and -2 the same hash
    return hash(canonical_json(value)) if kind is list or kind is dict else _hash(plain(value))


# Comparing -----------------------------------------------------------------------------------------------------


def _side(connection: duckdb.DuckDBPyConnection, table: str, place: _Place) -> Side:
    counts = connection.execute(
        f"SELECT count(*), count(DISTINCT document_id), "
        f"(SELECT count(DISTINCT image) FROM (SELECT unnest(image_ids) AS image FROM {table})) FROM {table}"
    ).fetchall()
    ((rows, documents, images),) = counts
    return Side(place.name, place.unit, rows, images, documents, place.seal)


def _change(connection: duckdb.DuckDBPyConnection, keys: str) -> Change:
    a, b = keys.format("a"), keys.format("b")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE met AS SELECT coalesce(x.key, y.key) AS key, x.key IS NOT NULL AS in_a, "
        f"y.key IS NOT NULL AS in_b FROM ({a}) AS x FULL JOIN ({b}) AS y ON x.key = y.key"
    )
    added, removed, kept = (
        connection.execute(f"SELECT count(*) FROM met WHERE {test}").fetchall()[0][0]
        for test in ("NOT in_a", "NOT in_b", "in_a AND in_b")
    )
    only_b, only_a = (
        tuple(
            key
            for (key,) in connection.execute(f"SELECT key FROM met WHERE {test} ORDER BY 1 LIMIT {EXAMPLES}").fetchall()
        )
        for test in ("NOT in_a", "NOT in_b")
    )
    return Change(added, removed, kept, only_b, only_a)


def _changed(connection: duckdb.DuckDBPyConnection, shared: Sequence[str]) -> dict[str, Any]:
    both = "FROM a JOIN b ON a.key = b.key WHERE a.hashes <> b.hashes"
    ((number,),) = connection.execute(f"SELECT count(*) {both}").fetchall()
    first = connection.execute(f"SELECT a.key {both} ORDER BY 1 LIMIT {EXAMPLES}").fetchall()
    counts = np.zeros(len(shared), np.int64)
    for batch in connection.sql(f"SELECT a.hashes AS x, b.hashes AS y {both}").to_arrow_reader(_BATCH):
        one, two = (np.frombuffer(b"".join(column.to_pylist()), np.int64) for column in batch.columns)
        counts += (one != two).reshape(batch.num_rows, len(shared)).sum(axis=0)
    columns = [(name, int(count)) for name, count in zip(shared, counts, strict=True) if count]
    return {
        "num_changed": int(number),
        "changed_examples": tuple(key for (key,) in first),
        "changed_columns": dict(sorted(columns, key=lambda each: (-each[1], each[0]))),
    }


def _distributions(connection: duckdb.DuckDBPyConnection) -> tuple[Distribution, ...]:
    found = [_distribution(connection, name) for name in _PROPERTIES]
    return tuple(sorted((each for each in found if each is not None), key=lambda each: -each.distance))


def _distribution(connection: duckdb.DuckDBPyConnection, name: str) -> Distribution | None:
    counted = f"SELECT coalesce({name}, '') AS value, count(*) AS n FROM {{}} GROUP BY 1"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE counts AS SELECT value, coalesce(x.n, 0) AS x, coalesce(y.n, 0) AS y "
        f"FROM ({counted.format('a')}) AS x FULL JOIN ({counted.format('b')}) AS y USING (value)"
    )
    ((num_values, num_a, num_b, known),) = connection.execute(
        "SELECT count(*), sum(x), sum(y), count(*) FILTER (value <> '') FROM counts"
    ).fetchall()
    if not known or not num_a or not num_b:
        return None
    change = f"abs(x::DOUBLE / {num_a} - y::DOUBLE / {num_b})"
    ((distance,),) = connection.execute(
        f"SELECT sum(d ORDER BY d) / 2 FROM (SELECT {change} AS d FROM counts)"
    ).fetchall()
    shifts = connection.execute(
        f"SELECT value, x, y FROM counts WHERE {change} > 0 ORDER BY {change} DESC, value LIMIT {SHIFTS}"
    ).fetchall()
    return Distribution(
        name, num_values, round(distance, 9), tuple(Shift(value, int(x), int(y)) for value, x, y in shifts)
    )


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Of what both sides have: a selection that was never released has no writer."""
    shared = before.keys() & after.keys()
    a, b = (dict(_flat("", plain({name: side[name] for name in shared}))) for side in (before, after))
    names = sorted({*a, *b})
    return tuple(Setting(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name))


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Nested values by dotted names; steps of selections count from 1."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value, 1):
            yield from _flat(f"{prefix}[{number}]", item)
    else:
        yield prefix, json.loads(canonical_json(value))
