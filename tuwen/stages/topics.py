"""Topics: rows whose vectors point the same way. Fitted once by k-means, then each row is told its nearest one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.models.kmeans import fit, nearest, sample
from tuwen.stages.lookup import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

SAMPLE_PER_TOPIC = 256  # more would not move the centroids by much; 256 * 1,000 topics * 512 floats are 0.5 GB


def check(topics: int, seed: int) -> None:
    """`ValueError` for parameters that mean nothing."""
    if not 1 <= topics <= 100_000:
        raise ValueError(f"topics must be 1 to 100,000, got {topics}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be 0 to 4,294,967,295, got {seed}")


def fit_topics(corpus: Corpus, table: str, key: str, column: str, topics: int, seed: int) -> pa.Table:
    """The state: a row per topic with its `centroid`, of length 1."""

    def batches() -> Iterator[tuple[NDArray[np.uint64], NDArray[np.float32]]]:
        for batch in corpus.scan(table, [key, column]):
            known = batch.filter(batch[column].is_valid())
            yield keys_of(known[key]), vectors_of(known[column])[0]

    centroids = fit(sample(batches(), topics * SAMPLE_PER_TOPIC), topics, seed)
    width = centroids.shape[1]
    flat = pa.array(centroids.ravel(), pa.float32())
    column_of = pa.FixedSizeListArray.from_arrays(flat, width) if width else pa.array([], pa.list_(pa.float32(), 0))
    return pa.table({"centroid": column_of})


def topics_of(vectors: pa.Array, state: pa.Table, writes: pa.Schema) -> pa.RecordBatch:
    """Topic and cosine to its centroid of each row; null where there is no vector, or no topic."""
    if not state.num_rows or vectors.null_count == len(vectors):
        return pa.record_batch([pa.nulls(len(vectors), field.type) for field in writes], schema=writes)
    best, cosines = nearest(vectors_of(vectors)[0], vectors_of(state["centroid"].combine_chunks())[0])
    unknown = vectors.is_null().to_numpy(zero_copy_only=False)
    return pa.record_batch(
        [pa.array(best.astype(np.int32), mask=unknown), pa.array(cosines.astype(np.float32), mask=unknown)],
        schema=writes,
    )


def images_by_topic(corpus: Corpus) -> Iterator[tuple[pa.Array, NDArray[np.float32]]]:
    """Ids and vectors topic by topic; at last the images without one, and no vectors."""
    query = "select image_topic, image_id, embedding from images order by image_topic nulls last, image_id"
    waiting: list[pa.RecordBatch] = []
    for batch in corpus.sql(query, {"images": ["image_id", "image_topic", "embedding"]}):
        topics = batch["image_topic"].fill_null(-1).to_numpy()
        cuts = [0, *(np.flatnonzero(np.diff(topics)) + 1).tolist(), batch.num_rows]
        for begin, end in pairwise(cuts):
            part = batch.slice(begin, end - begin)
            if waiting and not part["image_topic"][:1].equals(waiting[0]["image_topic"][:1]):
                yield _joined(waiting)
                waiting = []
            waiting.append(part)
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[pa.RecordBatch]) -> tuple[pa.Array, NDArray[np.float32]]:
    rows = pa.Table.from_batches(parts).combine_chunks()
    ids = rows["image_id"].combine_chunks().cast(pa.string())
    if rows["image_topic"].null_count:
        return ids, np.empty((0, 0), np.float32)
    return ids, vectors_of(rows["embedding"].combine_chunks())[0]
