"""What a release is made of: the kept rows of one selection, joined, in the order of their ids, and their images.

Rows come ordered by content hash, which is a shuffle that every build and machine agrees on. DuckDB does the joins and
the sort, within the corpus' memory limit and spilling beyond it; image bytes never enter it.

Column names are the same in every format. A column of the selection's own table keeps its name; those of the image
and of the document take the prefix `image_` and `document_`. `source` and `source_unit` are never exported: which unit
brought a shared image first depends on the order of the inputs. Neither are the engine's `*_error` columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tuwen.corpus.tables import TABLES, digest
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.shards import refuse_duplicates
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import UNITS
from tuwen.selections.takedowns import Takedowns

if TYPE_CHECKING:
    import duckdb

    from tuwen.corpus.corpus import Corpus

BATCH_ROWS = 1_024
SORTING_MEMORY = "300MB"
FETCH_IMAGES = 1_000  # at most this many images are in memory at a time,
FETCH_BYTES = 32 << 20  # and about this many bytes of them

# Released rows with everything that their exported columns are read from. How many rows a stored table has DuckDB does
# not know; it takes one for granted, and would hold the whole of it to join it with what is released. So joins go as
# they are written (`open_content`): what stands on the right is held, or spilled.
_JOINED = {
    "pair": "pairs JOIN released r USING (pair_id) LEFT JOIN images ON images.image_id = r.image_id "
    "LEFT JOIN documents ON documents.document_id = pairs.document_id",
    "image": "images JOIN released r USING (image_id)",
    "document": "documents JOIN released r USING (document_id)",
}
WEIGHT = "sampling_weight"
# Lists beside `nodes` are written by the writer that writes the nodes, or not at all.
MATCHES = ("matched_text_index", "matched_similarity")
_PRIVATE = frozenset({"source", "source_unit", "bytes", "nodes", "image_ids", "image_ref", *MATCHES})


@dataclass(frozen=True)
class Exported:
    """A column of a release: its name there, SQL, type, the table it comes from and the stage that wrote it, if any."""

    name: str
    sql: str
    type: pa.DataType
    table: str
    stage: str | None

    @property
    def selected(self) -> str:
        """For a SELECT."""
        return f'{self.sql} AS "{self.name}"'


class Content:
    """The rows that one release holds. Made by `open_content`; reads only."""

    def __init__(
        self,
        corpus: Corpus,
        connection: duckdb.DuckDBPyConnection,
        unit: str,
        is_weighted: bool,
        vectors: bool = False,
    ) -> None:
        self.corpus = corpus
        self.connection = connection
        self.unit = unit
        self.columns = {name: list(corpus.columns(name)) for name in TABLES}
        self.exported = [
            column for column in _exported(corpus, unit) if vectors or not pa.types.is_fixed_size_list(column.type)
        ]
        if is_weighted:
            self.exported.append(Exported(WEIGHT, "r.weight", pa.float64(), UNITS[unit], "selection"))
        refuse_duplicates(column.name for column in self.exported)
        self.image_columns = _image_columns(corpus)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of `rows()`."""
        return pa.schema([pa.field(column.name, column.type) for column in self.exported])

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Released rows: pairs by (image_id, pair_id), images by image_id, documents by document_id."""
        key = {"pair": "r.image_id, r.pair_id", "image": "r.image_id", "document": "r.document_id"}[self.unit]
        selected = ", ".join(column.selected for column in self.exported)
        yield from self._stream(f"SELECT {selected} FROM {_JOINED[self.unit]} ORDER BY {key}", self.schema)

    def distinct(self, name: str) -> Iterator[pa.RecordBatch]:
        """Values of one exported column over the released rows, as text, each once, sorted by bytes, null last."""
        (column,) = (column for column in self.exported if column.name == name)
        yield from self._stream(
            f"SELECT DISTINCT CAST({column.sql} AS VARCHAR) AS id FROM {_JOINED[self.unit]} ORDER BY id NULLS LAST",
            pa.schema([pa.field("id", pa.string())]),
        )

    @property
    def image_schema(self) -> pa.Schema:
        """Names and types of the columns of `image_rows()`."""
        columns = [pa.field(column.name, column.type) for column in self.image_columns]
        return pa.schema([pa.field("image_id", pa.string()), *columns])

    def image_rows(self) -> Iterator[pa.RecordBatch]:
        """For documents, after `document_rows`: one row per image that stays in any of them, by image_id."""
        columns = ["r.image_id", *(column.selected for column in self.image_columns)]
        yield from self._stream(
            f"SELECT {', '.join(columns)} FROM images JOIN (SELECT DISTINCT image_id FROM kept_images) r "
            "USING (image_id) ORDER BY r.image_id",
            self.image_schema,
        )

    def node_rows(self) -> Iterator[pa.RecordBatch]:
        """For documents: `rows()` with `nodes`."""
        schema = pa.schema([*self.schema, ("nodes", self.corpus.schema("documents").field("nodes").type)])
        refuse_duplicates(schema.names)
        selected = ", ".join(column.selected for column in self.exported)
        joined = _JOINED["document"]
        yield from self._stream(f"SELECT {selected}, documents.nodes FROM {joined} ORDER BY r.document_id", schema)

    @property
    def matches(self) -> tuple[str, ...]:
        """Columns that match images of documents to texts, if `document.assignment` is in the recipe."""
        known = self.corpus.current_columns("documents")
        return MATCHES if all(name in known for name in MATCHES) else ()

    def document_rows(self, regions: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """For documents: `rows()` with `nodes`, `image_ids` and `kept_images` (those of its images that stay)."""
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE kept_images AS SELECT DISTINCT document_id, image_id FROM ({_NODES}) "
            "WHERE list_contains($regions, coalesce(region, 'main')) "
            "AND image_id IN (SELECT image_id FROM allowed_images)",
            {"regions": list(regions)},
        )
        documents = self.corpus.schema("documents")
        beside = ["nodes", "image_ids", *self.matches]
        extra = [(name, documents.field(name).type) for name in beside]
        schema = pa.schema([*self.schema, *extra, ("kept_images", pa.list_(pa.string()))])
        refuse_duplicates(schema.names)
        selected = ", ".join(
            [*(column.selected for column in self.exported), *(f"documents.{name}" for name in beside)]
        )
        yield from self._stream(
            f"SELECT {selected}, k.ids AS kept_images FROM documents "
            "JOIN released r USING (document_id) LEFT JOIN (SELECT document_id, list(image_id) AS ids FROM kept_images "
            "GROUP BY ALL) k ON k.document_id = r.document_id ORDER BY r.document_id",
            schema,
        )

    def with_bytes(self, rows: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, list[bytes]]]:
        """Slices of `rows`, each with the original bytes of the image of every row; few in memory at a time.

        `TuwenError` where the corpus has no bytes for an image, for a selection must not name what is gone, or others
        than its id is made of.
        """
        size = 16
        for batch in rows:
            start = 0
            while start < batch.num_rows:
                piece = batch.slice(start, size)
                ids = piece["image_id"].to_pylist()
                distinct = list(dict.fromkeys(ids))
                found = dict(zip(distinct, self._fetch(distinct), strict=True))
                yield piece, [found[image_id] for image_id in ids]
                start += piece.num_rows
                mean = 1 + sum(map(len, found.values())) // len(found)
                size = max(1, min(FETCH_IMAGES, FETCH_BYTES // mean))

    def _fetch(self, ids: list[str]) -> list[bytes]:
        found = self.corpus.images(ids)
        missing = [image_id for image_id, data in zip(ids, found, strict=True) if data is None]
        if missing:
            raise TuwenError(
                f"the corpus has no bytes for image {missing[0]} ({len(missing)} missing): `tuwen gc` freed them, or "
                "they were lost (`tuwen status --deep` tells). The formats index, ids and text need none; or select "
                "images that have some"
            )
        whole = [data for data in found if data is not None]
        for image_id, data in zip(ids, whole, strict=True):
            if digest(data) != image_id:
                raise TuwenError(
                    f"the bytes of image {image_id} are damaged: its id is made of others. `tuwen status --deep "
                    f"{self.corpus.path}` lists all that are; put back a copy of the corpus, or leave "
                    "them out: a rule may say image_id <> '…'"
                )
        return whole

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Small results: counts and tables for people. Sees the corpus' tables and `released`."""
        return self.connection.execute(sql).fetchall()

    def _stream(self, sql: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import duckdb

        try:
            for batch in self.connection.sql(sql).to_arrow_reader(BATCH_ROWS):
                yield batch.cast(schema)
        except duckdb.OutOfMemoryException as error:
            raise TuwenError(
                f"sorting the release takes more memory; set TUWEN_MEMORY=2GB and repeat ({error})"
            ) from error


_NODES = """SELECT r.document_id, unnest(nodes).region AS region, unnest(image_ids) AS image_id
    FROM documents JOIN released r USING (document_id)"""


@contextmanager
def open_content(
    corpus: Corpus, ledger: Ledger, image_ledger: Ledger | None = None, *, vectors: bool = False
) -> Iterator[Content]:
    """The content of a release of `ledger`'s kept rows, less what must not or cannot be released (`left_out`).

    `vectors`: with the columns that hold some.

    Raises `UsageError` where the corpus lacks the columns that name images.
    """
    unit = ledger.selection.unit
    if unit not in UNITS:
        raise UsageError(f"selection unit {unit!r} cannot be released; known: {', '.join(UNITS)}")
    needed = {
        "pair": ("pairs", "image_id", "pair.resolve"),
        "document": ("documents", "image_ids", "document.resolve"),
    }
    if unit in needed:
        table, column, stage = needed[unit]
        if column not in corpus.columns(table):
            raise UsageError(f"{table} have no {column!r}; add the stage {stage} to the recipe and run tuwen build")
    with corpus.connect(_memory(unit)) as connection:
        connection.execute("SET threads = 1")  # each thread sorts in memory of its own
        connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        for name in TABLES:
            columns = [column for column in corpus.columns(name) if column not in TABLES[name].blobs]
            connection.register(name, corpus.stored(name, columns))
        _find_rows(connection, unit, ledger, image_ledger, corpus)
        yield Content(corpus, connection, unit, ledger.is_weighted, vectors)


def _memory(unit: str) -> str | None:
    """Memory for DuckDB: little for narrow rows, the corpus' default for documents, whose rows hold whole pages."""
    return None if unit == "document" else os.environ.get("TUWEN_MEMORY", SORTING_MEMORY)


def _find_rows(
    connection: duckdb.DuckDBPyConnection, unit: str, ledger: Ledger, image_ledger: Ledger | None, corpus: Corpus
) -> None:
    """`candidates` (what the selection keeps, with the `reason` that speaks against it, null: none) and `released`."""
    connection.execute(f"CREATE TEMP VIEW kept AS {_kept_rows(ledger)}")
    bad_image, bad_pair, bad_document = _reasons(connection, corpus)
    rows = {
        "pair": "SELECT pair_id, image_id, weight, CASE WHEN image_id IS NULL THEN 'no image' "
        f"{bad_pair} {bad_image} END AS reason FROM pairs JOIN kept ON pair_id = id",
        "image": f"SELECT image_id, weight, CASE WHEN false THEN '' {bad_image} END AS reason "
        "FROM images JOIN kept ON image_id = id",
        "document": f"SELECT document_id, weight, CASE WHEN false THEN '' {bad_document} END AS reason "
        "FROM documents JOIN kept ON document_id = id",
    }
    connection.execute(f"CREATE TEMP TABLE candidates AS {rows[unit]}")
    connection.execute("CREATE TEMP VIEW released AS SELECT * EXCLUDE reason FROM candidates WHERE reason IS NULL")
    if unit == "document":
        images = _kept_rows(image_ledger) if image_ledger else "SELECT image_id AS id FROM images"
        connection.execute(
            f"CREATE TEMP TABLE allowed_images AS SELECT image_id FROM (SELECT id AS image_id FROM ({images})) "
            f"WHERE CASE WHEN false THEN '' {bad_image} END IS NULL"
        )
        connection.execute("CREATE TEMP TABLE kept_images (document_id VARCHAR, image_id VARCHAR)")  # until settled
    ((kept, found),) = connection.execute(
        "SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM candidates)"
    ).fetchall()
    if kept != found:
        raise TuwenError(
            f"the ledger of {ledger.selection.name!r} keeps {kept} rows, the corpus has {found} of them; judge it again"
        )


def _kept_rows(ledger: Ledger) -> str:
    return f"SELECT id, weight FROM {ledger.file.sql} WHERE step IS NULL"


def _reasons(connection: duckdb.DuckDBPyConnection, corpus: Corpus) -> tuple[str, str, str]:
    """WHEN clauses for images, pairs and documents that are not to be released, given their ids.

    A ledger has seen the takedowns of its own day; a release asks again.
    """
    bad_image = ""
    if "decode_error" in corpus.columns("images"):
        broken = "SELECT image_id FROM images WHERE decode_error IS NOT NULL"
        bad_image = f"WHEN image_id IN ({broken}) THEN 'not decodable'"
    if not corpus.count("tombstones"):
        return bad_image, "", ""
    Takedowns.of(corpus, lambda *_: None).make_tables(connection, "image_id" in corpus.columns("pairs"))
    gone = "WHEN {} IN (FROM {}) THEN 'taken down'"
    of_image = f"{gone.format('image_id', 'gone_images')} {bad_image}"
    of_document = gone.format("document_id", "gone_documents")
    of_pair = f"{gone.format('image_ref', 'gone_urls')} {gone.format('pairs.pair_id', 'gone_pairs')}"
    return of_image, f"{of_document} {of_pair}", of_document


def _exported(corpus: Corpus, unit: str) -> list[Exported]:
    """Every exported column, keys and base columns first."""
    if unit == "document":
        return _table_columns(corpus, "documents", "")
    resolved_by = corpus.columns("pairs").get("image_id")
    if unit == "image":
        url = "(SELECT min(image_ref) FROM pairs p WHERE p.image_id = r.image_id AND image_ref NOT LIKE 'data:%')"
        known = "image_id" in corpus.columns("pairs")
        return [
            Exported("image_id", "r.image_id", pa.string(), "images", None),
            Exported("image_url", url if known else "NULL", pa.string(), "pairs", resolved_by),
            *_image_columns(corpus),
        ]
    url = "CASE WHEN pairs.image_ref NOT LIKE 'data:%' THEN pairs.image_ref END"
    return [
        Exported("image_id", "r.image_id", pa.string(), "images", resolved_by),
        Exported("image_url", url, pa.string(), "pairs", None),
        *_without(_table_columns(corpus, "pairs", ""), "image_id"),
        *_image_columns(corpus),
        *_without(_table_columns(corpus, "documents", "document_"), "document_id"),
    ]


def _image_columns(corpus: Corpus) -> list[Exported]:
    return _without(_table_columns(corpus, "images", "image_"), "image_id")


def _without(columns: list[Exported], key: str) -> list[Exported]:
    return [column for column in columns if column.name != key]


def _table_columns(corpus: Corpus, table: str, prefix: str) -> list[Exported]:
    """Base columns in their own order, then stage columns by name: the order in which stages ran must not show."""
    schema, written = corpus.schema(table), corpus.current_columns(table)
    names = [name for name, stage in written.items() if stage is None]
    names += sorted(name for name, stage in written.items() if stage is not None and not name.endswith("_error"))
    return [
        Exported(
            name if name.startswith(prefix) else prefix + name,
            f'{table}."{name}"',
            _plain_type(schema.field(name).type),
            table,
            written[name],
        )
        for name in names
        if name not in _PRIVATE
    ]


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Types that every Parquet reader knows: no dictionaries, no large offsets, no half floats."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_float16(kind):
        return pa.float32()
    return kind
