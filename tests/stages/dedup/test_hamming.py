"""All pairs within a distance, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.stages.dedup import hamming
from tuwen.stages.dedup.hamming import pairs_within


def found(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    pairs = [
        pair
        for left, right in pairs_within(hashes, distance)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    ]
    assert all(left != right for left, right in pairs)
    return {(min(pair), max(pair)) for pair in pairs}


def brute(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= distance
    return {(int(left), int(right)) for left, right in zip(*np.nonzero(np.triu(near, 1)), strict=True)}


@pytest.mark.parametrize("distance", [0, 1, 2, 3, 6, 7, 10, 16])
def test_every_pair_and_no_other(distance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "COMPARED_AT_ONCE", 1_000)
    chance = np.random.default_rng(distance)
    hashes = chance.integers(0, 2**64, 600, dtype=np.uint64)
    for row in range(300):
        hashes[row] = hashes[row + 300]
        for bit in chance.choice(64, chance.integers(0, distance + 3), replace=False):
            hashes[row] ^= np.uint64(1 << int(bit))
    hashes[:40] = 0
    hashes[40:60] = 2**64 - 1
    assert found(hashes, distance) == brute(hashes, distance)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 255), max_size=20), st.integers(0, 16))
def test_any_hashes(values: list[int], distance: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    assert found(hashes, distance) == brute(hashes, distance)
