"""What was taken down, as SQL over the table `tombstones`: images, URLs, and domains with all below them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuwen.corpus.tables import host_sql

_STONES = "SELECT value AS gone, coalesce(reason, kind) AS reason FROM tombstones WHERE kind"


@dataclass(frozen=True)
class Takedowns:
    """Queries of (gone, reason), one row each. `use(table, *columns)` hears which columns they read."""

    use: Callable[..., None]

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
        """Ids of images that are taken down, or that came from a URL that is."""
        self.use("fetches", "image_id")
        return (
            f"SELECT gone, min(reason) AS reason FROM ({_STONES} = 'image' UNION ALL "
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
        origins = "SELECT pair_id, unnest(derived_from) AS origin FROM pairs WHERE derived_from IS NOT NULL"
        return (
            f"WITH RECURSIVE origins AS ({origins}), gone AS ({' UNION ALL '.join(gone)} UNION "
            "SELECT o.pair_id, g.reason FROM gone AS g JOIN origins AS o ON o.origin = g.pair_id) "
            "SELECT pair_id AS gone, min(reason) AS reason FROM gone GROUP BY pair_id"
        )
