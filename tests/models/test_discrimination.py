"""Wrong texts of the same host, and how often the right one is above."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.models.discrimination import auc, auc_interval, bootstrap, wrong_texts

scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30).map(np.array)


@given(scores, scores)
def test_auc_counts_pairs(right: np.ndarray, wrong: np.ndarray) -> None:
    above = (right[:, None] > wrong).mean() + 0.5 * (right[:, None] == wrong).mean()
    assert auc(right, wrong) == pytest.approx(above)


def test_auc_of_nothing_is_chance() -> None:
    assert auc(np.zeros(0), np.zeros(0)) == 0.5
    found = auc_interval(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), 0)
    assert (found.low, found.high, found.num_pairs) == (0, 1, 0)


def test_a_bootstrap_of_all_owners_is_the_auc_itself() -> None:
    generator = np.random.default_rng(1)
    right, wrong = generator.integers(0, 9, 40).astype(float), generator.integers(0, 9, 40).astype(float)
    assert bootstrap(right, wrong, np.zeros(40, np.int64), 0, 5) == pytest.approx(np.full(5, auc(right, wrong)))


def test_intervals_cover_and_widen_where_pairs_share_an_image() -> None:
    generator = np.random.default_rng(2)
    right, wrong = generator.normal(0.5, 1, 300), generator.normal(0, 1, 300)
    alone = auc_interval(right, wrong, np.arange(300), 0)
    assert alone.low < 0.638 < alone.high and alone.high - alone.low < 0.12  # 0.638: of two normals 0.5 apart
    often = auc_interval(np.repeat(right[:30], 10), np.repeat(wrong[:30], 10), np.repeat(np.arange(30), 10), 0)
    assert often.high - often.low > 2 * (alone.high - alone.low)


def test_wrong_texts_are_of_the_host_and_never_the_images_own() -> None:
    image = np.array([0, 0, 1, 2, 3, 4])
    text = np.array([0, 1, 2, 0, 3, 4])
    hosts = ["a", "a", "a", "a", "b", "c"]
    rows = np.arange(6)
    own = set(zip(image.tolist(), text.tolist(), strict=True))
    for seed in range(20):
        found = wrong_texts(rows, image, text, hosts, seed)
        assert found[4] == found[5] == -1  # alone on their hosts
        for row in range(4):
            assert hosts[found[row]] == "a" and (image[row], text[found[row]]) not in own
    assert not np.array_equal(wrong_texts(rows, image, text, hosts, 0), wrong_texts(rows, image, text, hosts, 1))


def test_only_the_rows_that_are_asked_for_lend_their_texts() -> None:
    found = wrong_texts(np.array([0, 2]), np.arange(4), np.arange(4), ["a"] * 4, 0)
    assert found.tolist() == [2, 0]
