"""Components of hashes within a distance, against brute force over all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.stages.dedup import hamming
from tuwen.stages.dedup.hamming import components_within

BASE = 0x0123456789ABCDEF


def brute(hashes: np.ndarray, distance: int) -> list[int]:
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= distance
    labels = np.arange(len(hashes))
    while True:
        smaller = np.where(near, labels, len(hashes)).min(axis=1, initial=len(hashes))
        if (smaller == labels).all():
            return labels.tolist()
        labels = smaller


def turned(hashes: np.ndarray, at_most: int, chance: np.random.Generator) -> np.ndarray:
    """The hashes, each with up to `at_most` bits turned."""
    found = hashes.copy()
    for row in range(len(found)):
        for bit in chance.choice(64, chance.integers(0, at_most + 1), replace=False):
            found[row] ^= np.uint64(1 << int(bit))
    return found


@pytest.fixture(params=[1, 16])
def small_steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "COMPARED_AT_ONCE", 100)
    monkeypatch.setattr(hamming, "FIRST_ROUND", request.param)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("distance", [0, 1, 2, 3, 6, 7, 10, 16])
def test_planted_neighbours_are_linked_and_no_others(distance: int) -> None:
    chance = np.random.default_rng(distance)
    hashes = chance.integers(0, 2**64, 600, dtype=np.uint64)
    hashes[:300] = turned(hashes[300:], distance + 2, chance)
    hashes[:40] = 0
    hashes[40:60] = 2**64 - 1
    assert components_within(hashes, distance).tolist() == brute(hashes, distance)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("distance", [1, 2, 3, 6, 12, 16])
@pytest.mark.parametrize("spread", [2, 4, 8, 12])
def test_dense_clusters(distance: int, spread: int) -> None:
    chance = np.random.default_rng(spread)
    bases = np.array([BASE, BASE ^ 0xFFFF, BASE ^ 0xFF << 40, 2**64 - 1], np.uint64)
    hashes = turned(np.repeat(bases, 150), spread, chance)
    assert components_within(hashes, distance).tolist() == brute(hashes, distance)


def test_a_chain_through_every_part() -> None:
    """Each link is of six bits somewhere else, so that every look-up has to find its own."""
    masks = [0x3F << shift for shift in range(0, 58)]
    hashes = np.bitwise_xor.accumulate(np.array([BASE, *masks], np.uint64))
    assert components_within(hashes, 6).tolist() == [0] * len(hashes) == brute(hashes, 6)
    assert components_within(hashes, 5).tolist() == brute(hashes, 5)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 255), max_size=20), st.integers(0, 16))
def test_any_hashes(values: list[int], distance: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    assert components_within(hashes, distance).tolist() == brute(hashes, distance)


Compared = Callable[[np.ndarray, int], int]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """How many pairs are compared."""
    count = np.bitwise_count
    numbers: list[int] = []

    def counting(values: np.ndarray) -> np.ndarray:
        numbers.append(values.size)
        return count(values)

    def run(hashes: np.ndarray, distance: int) -> int:
        numbers.clear()
        components_within(hashes, distance)
        return sum(numbers)

    monkeypatch.setattr(np, "bitwise_count", counting)
    return run


def test_a_dense_cluster_is_not_compared_pair_by_pair(compared: Compared) -> None:
    chance = np.random.default_rng(0)
    for number in (2_000, 8_000):  # each has a thousand and more within its part
        hashes = np.unique(turned(np.full(number, BASE, np.uint64), 4, chance))
        assert compared(hashes, 6) < 100 * len(hashes)


def test_large_distances_of_hashes_by_chance_use_what_is_linked(compared: Compared) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64)
    assert compared(hashes, 18) < len(hashes) ** 2 / 2 / 2
