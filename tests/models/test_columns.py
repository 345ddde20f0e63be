"""Columns of examples."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.models.columns import Columns

COLUMNS = Columns(n=np.array([1, 2, 3]), text=["a", "b", "c"], texts=[["d"], [], ["e", "f"]])


def test_rows_are_taken_in_the_order_asked_for() -> None:
    found = COLUMNS.subset([2, 0, 2])
    assert found["n"].tolist() == [3, 1, 3]
    assert found["text"] == ["c", "a", "c"]
    assert found.num_rows == 3


def test_what_is_there_and_what_is_not() -> None:
    assert "text" in COLUMNS
    assert "image" not in COLUMNS
    with pytest.raises(UsageError, match=r"no column 'image'; there are: n, text, texts"):
        COLUMNS["image"]
    with pytest.raises(UsageError, match="differ in length"):
        COLUMNS.with_columns(more=[1])


def test_all_texts() -> None:
    assert sorted(COLUMNS.texts) == list("abcdef")
