"""The pairs that a scorer is trained on: what a selection keeps, with images reduced to what the network sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import host_sql
from tuwen.errors import UsageError
from tuwen.models.scorer import SIDE
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import selection_named, selections_of
from tuwen.stages.image.pixels import THUMBNAIL, decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 64  # images whose bytes are in memory


@dataclass(frozen=True)
class ScorerPairs:
    """Pairs by id, ascending. `image` and `text` are places in `image_ids` and `texts`, `host` is where the pair was
    found, `key` the image's cluster of near-duplicates, or the image itself."""

    pair_ids: list[str]
    image: NDArray[np.int64]
    text: NDArray[np.int64]
    hosts: list[str]
    image_ids: list[str]
    keys: list[str]  # of the images
    texts: list[str]
    num_undecodable: int = 0  # images, whose pairs are left out

    def take(self, rows: NDArray[np.int64], num_undecodable: int) -> ScorerPairs:
        """The pairs `rows`, with the images and texts that they have."""
        images, image = np.unique(self.image[rows], return_inverse=True)
        texts, text = np.unique(self.text[rows], return_inverse=True)
        return ScorerPairs(
            [self.pair_ids[row] for row in rows],
            image.astype(np.int64),
            text.astype(np.int64),
            [self.hosts[row] for row in rows],
            [self.image_ids[place] for place in images],
            [self.keys[place] for place in images],
            [self.texts[place] for place in texts],
            num_undecodable,
        )


def read_pairs(
    corpus: Corpus, selection: str, pixels: Path, *, max_pairs: int, seed: int, allow_code: bool = False
) -> ScorerPairs:
    """Pairs of a selection that have an image and a text, `max_pairs` of them by a seeded hash of their ids.

    Their images go into the file `pixels` (.npy, uint8, 12 KB an image); the pairs of those that do not decode are left
    out. Memory: texts and ids, about 1 KB a pair. `UsageError` where the selection keeps no pairs with images.
    """
    rows = _rows(corpus, selection, max_pairs, seed, allow_code)
    images, texts = rows["image_id"].dictionary_encode(), rows["text"].dictionary_encode()
    image_ids = images.dictionary.to_pylist()
    image = images.indices.to_numpy().astype(np.int64)
    keys = dict(zip(rows["image_id"].to_pylist(), rows["key"].to_pylist(), strict=True))
    pairs = ScorerPairs(
        rows["pair_id"].to_pylist(),
        image,
        texts.indices.to_numpy().astype(np.int64),
        rows["host"].to_pylist(),
        image_ids,
        [keys[image_id] for image_id in image_ids],
        texts.dictionary.to_pylist(),
    )
    # np.unique sorts by place, and places are by first appearance, so the order of the images is the pairs'.
    is_there = np.zeros(len(image_ids), dtype=bool)
    stored = np.lib.format.open_memmap(pixels, "w+", np.uint8, (len(image_ids), SIDE, SIDE, 3)) if image_ids else None
    count = 0
    for place, values in _thumbnails(corpus, image_ids):
        if values is not None and stored is not None:
            stored[count] = values
            is_there[place] = True
            count += 1
    if stored is not None:
        stored.flush()
    return pairs.take(np.flatnonzero(is_there[image]), int((~is_there).sum()))


def _rows(corpus: Corpus, selection: str, max_pairs: int, seed: int, allow_code: bool) -> pa.RecordBatch:
    selections = selections_of(corpus, allow_code=allow_code)
    chosen = selection_named(selections, selection)
    if chosen.unit != "pair":
        raise UsageError(f"selection {selection} keeps {chosen.table}; a scorer is trained on a selection of pairs")
    if "image_id" not in corpus.current_columns("pairs"):
        raise UsageError("which images the pairs show is not known; add pair.resolve to the recipe and run tuwen build")
    has_clusters = "image_cluster" in corpus.current_columns("images")
    ledger = Ledger.open_or_judge(corpus, chosen, selections)
    with corpus.connect() as connection:
        for table, names in {
            "pairs": ["pair_id", "image_id", "document_id", "image_ref", "text"],
            "documents": ["document_id", "url"],
            "images": ["image_id", *(["image_cluster"] if has_clusters else [])],
        }.items():
            connection.register(table, corpus.stored(table, names))
        connection.register("kept", ledger.kept())
        hosts = [f"nullif({host_sql(url)}, '')" for url in ("document.url", "pair.image_ref")]
        query = (
            f"select pair_id, image_id, text, {'coalesce(image_cluster, image_id)' if has_clusters else 'image_id'} "
            f"as key, coalesce({', '.join(hosts)}, '') as host from pairs as pair "
            "join images using (image_id) left join documents as document using (document_id) "
            "where pair_id in (select id from kept) and trim(text) <> '' "
            f"order by md5('{seed} ' || pair_id), pair_id limit {max_pairs}"
        )
        found = connection.sql(f"select * from ({query}) order by pair_id").to_arrow_table().combine_chunks()
    batches = found.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=found.schema)


def _thumbnails(corpus: Corpus, image_ids: list[str]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
    """Place and pixels of each image, None where it does not decode."""
    from PIL import Image

    for start in range(0, len(image_ids), _AT_ONCE):
        for place, data in enumerate(corpus.images(image_ids[start : start + _AT_ONCE]), start=start):
            thumbnail = decode(data, THUMBNAIL).thumbnail
            if thumbnail is None:
                yield place, None
            else:  # as `image_processor` does it when the pairs are scored
                yield place, np.asarray(thumbnail.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def near_images(corpus: Corpus, pairs: ScorerPairs) -> dict[str, str]:
    """Image id → key of all images that were trained on, and of those that are near-duplicates of one."""
    found = dict(zip(pairs.image_ids, pairs.keys, strict=True))
    if "image_cluster" in corpus.current_columns("images"):
        keys = set(pairs.keys)
        for batch in corpus.scan("images", ["image_id", "image_cluster"]):
            for image_id, cluster in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if cluster in keys:
                    found[image_id] = cluster
    return found
