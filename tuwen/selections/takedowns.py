"""What was taken down, as SQL over the table `tombstones`: images, their neighbours, URLs, whole domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tuwen.corpus.tables import host_sql

if TYPE_CHECKING:
    import duckdb

    from tuwen.corpus.corpus import Corpus

HASH = "perceptual_hash"
_STONES = "SELECT value AS gone, coalesce(reason, kind) AS reason FROM tombstones WHERE kind"


@dataclass(frozen=True)
class Takedowns:
    """Queries of (gone, reason), one row each. `use(table, *columns)` hears which columns they read.

    `near`: whether images have perceptual hashes to compare with those of tombstones of that kind.
    """

    use: Callable[..., None]
    near: bool = False

    @classmethod
    def of(cls, corpus: Corpus, use: Callable[..., None]) -> Self:
        """For the tombstones that a corpus has."""
        hashed = HASH in corpus.columns("images")
        return cls(use, hashed and corpus.table("tombstones", ["kind"], "kind = 'near'").num_rows > 0)

    def urls(self, table: str, column: str) -> str:
        """URLs in a column that are taken down, themselves or with their whole domain."""
        self.use("tombstones", "kind", "value", "reason")
        self.use(table, column)
        hosts = f"SELECT DISTINCT url, {host_sql('url')} AS host FROM (SELECT {column} AS url FROM {table})"
        below = "(h.host = lower(t.value) OR ends_with(h.host, '.' || lower(t.value)))"
        return (
            f"SELECT gone, min(reason) AS reason FROM ({_STONES} = 'url' UNION ALL "
            f"SELECT h.url, coalesce(t.reason, t.kind) FROM ({hosts}) AS h JOIN tombstones AS t "
            f"ON t.kind = 'domain' AND {below}) GROUP BY gone"
        )

    @property
    def images(self) -> str:
        """Ids of images that are taken down, are near to one that is, or came from a URL that is."""
        self.use("fetches", "image_id")
        near = ""
        if self.near:
            self.use("images", "image_id", HASH)
            near = (
                "UNION ALL SELECT i.image_id, coalesce(t.reason, t.kind) FROM images AS i JOIN tombstones AS t "
                f"ON t.kind = 'near' AND {is_near(f'i.{HASH}', 't.value')}"
            )
        return (
            f"SELECT gone, min(reason) AS reason FROM ({_STONES} = 'image' {near} UNION ALL "
            f"SELECT f.image_id, u.reason FROM fetches AS f JOIN ({self.urls('fetches', 'url')}) AS u "
            "ON u.gone = f.url WHERE f.image_id IS NOT NULL) GROUP BY gone"
        )

    @property
    def documents(self) -> str:
        """Ids of documents whose URL is taken down."""
        self.use("documents", "document_id")
        return (
            "SELECT d.document_id AS gone, u.reason FROM documents AS d "
            f"JOIN ({self.urls('documents', 'url')}) AS u ON u.gone = d.url"
        )

    def derived(self, knows_images: bool) -> str:
        """Ids of pairs whose text came from a pair that is taken down, however many steps away.

        `knows_images`: whether `pairs` have the column `image_id`.
        """
        self.use("pairs", "pair_id", "derived_from", "document_id")
        gone = [
            f"SELECT p.pair_id, u.reason FROM pairs AS p JOIN ({query}) AS u ON u.gone = p.{column}"
            for column, query in (("image_ref", self.urls("pairs", "image_ref")), ("document_id", self.documents))
        ]
        if knows_images:
            self.use("pairs", "image_id")
            gone.append(f"SELECT p.pair_id, u.reason FROM pairs AS p JOIN ({self.images}) AS u ON u.gone = p.image_id")
        else:  # nobody has told which image a reference means: any that it ever meant
            gone.append(
                f"SELECT p.pair_id, u.reason FROM ({self.images}) AS u JOIN (SELECT url, image_id FROM fetches "
                "UNION ALL SELECT 'data:sha256,' || value, value FROM tombstones WHERE kind = 'image') "
                "AS f ON f.image_id = u.gone JOIN pairs AS p ON p.image_ref = f.url"
            )
        origins = "SELECT pair_id, unnest(derived_from) AS origin FROM pairs WHERE derived_from IS NOT NULL"
        return (
            f"WITH RECURSIVE origins AS ({origins}), gone AS ({' UNION ALL '.join(gone)} UNION "
            "SELECT o.pair_id, g.reason FROM gone AS g JOIN origins AS o ON o.origin = g.pair_id) "
            "SELECT pair_id AS gone, min(reason) AS reason FROM gone GROUP BY pair_id"
        )

    def make_tables(self, connection: duckdb.DuckDBPyConnection, knows_images: bool) -> None:
        """Temporary tables of what is gone: `gone_images`, `gone_documents`, `gone_urls` (of pairs), `gone_pairs`."""
        for name, query in (
            ("gone_images", self.images),
            ("gone_documents", self.documents),
            ("gone_urls", self.urls("pairs", "image_ref")),
            ("gone_pairs", self.derived(knows_images)),
        ):
            connection.execute(f"CREATE TEMP TABLE {name} AS SELECT gone FROM ({query})")


def is_near(column: str, value: str) -> str:
    """SQL: whether a perceptual hash lies within the value of a tombstone `near`."""
    sought = f"('0x' || split_part({value}, '/', 1))::UBIGINT"
    return f"bit_count(xor({column}, {sought})) <= split_part({value}, '/', 2)::INTEGER"
