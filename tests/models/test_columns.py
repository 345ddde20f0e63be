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


class Read:
    """A column that tells which rows were read."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []

    def __len__(self) -> int:
        return 1_000

    def __getitem__(self, rows: object) -> np.ndarray:
        found = np.arange(1_000)[rows]
        self.rows.append(np.atleast_1d(found).tolist())
        return found


def test_what_is_no_list_nor_array_is_read_when_it_is_needed() -> None:
    column = Read()
    few = Columns(n=column, text=["a"] * 1_000).subset(np.arange(0, 1_000, 2)).subset([7, 499, 0])
    assert few.num_rows == 3 and few["text"] == ["a"] * 3 and not column.rows
    assert few["n"][1] == 998 and few["n"][-1] == 0
    assert few["n"][np.array([2, 0])].tolist() == few["n"][::-2].tolist() == [0, 14]
    assert few.take([1])["n"].tolist() == [998]
    assert list(few["n"]) == np.asarray(few["n"]).tolist() == [14, 998, 0]
    column.rows.clear()
    whole = Columns(n=column).subset(range(600))
    assert list(whole["n"]) == list(range(600)) and len(column.rows) == 3  # in blocks
    assert few["n"][:] is few["n"]
