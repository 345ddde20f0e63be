"""The images that are most like an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.stages.lookup import find_unique, keys_of
from tuwen.stages.topics import images_by_topic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

BLOCK = 1_024  # rows whose cosines to all of their topic are held at a time


@dataclass(frozen=True)
class Neighbours:
    """The nearest images by the cosine of their embeddings, within the topic of an image.

    `neighbours`              up to `num` image ids, the nearest first, of equal ones the smaller id; fewer where the
                              topic has fewer; null without an embedding
    `neighbour_similarities`  their cosines, in the same order

    Compared are all images of a topic (`image.topic`): what lies in another is not found, and fewer topics find more.
    Time: images of a topic squared. Memory: the vectors of the largest topic, and 40 + 8 * `num` bytes per image.

    Neighbours by image embedding: CoCu, https://arxiv.org/abs/2309.13505, section 3.2.
    """

    num: int = 8

    table = "images"
    kind = "corpus"
    reads = ("image_id",)
    surveys = ("images.image_id", "images.image_topic", "images.embedding")
    writes = pa.schema([("neighbours", pa.list_(pa.string())), ("neighbour_similarities", pa.list_(pa.float32()))])

    def __post_init__(self) -> None:
        if not 1 <= self.num <= 1_000:
            raise ValueError(f"num must be 1 to 1,000, got {self.num}")

    def prepare(self, corpus: Corpus) -> pa.Table:
        ids, parts = [pa.array([], pa.string())], []
        start = 0
        for images, vectors in images_by_topic(corpus):
            ids.append(images)
            parts += [(start + first, start + near, cosines) for first, near, cosines in _nearest(vectors, self.num)]
            start += len(images)
        return _state(pa.concat_arrays(ids), parts)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        _, found = find_unique(state, batch["image_id"], [1, 2])
        return pa.record_batch(found, schema=self.writes)


def _nearest(vectors: NDArray[np.float32], num: int) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
    """Block by block (its first row, the nearest rows of each (N, num), their cosines)."""
    num = min(num, len(vectors) - 1)
    for first in range(0, len(vectors), BLOCK):
        block = vectors[first : first + BLOCK]
        cosines = block @ vectors.T
        cosines[np.arange(len(block)), first + np.arange(len(block))] = -np.inf  # itself
        near = np.argsort(-cosines, axis=1, kind="stable")[:, : max(num, 0)]
        yield first, near, np.take_along_axis(cosines, near, axis=1)


def _state(ids: pa.Array, parts: list[tuple[int, NDArray[np.int64], NDArray[np.float32]]]) -> pa.Table:
    """Rows of the images that have a vector, by key."""
    rows = np.concatenate([np.empty(0, np.int64), *(first + np.arange(len(near)) for first, near, _ in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(np.full(len(near), near.shape[1]) for _, near, _ in parts)])
    flat = np.concatenate([np.empty(0, np.int64), *(near.ravel() for _, near, _ in parts)])
    cosines = np.concatenate([np.empty(0, np.float32), *(found.ravel() for _, _, found in parts)])
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    table = pa.table(
        {
            "key": keys_of(ids.take(pa.array(rows))),
            "neighbours": pa.ListArray.from_arrays(ends, ids.take(pa.array(flat))),
            "neighbour_similarities": pa.ListArray.from_arrays(ends, pa.array(cosines, pa.float32())),
        }
    )
    return table.sort_by("key").combine_chunks()
