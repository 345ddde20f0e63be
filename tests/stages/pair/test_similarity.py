"""Cosines by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tuwen.errors import UsageError
from tuwen.stages.pair.similarity import Similarity

KIND = pa.list_(pa.float16(), 2)


def test_hand_worked_cases() -> None:
    texts = pa.array([[1, 0], [1, 0], [0.6, 0.8], [1, 0], None, [0, 0], [0.5, 0]], KIND)
    images = pa.array([[1, 0], [0, 1], [-0.6, -0.8], None, [1, 0], [1, 0], [2, 0]], KIND)
    found = Similarity()(pa.record_batch({"text_embedding": texts, "image.embedding": images}))
    assert found["similarity"].to_pylist() == pytest.approx([1, 0, -1, None, None, None, 1], abs=1e-3)


def test_vectors_of_two_models_are_refused() -> None:
    texts, images = pa.array([[1, 0]], KIND), pa.array([[1, 0, 0]], pa.list_(pa.float16(), 3))
    with pytest.raises(UsageError, match="give all stages one model"):
        Similarity()(pa.record_batch({"text_embedding": texts, "image.embedding": images}))
