"""Tombstones: what was taken down, and what that keeps from ever coming in again.

| kind | value | takes down |
|---|---|---|
| image | image_id | the image, wherever it was found |
| url | URL | the page or image at this address |
| domain | host | everything at this host and at the hosts below it |
| near | `HASH/RADIUS`: 16 hexadecimal digits, bits | images whose perceptual hash differs in at most so many bits |

A tombstone hides rows from selections, search and releases at once; `tuwen.engine.purge` removes them from the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, host_of
from tuwen.errors import UsageError

KINDS = ("image", "url", "domain", "near")
Batches = Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, order=True)
class Stone:
    """One takedown: kind and value as in the table above."""

    kind: str
    value: str


def read_stones(corpus: Corpus) -> list[Stone]:
    """All takedowns of a corpus, sorted."""
    rows = corpus.table("tombstones", ["kind", "value"]).to_pylist()
    return sorted({Stone(row["kind"], row["value"]) for row in rows})


def stones_table(stones: Sequence[Stone], reason: str | None = None) -> pa.Table:
    """Takedowns as rows of the table `tombstones`, dated now."""
    at = datetime.now(UTC)
    rows = [{"kind": stone.kind, "value": stone.value, "reason": reason, "at": at} for stone in stones]
    return pa.Table.from_pylist(rows, schema=TABLES["tombstones"].schema)


def add_stones(corpus: Corpus, stones: Sequence[Stone], reason: str | None) -> list[Stone]:
    """Record takedowns that are not recorded yet; returns those. Only under the write lock."""
    from tuwen.corpus.units import append_rows

    if wrong := [stone for stone in stones if stone.kind not in KINDS or not stone.value]:
        raise UsageError(f"a takedown is of kind {', '.join(KINDS)} and has a value; got {wrong[0]}")
    known = set(read_stones(corpus))
    new = [stone for stone in dict.fromkeys(stones) if stone not in known]
    append_rows(corpus, "tombstones", stones_table(new, reason).to_batches() if new else [])
    return new


class Barred:
    """What tombstones keep out of units that are read later: the bytes of images, pages and their texts.

    Attempts stay: they hold neither bytes nor text, and say why nobody has to ask for the URL again.
    """

    def __init__(self, corpus: Corpus) -> None:
        stones = read_stones(corpus)
        self.images = pa.array([stone.value for stone in stones if stone.kind == "image"], pa.string())
        self._image_ids = set(self.images.to_pylist())
        self._urls = {stone.value for stone in stones if stone.kind == "url"}
        self._domains = {stone.value.lower() for stone in stones if stone.kind == "domain"}

    def without(self, table: str, batches: Batches, gone: dict[str, pa.Array]) -> Batches:
        """The rows of a table that may come in; `gone` as `of_unit` gives it."""
        columns = {
            "images": [("image_id", gone["images"])],
            "documents": [("document_id", gone["documents"])],
            "pairs": [("document_id", gone["documents"])],
        }.get(table, [])

        def admitted() -> Iterator[pa.RecordBatch]:
            for batch in batches():
                barred = pa.array([False] * batch.num_rows)
                for column, values in columns:
                    barred = pc.or_(barred, pc.is_in(batch[column], values))
                if table == "pairs" and (self._urls or self._domains):
                    barred = pc.or_(barred, self._gone(batch["image_ref"]))
                yield batch.filter(pc.invert(barred))

        return admitted

    def of_unit(self, documents: Batches, fetches: Batches) -> dict[str, pa.Array]:
        """Ids of the images and documents of a unit that must not come in."""
        images, pages = [self.images], [pa.array([], pa.string())]
        if self._urls or self._domains:
            images += [batch["image_id"].filter(self._gone(batch["url"])).drop_null() for batch in fetches()]
            pages += [batch["document_id"].filter(self._gone(batch["url"])) for batch in documents()]
        return {"images": pa.concat_arrays(images), "documents": pa.concat_arrays(pages)}

    def holds(self, url: str, image_id: str | None) -> bool:
        """Whether an attempt at this URL, which brought this image, is barred."""
        return (image_id is not None and image_id in self._image_ids) or self._takes_down(url)

    def __bool__(self) -> bool:
        return bool(len(self.images) or self._urls or self._domains)

    def _gone(self, urls: pa.Array) -> pa.Array:
        return pa.array([url is not None and self._takes_down(url) for url in urls.to_pylist()], pa.bool_())

    def _takes_down(self, url: str) -> bool:
        return url in self._urls or bool(self._domains and is_below(host_of(url), self._domains))


def is_below(host: str, domains: set[str]) -> bool:
    """Whether a host is one of the domains or lies below one."""
    parts = host.split(".")
    return any(".".join(parts[start:]) in domains for start in range(len(parts)))
