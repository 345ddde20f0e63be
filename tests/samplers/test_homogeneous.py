"""Batches of one source."""

from __future__ import annotations

from itertools import islice

import numpy as np

from tuwen.models.columns import Columns
from tuwen.samplers.homogeneous import Homogeneous

COLUMNS = Columns(source=np.array([0] * 11 + [1] * 5 + [2] * 2))


def batches(number: int, seed: int = 1) -> list[list[int]]:
    return [each.tolist() for each in islice(Homogeneous()(COLUMNS, 4, seed), number)]


def test_batches_hold_one_source_and_distinct_rows() -> None:
    for rows in batches(40):
        assert len({int(COLUMNS["source"][row]) for row in rows}) == 1
        assert len(set(rows)) == len(rows) == (2 if rows[0] >= 16 else 4)


def test_an_epoch_has_each_source_as_often_as_it_fills_batches() -> None:
    epoch = [int(COLUMNS["source"][rows[0]]) for rows in batches(4)]
    assert sorted(epoch) == [0, 0, 1, 2]


def test_the_seed_decides() -> None:
    assert batches(9) == batches(9) != batches(9, seed=2)
