"""Clusters of captions as columns; `test_minhash.py` holds the method itself to its word."""

from __future__ import annotations

import pyarrow as pa
import pytest
from surveyed import computed

from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.stages.dedup.text import Text


def test_columns() -> None:
    texts = ["A red fox in the snow", None, "a red fox, in the snow", "Un renard roux"]
    table = pa.table({"pair_id": ["d", "c", "b", "a"], "text": texts})
    assert computed(Text(), {"pairs": table}, table.select(["pair_id"]).to_batches()[0]) == [
        {"text_cluster": "b", "text_cluster_size": 2},
        {"text_cluster": None, "text_cluster_size": None},
        {"text_cluster": "b", "text_cluster_size": 2},
        {"text_cluster": "a", "text_cluster_size": 1},
    ]


def test_a_recipe_with_a_wrong_parameter_says_so() -> None:
    with pytest.raises(UsageError, match="threshold is 70"):
        load("tuwen.stages", "dedup.text", {"threshold": 70})
