"""A pool of texts, sorted by topic, that is searched topic by topic.

Each topic's texts are followed by a row without a pair: the middle of their vectors. So the pool is one table that is
written as a stream and read where it lies, and whoever searches it compares with the middles first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import unit, vectors_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def with_middles(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The pool of rows with `text_topic`, `pair_id` and `text_embedding`, sorted by topic; vectors become float16."""
    width = rows.schema.field("text_embedding").type.list_size
    place = rows.schema.get_field_index("text_embedding")
    schema = rows.schema.set(place, pa.field("text_embedding", pa.list_(pa.float16(), width)))

    def batches() -> Iterator[pa.RecordBatch]:
        topic, total = None, np.zeros(width)
        for batch in rows:
            topics = batch["text_topic"].to_numpy()
            cuts = [0, *(np.flatnonzero(np.diff(topics)) + 1).tolist(), batch.num_rows]
            for begin, end in pairwise(cuts):
                if topic is not None and topics[begin] != topic:
                    yield _middle(schema, topic, total)
                    total = np.zeros(width)
                part, topic = batch.slice(begin, end - begin), topics[begin]
                total += vectors_of(part["text_embedding"])[0].sum(axis=0, dtype=np.float64)
                yield part.cast(schema)
        if topic is not None:
            yield _middle(schema, topic, total)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _middle(schema: pa.Schema, topic: int, total: NDArray[np.float64]) -> pa.RecordBatch:
    middle = unit(total[None].astype(np.float32))[0].astype(np.float16)
    row = {"text_topic": int(topic), "text_embedding": middle.tolist()}
    return pa.RecordBatch.from_pylist([row], schema=schema)


def nearest_texts(groups: int, state: pa.Table, vectors: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """For each vector the rows of the texts of its `groups` nearest topics, the nearest first; ties go by row."""
    ends = np.flatnonzero(state["pair_id"].is_null().to_numpy())
    starts = np.concatenate([[0], ends[:-1] + 1])
    middles = vectors_of(state["text_embedding"].take(pa.array(ends)).combine_chunks())[0]
    cosines = vectors.astype(np.float64) @ middles.T.astype(np.float64)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :groups]
    scored: list[list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = [[] for _ in vectors]
    for group in np.unique(order):
        rows = np.arange(starts[group], ends[group])
        texts = vectors_of(state["text_embedding"][starts[group] : ends[group]].combine_chunks())[0]
        asking = np.flatnonzero((order == group).any(axis=1))
        found = vectors[asking].astype(np.float64) @ texts.T.astype(np.float64)
        for place, scores in zip(asking, found, strict=True):
            scored[place].append((rows, scores))
    return [_sorted(*map(np.concatenate, zip(*parts, strict=True))) for parts in scored]


def _sorted(rows: NDArray[np.int64], cosines: NDArray[np.float64]) -> NDArray[np.int64]:
    return rows[np.lexsort((rows, -cosines))]
