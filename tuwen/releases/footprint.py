"""What a takedown touches in a corpus and in releases of it, counted before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import index_states
from tuwen.corpus.joins import joins_of
from tuwen.corpus.tables import TABLES, host_sql
from tuwen.corpus.tombstones import Stone, stones_table
from tuwen.releases.manifest import read_manifest
from tuwen.releases.rows import Released, released_rows
from tuwen.selections.ledger import stored_ledgers
from tuwen.selections.selection import UNITS
from tuwen.selections.takedowns import HASH, Takedowns
from tuwen.selections.tree import literal

if TYPE_CHECKING:
    import duckdb

EXAMPLES = 20
MAX_SAMPLES = 10_000
"""Samples of a release that are listed by name; all are counted."""
_BATCH = 4_096
_RELEASED = pa.schema(
    [(name, pa.string()) for name in ("shard", "sample", "pair_id", "image_id", "document_id", "image_url", "page_url")]
)


@dataclass(frozen=True)
class Touched:
    """Rows: how many, and the first ids of them."""

    num: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class TouchedRelease:
    """A release that holds something of it: samples per shard, and their keys (at most `MAX_SAMPLES`)."""

    folder: str
    format: str
    seal: str
    num_samples: int
    shards: dict[str, int] = field(default_factory=dict)
    samples: tuple[tuple[str, str], ...] = ()  # (shard, key)


@dataclass(frozen=True)
class Footprint:
    """All that a takedown touches. Numbers of `ledgers`, `joins` and `indexes` are rows, by name."""

    images: Touched
    pairs: Touched  # derived ones included
    derived: Touched  # pairs whose text was made from one that is gone
    documents: Touched
    num_showing: int  # other pages that show one of the images: they stay, without it
    num_fetches: int  # attempts at URLs that are gone: they stay, and say why nobody asks again
    ledgers: dict[str, int]  # of the rows that the selection kept
    kept: dict[str, int]  # all that it kept
    joins: dict[str, int]  # rows of the joined file
    indexes: dict[str, int]  # entries of table.column
    releases: list[TouchedRelease] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is there is touched."""
        return not (self.images.num or self.pairs.num or self.documents.num or self.releases)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def footprint(corpus: Corpus, stones: Sequence[Stone], releases: Iterable[str | Path] = ()) -> Footprint:
    """What takedowns would touch, whether they are recorded or not. Reads narrow columns; spills beyond its memory."""
    with gone(corpus, stones) as connection:
        images = _touched(connection, "images", "gone_images")
        pairs = _touched(connection, "pairs", "gone_rows")
        documents = _touched(connection, "documents", "gone_documents")
        derived = _touched(connection, "pairs", "gone_rows", "AND derived_from IS NOT NULL")
        ledgers = dict(_ledgers(corpus, connection))
        return Footprint(
            images=images,
            pairs=pairs,
            derived=derived,
            documents=documents,
            num_showing=_num_showing(corpus, connection),
            num_fetches=_count(
                connection,
                "FROM fetches WHERE image_id IN (FROM gone_images) OR url IN (FROM gone_fetched)",
            ),
            ledgers={name: lost for name, (lost, _) in ledgers.items()},
            kept={name: kept for name, (_, kept) in ledgers.items()},
            joins=dict(_joins(corpus, connection)),
            indexes={
                f"{state.table}.{state.column}": {"images": images, "pairs": pairs}[state.table].num
                for state in index_states(corpus)
            },
            releases=[found for folder in releases if (found := _release(connection, Path(folder), stones)).shards],
        )


@contextmanager
def gone(corpus: Corpus, stones: Sequence[Stone] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the tables' narrow columns and what is gone: `gone_images`, `gone_documents`, `gone_rows`
    (all pairs that are gone, derived ones included) and `gone_fetched` (URLs). `stones`: default, those of the corpus.
    """
    knows_images = "image_id" in corpus.columns("pairs")
    used: dict[str, dict[str, None]] = {
        "images": {"image_id": None},
        "documents": {"document_id": None},
        "fetches": {"url": None, "image_id": None},
        "pairs": dict.fromkeys(["pair_id", "derived_from", "image_ref", "document_id"]),
    }

    def use(table: str, *columns: str) -> None:
        used.setdefault(table, {}).update(dict.fromkeys(columns))

    takedowns = Takedowns.of(corpus, use) if stones is None else Takedowns(use, _has_near(corpus, stones))
    for query in (takedowns.derived(knows_images), takedowns.images):
        assert query  # asked for what it reads: `used` is complete
    with corpus.connect() as connection:
        for table, columns in used.items():
            rows = corpus.stored(table, list(columns))
            connection.register(table, stones_table(stones) if table == "tombstones" and stones is not None else rows)
        takedowns.make_tables(connection, knows_images)
        connection.execute("CREATE TEMP VIEW gone_rows AS SELECT gone FROM gone_pairs")
        connection.execute(f"CREATE TEMP TABLE gone_fetched AS SELECT gone FROM ({takedowns.urls('fetches', 'url')})")
        yield connection


def _has_near(corpus: Corpus, stones: Sequence[Stone]) -> bool:
    return HASH in corpus.columns("images") and any(stone.kind == "near" for stone in stones)


def _touched(connection: duckdb.DuckDBPyConnection, table: str, relation: str, more: str = "") -> Touched:
    key = TABLES[table].key
    rows = f"FROM {table} WHERE {key} IN (FROM {relation}) {more}"
    found = connection.execute(f"SELECT {key} {rows} ORDER BY 1 LIMIT {EXAMPLES}").fetchall()
    return Touched(_count(connection, rows), tuple(key for (key,) in found))


def _count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    ((number,),) = connection.execute(f"SELECT count(*) {rows}").fetchall()
    return int(number)


def _num_showing(corpus: Corpus, connection: duckdb.DuckDBPyConnection) -> int:
    if "image_ids" not in corpus.columns("documents"):
        return 0
    connection.register("shown", corpus.stored("documents", ["document_id", "image_ids"]))
    return _count(
        connection,
        "FROM (SELECT DISTINCT document_id FROM (SELECT document_id, unnest(image_ids) AS image_id FROM shown) "
        "WHERE image_id IN (FROM gone_images)) WHERE document_id NOT IN (FROM gone_documents)",
    )


_GONE_OF = {"pairs": "gone_rows", "images": "gone_images", "documents": "gone_documents"}


def _ledgers(corpus: Corpus, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, tuple[int, int]]]:
    """Rows that each selection kept, as far as it was judged: those that are gone, and all."""
    for name, file, described in stored_ledgers(corpus):
        kept = f"FROM {file.sql} WHERE step IS NULL"
        lost = _count(connection, f"{kept} AND id IN (FROM {_GONE_OF[UNITS[described['definition']['unit']]]})")
        yield name, (lost, _count(connection, kept))


def _joins(corpus: Corpus, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, int]]:
    """Rows of the corpus that have values of a join and are gone."""
    for record in joins_of(corpus.path):
        columns = [name for name in record.columns if name in corpus.columns(record.table)]
        if record.table not in _GONE_OF or not columns:
            yield record.name, 0
            continue
        key = TABLES[record.table].key
        connection.register("joined", corpus.stored(record.table, [key, *columns]))
        has_value = " OR ".join(f'"{name}" IS NOT NULL' for name in columns)
        yield (
            record.name,
            _count(connection, f"FROM joined WHERE {key} IN (FROM {_GONE_OF[record.table]}) AND ({has_value})"),
        )


def _release(connection: duckdb.DuckDBPyConnection, folder: Path, stones: Sequence[Stone]) -> TouchedRelease:
    """Which samples of which shards hold something of it: by id, and by address where the corpus has no such row."""
    manifest = read_manifest(folder)
    connection.execute("CREATE OR REPLACE TEMP TABLE touched (shard VARCHAR, sample VARCHAR)")
    for batch in _batches(released_rows(folder, manifest)):
        connection.register("batch", batch)
        connection.execute(f"INSERT INTO touched SELECT DISTINCT shard, sample FROM batch WHERE {_is_touched(stones)}")
    connection.execute("CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT * FROM touched")
    shards = connection.execute("SELECT shard, count(*) FROM touched GROUP BY 1 ORDER BY 1").fetchall()
    samples = connection.execute(f"FROM touched ORDER BY ALL LIMIT {MAX_SAMPLES}").fetchall()
    return TouchedRelease(
        str(folder),
        str(manifest.writer["name"]),
        manifest.seal,
        sum(count for _, count in shards),
        dict(shards),
        tuple((shard, sample) for shard, sample in samples),
    )


def _is_touched(stones: Sequence[Stone]) -> str:
    by_id = {"pair_id": "gone_rows", "image_id": "gone_images", "document_id": "gone_documents"}
    tests = [f"{column} IN (FROM {relation})" for column, relation in by_id.items()]
    urls = ", ".join(literal(stone.value) for stone in stones if stone.kind == "url")
    domains = [literal(stone.value) for stone in stones if stone.kind == "domain"]
    for column in ("image_url", "page_url"):
        tests += [f"{column} IN ({urls})"] if urls else []
        host = host_sql(column)
        tests += [f"({host} = {domain} OR ends_with({host}, '.' || {domain}))" for domain in domains]
    return " OR ".join(f"coalesce({test}, false)" for test in tests)


def _batches(rows: Iterable[Released]) -> Iterator[pa.Table]:
    waiting: list[dict[str, Any]] = []
    for released in rows:
        waiting += _flat(released)
        if len(waiting) >= _BATCH:
            yield pa.Table.from_pylist(waiting, schema=_RELEASED)
            waiting = []
    if waiting:
        yield pa.Table.from_pylist(waiting, schema=_RELEASED)


def _flat(released: Released) -> Iterator[dict[str, Any]]:
    """The ids and addresses of a row; of a document, one for each image that it shows."""
    row = released.row
    of_document = row.get("url") if "pair_id" not in row and "document_id" in row else None
    common = {
        "shard": released.shard,
        "sample": released.sample,
        "pair_id": row.get("pair_id"),
        "document_id": row.get("document_id"),
        "page_url": row.get("document_url") or of_document,
    }
    yield {**common, "image_id": row.get("image_id"), "image_url": row.get("image_url")}
    for image_id, url in zip(row.get("images") or (), row.get("image_urls") or (), strict=False):
        if image_id is not None:
            yield {**common, "image_id": image_id, "image_url": url}
