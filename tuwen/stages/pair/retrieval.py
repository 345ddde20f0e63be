"""Texts of other pages that fit an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.stages import DERIVED
from tuwen.stages.text_pool import nearest_texts, with_middles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

_COLUMNS = ("pair_id", "document_id", "image_id", "text", "text_source", "derived_from", "text_topic", "text_embedding")


@dataclass(frozen=True)
class Retrieval:
    """Adds pairs: to each image of a page, the texts of other pages whose vectors are nearest to its own.

    Searched in two steps, as a library is: first the `groups` topics (`text.topic`) whose middle the image is nearest
    to, then the texts of these topics alone. The new pairs have `text_source` = `generated:pair.retrieval`, the image,
    page and position of the old one, and `derived_from`: the old pair, and the one that the text was found in.

    `row`, `text`, `derived_from`  what a stage that adds rows returns: `texts` texts an image, the nearest first

    The pool holds each text once, of the pairs whose `text_source` is one of `sources`, that have `min_characters` or
    more, and of whose page none of the columns `reserved` is true. Texts of the image's own page, and those found below
    the same image elsewhere, are not offered: they are its pairs already. An image gets its texts once on each page
    that shows it, so that a page's rules hold for them; `best: {per: [image_id, text], …}` keeps each once. The pool is
    that of the day when the rows are made: a corpus that grows gets rows for its new images from all texts, and the old
    ones stay. On disk it takes 2 bytes per dimension and text for the time of a build.

    RealSyn, hierarchical retrieval: https://arxiv.org/abs/2502.12513, section 3.2. **Differs from the paper:** the pool
    is of the texts that stand near images, not of all sentences of a page.
    """

    texts: int = 3
    groups: int = 1
    sources: tuple[str, ...] = ("caption", "before", "after")
    min_characters: int = 8
    reserved: tuple[str, ...] = ("noai", "noimageai", "tdm_reserved", "train_ai_refused")

    table = "pairs"
    adds = "pairs"
    kind = "corpus"
    reads = ("document_id", "image_id", "image.embedding")
    writes = DERIVED

    def __post_init__(self) -> None:
        if min(self.texts, self.groups, self.min_characters) < 1:
            raise ValueError(f"texts, groups and min_characters must be at least 1, got {self}")
        if not self.sources:
            raise ValueError("sources is empty; name at least one text_source")

    @property
    def surveys(self) -> tuple[str, ...]:
        """Texts with their topics and vectors, and what their pages reserve."""
        pages = ("documents.document_id", *(f"documents.{name}" for name in self.reserved)) if self.reserved else ()
        return (*(f"pairs.{name}" for name in _COLUMNS), *pages)

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        columns = {"pairs": list(_COLUMNS)}
        pages = ""
        if self.reserved:
            columns["documents"] = ["document_id", *self.reserved]
            told = " or ".join(f'"{name}" is true' for name in self.reserved)
            pages = f"and (document_id is null or document_id not in (select document_id from documents where {told}))"
        named = ", ".join("'" + name.replace("'", "''") + "'" for name in self.sources)
        pool = (
            "select min(pair_id) as pair_id from pairs where derived_from is null and text_topic is not null "
            f"and text_source in ({named}) and length(text) >= {self.min_characters} {pages} group by text"
        )
        rows = corpus.sql(
            f"select text_topic, pair_id, document_id, image_id, text, text_embedding from pairs semi join ({pool}) "
            "using (pair_id) order by text_topic, pair_id",
            columns,
        )
        return with_middles(rows)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        found: list[dict[str, Any]] = []
        rows = _first_of_each(batch)
        if state.num_rows and rows:
            vectors = vectors_of(batch["image.embedding"].take(pa.array(rows)))[0]
            for row, places in zip(rows, nearest_texts(self.groups, state, vectors), strict=True):
                own = {name: batch[name][row].as_py() for name in ("document_id", "image_id")}
                found += _texts(row, state, places, own, self.texts)
        return pa.RecordBatch.from_pylist(found, schema=DERIVED)


def _first_of_each(batch: pa.RecordBatch) -> list[int]:
    """The first row of each image of a page, wherever it stands there, that has an embedding."""
    known = batch["image.embedding"].is_valid().to_pylist()
    shown = zip(*(batch[name].to_pylist() for name in ("document_id", "image_id")), strict=True)
    first: dict[tuple[Any, ...], int] = {}
    for row, (image, is_known) in enumerate(zip(shown, known, strict=True)):
        if is_known:
            first.setdefault(image, row)
    return list(first.values())


def _texts(
    row: int, state: pa.Table, places: NDArray[np.int64], own: dict[str, str | None], number: int
) -> Iterator[dict[str, Any]]:
    """The first texts that are of another page and of another image."""
    for place in places:
        if number == 0:
            return
        found = {name: state[name][place].as_py() for name in ("pair_id", "document_id", "image_id", "text")}
        if not any(own[name] is not None and found[name] == own[name] for name in own):
            number -= 1
            yield {"row": row, "text": found["text"], "derived_from": [found["pair_id"]]}
