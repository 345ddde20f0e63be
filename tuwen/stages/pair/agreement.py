"""How much the texts of an image agree with each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.stages.lookup import find_unique, keys_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

ONE = 1 << 30  # parts of the length of a vector: sums of whole numbers do not depend on their order
SUMS_BYTES = 256 << 20  # of the sums in memory at a time; for those of more images the column is read again
_STATE_ROWS = 4_096


@dataclass(frozen=True)
class Agreement:
    """Mean cosine of a pair's text to the other texts of its image, by the vectors of `text.embedding`.

    `text_agreement`  -1 to 1; null where the image has no other text, and without an image or a vector. Texts that are
                      repeated, or that the model cannot tell apart, count once

    An image has several texts from several pages, from places on a page (`alt`, `caption`), and from captioners; one
    that disagrees with the others may speak of something else. Memory while it prepares: 50 bytes a pair and 256 MB;
    the state takes 4 bytes a dimension on disk for each image with two texts or more.

    ALIP weighs a pair by how its raw and its synthetic text agree: https://arxiv.org/abs/2308.08428. CapsFusion fuses
    the two: https://arxiv.org/abs/2310.20550. **Differs from the paper:** any number of texts, of any origin.
    """

    table = "pairs"
    kind = "corpus"
    reads = ("image_id", "text_embedding")
    surveys = ("pairs.image_id", "pairs.text_embedding")
    writes = pa.schema([("text_agreement", pa.float32())])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        """For each image with several texts: key, number of texts, sum of their unit vectors."""
        kind = corpus.scan("pairs", list(self.reads)).schema.field("text_embedding").type
        schema = pa.schema(
            [("key", pa.uint64()), ("num_texts", pa.int32()), ("sum", pa.list_(pa.float32(), kind.list_size))]
        )
        return pa.RecordBatchReader.from_batches(schema, _sums(corpus, schema))

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        _, (counts, sums) = find_unique(state, batch["image_id"], [1, 2])
        units, known = _units(batch["text_embedding"])
        totals, is_there = vectors_of(sums)
        known &= is_there
        num_others = counts.fill_null(2).to_numpy() - 1
        own = units / ONE
        agreement = np.einsum("nd,nd->n", own, totals - own) / num_others
        found = pa.array(np.where(known, agreement, 0).clip(-1, 1), pa.float32(), mask=~known)
        return pa.record_batch([found], schema=self.writes)


def _units(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Vectors of length 1 in parts of `ONE`, and which of the rows have one."""
    vectors, known = vectors_of(column)
    values = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", values, values))
    known = known & np.isfinite(lengths) & (lengths > 0)
    values[known] /= lengths[known, None]
    values[~known] = 0
    return np.rint(values * ONE).astype(np.int64), known


def _rows(corpus: Corpus) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]]:
    """Key of the image, key of image and text, and unit vector, of rows that have both."""
    for batch in corpus.scan("pairs", ["image_id", "text_embedding"]):
        units, known = _units(batch["text_embedding"])
        known &= batch["image_id"].is_valid().to_numpy(zero_copy_only=False)
        units, images = units[known], keys_of(batch["image_id"])[known]
        raw = np.ascontiguousarray(units).tobytes()
        width = units.shape[1] * units.itemsize
        texts = keys_of(pa.array([raw[start : start + width] for start in range(0, len(raw), width)], pa.binary()))
        yield images, images ^ (texts * np.uint64(0x9E3779B97F4A7C15)), units


def _sums(corpus: Corpus, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The state: images sorted by key. As many passes over the vectors as the sums need memory."""
    found = [(images, texts) for images, texts, _ in _rows(corpus)]
    empty = np.zeros(0, np.uint64)
    texts, first = np.unique(np.concatenate([empty, *(each for _, each in found)]), return_index=True)
    images, counts = np.unique(np.concatenate([empty, *(each for each, _ in found)])[first], return_counts=True)
    images, counts = images[counts > 1], counts[counts > 1]
    del found, first
    width = schema.field("sum").type.list_size
    step = max(1, SUMS_BYTES // (8 * width))
    for start in range(0, len(images), step):
        keys = images[start : start + step]
        sums = _sum(corpus, keys, texts, width)
        for row in range(0, len(keys), _STATE_ROWS):
            part = slice(row, min(row + _STATE_ROWS, len(keys)))
            flat = pa.array((sums[part] / ONE).astype(np.float32).reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("sum").type)
            num_texts = pa.array(counts[start:][part], pa.int32())
            yield pa.record_batch([pa.array(keys[part]), num_texts, vectors], schema=schema)


def _sum(corpus: Corpus, keys: NDArray[np.uint64], texts: NDArray[np.uint64], width: int) -> NDArray[np.int64]:
    """Sum of the vectors of the distinct texts of each image in `keys`."""
    sums = np.zeros((len(keys), width), np.int64)
    is_added = np.zeros(len(texts), bool)
    for row_images, row_texts, units in _rows(corpus):
        places = np.searchsorted(keys, row_images).clip(max=len(keys) - 1)
        text_places = np.searchsorted(texts, row_texts)
        _, first = np.unique(text_places, return_index=True)
        chosen = first[(keys[places] == row_images)[first] & ~is_added[text_places[first]]]
        is_added[text_places[chosen]] = True
        chosen = chosen[np.argsort(places[chosen])]
        here, starts = np.unique(places[chosen], return_index=True)
        if len(here):
            sums[here] += np.add.reduceat(units[chosen], starts, axis=0)
    return sums
