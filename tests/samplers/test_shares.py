"""Shares of sources, counted."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.samplers.shares import Shares

COLUMNS = Columns(tier=["strong"] * 5 + ["weak"] * 95)


def rows(part: Shares, batches: int = 100, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(islice(part(COLUMNS, 20, seed), batches)))


def test_half_of_the_rows_are_of_the_few() -> None:
    found = rows(Shares(shares={"strong": 2, "weak": 2}))
    assert len(found) == 2000
    assert abs((found < 5).mean() - 0.5) < 0.05


def test_rows_of_a_source_come_equally_often() -> None:
    found = rows(Shares(shares={"strong": 1, "weak": 1}))
    for part in (found[found < 5], found[found >= 5]):
        counts = np.bincount(part)[part.min() :]
        assert counts.max() - counts.min() <= 1


def test_one_source_alone() -> None:
    assert set(rows(Shares(shares={"strong": 1, "weak": 0}))) == set(range(5))


def test_equal_seeds_equal_batches() -> None:
    part = Shares(shares={"strong": 1, "weak": 3})
    assert np.array_equal(rows(part, seed=4), rows(part, seed=4))
    assert not np.array_equal(rows(part, seed=4), rows(part, seed=5))


@pytest.mark.parametrize(("shares", "told"), [({"good": 1.0}, "no example has tier 'good'"), ({}, "are missing")])
def test_what_is_not_there_is_said(shares: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        next(Shares(shares=shares)(COLUMNS, 4, 0))
