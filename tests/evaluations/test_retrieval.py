"""Ranks by hand."""

from __future__ import annotations

import numpy as np

from tuwen.evaluations.retrieval import ranks


def test_scores_that_are_no_numbers_rank_last() -> None:
    scores = np.array([[0.1, 0.3, 0.2], [np.nan, np.nan, np.nan], [0.0, np.nan, 1.0], [0.5, 0.5, 0.1], [-np.inf, 0, 1]])
    right = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=bool)
    assert ranks(scores, right).tolist() == [3.0, 3.0, 3.0, 1.5, 2.0]
