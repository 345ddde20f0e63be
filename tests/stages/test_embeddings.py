"""Columns of vectors: widths, nulls, slices, and numbers that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tuwen.corpus.vectors import cosines, vectors_of
from tuwen.errors import UsageError
from tuwen.stages import stage_that_writes
from tuwen.stages.embeddings import embeddings_of
from tuwen.stages.image.embedding import Embedding

KIND = pa.list_(pa.float16(), 2)
TINY = Path(__file__).parent / "data" / "tiny-clip"


def test_rows_take_vectors_and_what_is_not_finite_is_null() -> None:
    vectors = np.array([[0.6, 0.8], [np.nan, 1], [1, 0]], np.float32)
    column = embeddings_of(vectors, np.array([2, -1, 0, 1, 2]), KIND)
    half = [float(np.float16(value)) for value in (0.6, 0.8)]
    assert column.type == KIND
    assert column.to_pylist() == [[1, 0], None, half, None, [1, 0]]


def test_vectors_of_a_slice_with_nulls() -> None:
    column = pa.array([[1, 0], None, [0, 1], None, [0.5, 0.5]], KIND)
    vectors, known = vectors_of(column.slice(1, 3))
    assert known.tolist() == [False, True, False]
    assert vectors[1].tolist() == [0, 1] and vectors.dtype == np.float32 and vectors.shape == (3, 2)
    assert vectors_of(pa.nulls(3, KIND))[1].tolist() == [False] * 3
    assert vectors_of(column.slice(0, 0))[0].shape == (0, 2)
    with pytest.raises(UsageError, match="lists of one length"):
        vectors_of(pa.array([[1.0, 2.0]]))


def test_cosines() -> None:
    left = np.array([[3, 4], [1, 0], [0, 0]], np.float32)
    assert cosines(left, np.array([[4, 3], [-2, 0], [1, 1]], np.float32)).tolist() == pytest.approx(
        [0.96, -1, np.nan], nan_ok=True
    )
    with pytest.raises(UsageError, match="2 and 3 numbers"):
        cosines(left, np.zeros((3, 3), np.float32))


def test_the_width_is_the_models_and_the_class_knows_the_name() -> None:
    assert Embedding(str(TINY)).writes == pa.schema([("embedding", pa.list_(pa.float16(), 8))])
    assert Embedding.writes.names == ["embedding"]
    assert stage_that_writes("images", "embedding") == "image.embedding"
    with pytest.raises(UsageError, match="neither a folder nor"):
        _ = Embedding("no/such-model").writes
