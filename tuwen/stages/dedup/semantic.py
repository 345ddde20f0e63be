"""Near-duplicate images by their vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.stages.dedup.clusters import columns_of, link, state_of
from tuwen.stages.topics import images_by_topic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

BLOCK = 2_048  # rows compared with as many others at a time: 16 MB of cosines


@dataclass(frozen=True)
class Semantic:
    """Clusters of images of one topic whose embeddings have a cosine of at least `cosine`: the same thing again.

    `semantic_cluster`       smallest image id of the cluster; its own where no other is near; null without an embedding
    `semantic_cluster_size`  images in it, 1 and more

    Compared are all pairs within a topic of `image.topic`, so two of different topics are never found near: fewer
    topics find more and take longer. Linked images are one cluster, whose ends may lie further apart. Time: images of a
    topic squared; memory: the vectors of the largest topic (4 bytes a dimension) and 100 bytes per image. How high a
    cosine means the same differs from model to model; look at the clusters. Which image stands for a cluster is a step
    of the selection, as for all duplicates.

    SemDeDup: https://arxiv.org/abs/2303.09540. **Differs from the paper:** connected pairs are one cluster, instead of
    every image being compared with those that are further from the centroid.
    """

    cosine: float = 0.95

    table = "images"
    kind = "corpus"
    reads = ("image_id",)
    surveys = ("images.image_id", "images.image_topic", "images.embedding")
    writes = pa.schema([("semantic_cluster", pa.string()), ("semantic_cluster_size", pa.int32())])

    def __post_init__(self) -> None:
        if not 0 < self.cosine <= 1:
            raise ValueError(f"cosine is {self.cosine}; it must be above 0 and at most 1")

    def prepare(self, corpus: Corpus) -> pa.Table:
        ids, known, edges, start = [pa.array([], pa.string())], [np.empty(0, bool)], [np.empty((2, 0), np.int64)], 0
        for images, vectors in images_by_topic(corpus):
            ids.append(images)
            known.append(np.full(len(images), len(vectors) > 0))
            edges += [start + found for found in _near(vectors, self.cosine)]
            start += len(images)
        left, right = np.concatenate(edges, axis=1)
        return state_of(pa.concat_arrays(ids), link(np.arange(start), left, right), np.concatenate(known))

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        return columns_of(state, batch["image_id"], self.writes)


def _near(vectors: NDArray[np.float32], cosine: float) -> Iterator[NDArray[np.int64]]:
    """Pairs (2, N) of rows, each once, block by block."""
    for top in range(0, len(vectors), BLOCK):
        for left in range(top, len(vectors), BLOCK):
            cosines = vectors[top : top + BLOCK] @ vectors[left : left + BLOCK].T
            found = np.stack(np.nonzero(cosines >= cosine)) + np.array([[top], [left]])
            yield found[:, found[0] < found[1]]
