"""Rows and groups of items."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items, rows_where
from tuwen.models.columns import Columns


def test_items_are_grouped_by_a_column_of_their_rows() -> None:
    items = Items({"correct": np.array([1, 0, 1])}, rows=np.array([3, 0, 1]))
    assert items.grouped_by(["a", "b", "b", "a"]).groups.tolist() == [0, 0, 1]
    assert items.grouped_by(np.array([7, 8, 9, 8])).groups.tolist() == [1, 0, 1]
    assert items.groups.tolist() == [0, 1, 2]


def test_items_without_rows_are_about_all_rows_or_not_grouped() -> None:
    items = Items({"correct": np.array([1, 0, 1])})
    assert items.grouped_by(["a", None, "a"]).groups.tolist() == [1, 0, 1]
    with pytest.raises(UsageError, match="3 items of 4 test rows"):
        items.grouped_by(["a", "b", "b", "a"])


def test_a_column_that_is_not_of_booleans_chooses_nothing() -> None:
    test = Columns(flag=[True, False, True], none=[False] * 3, number=np.array([2, 0, 1]), name=["a", "b", ""])
    assert rows_where(test, "flag").tolist() == [0, 2]
    assert rows_where(test, None).tolist() == [0, 1, 2]
    for name, kind in (("number", "int64"), ("name", "<U1")):
        with pytest.raises(UsageError, match=f"column '{name}' is of {kind}"):
            rows_where(test, name)
    with pytest.raises(UsageError, match="no test example is none"):
        rows_where(test, "none")
    with pytest.raises(UsageError, match="no examples"):
        rows_where(Columns(text=[]), None)
