"""Intervals cover what they say, and words follow from intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuwen.evaluations.measured import Items
from tuwen.proof.verdict import Difference, detectable_effect, difference, everything, judge


def scored(values: np.ndarray, group: np.ndarray | None = None) -> Items:
    return Items({"value": values}, np.empty(0, np.int64) if group is None else group)


def mean(items: Items, rows: np.ndarray) -> float:
    return float(items["value"][rows].mean())


def test_interval_of_a_case_worked_by_hand() -> None:
    """Differences .1, .2, .3: mean .2, sd .1, reach 4.3027 × .1 / √3 = .2484."""
    arm = [scored(np.full(4, value)) for value in (0.6, 0.8, 1.0)]
    other = [scored(np.full(4, value)) for value in (0.5, 0.6, 0.7)]
    found = difference(arm, other, mean, shared=True)
    assert found.mean == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - 0.24841, abs=1e-4)
    assert found.high == pytest.approx(0.2 + 0.24841, abs=1e-4)
    assert found.sd_items == pytest.approx(0.0, abs=1e-12)


def test_several_comparisons_widen_the_interval() -> None:
    arm = [scored(np.full(4, value)) for value in (0.6, 0.8, 1.0)]
    other = [scored(np.full(4, value)) for value in (0.5, 0.6, 0.7)]
    one, two = (difference(arm, other, mean, shared=False, comparisons=number) for number in (1, 2))
    assert two.coverage == pytest.approx(0.975)
    assert two.high - two.low == pytest.approx((one.high - one.low) * 6.2053 / 4.3027, rel=1e-4)


@pytest.mark.parametrize("truth", [0.0, 0.05])
def test_coverage(truth: float) -> None:
    """Of 400 runs of five noisy seeds about 95 % hold the truth."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        arm = [scored(np.array([0.5 + truth + noise])) for noise in rng.normal(0, 0.03, 5)]
        other = [scored(np.array([0.5 + noise])) for noise in rng.normal(0, 0.03, 5)]
        found = difference(arm, other, mean, shared=False)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_shared_items_count_as_one_more_sample() -> None:
    """Equal seeds say nothing of the test's own luck: half of 100 items differ by one."""
    gain = np.zeros(100)
    gain[:50] = 1
    arm, other = [scored(gain)] * 5, [scored(np.zeros(100))] * 5
    alone, shared = (difference(arm, other, mean, shared=each) for each in (False, True))
    assert math.isinf(alone.low) and math.isinf(alone.high)  # of no width it would say that all is known
    assert math.isfinite(shared.low)
    assert shared.sd_items == pytest.approx(0.05, rel=0.15)


def test_coverage_where_seeds_share_their_items() -> None:
    """Seeds and items both vary; the truth is 0. Of 200 intervals some 190 hold it, and none is wide for nothing."""
    rng, held, wide = np.random.default_rng(5), 0, []
    for _ in range(200):
        of_items, of_seeds = rng.normal(0, 0.2, 60), rng.normal(0, 0.02, 3)
        arm = [scored(of_items + seed) for seed in of_seeds]
        found = difference(arm, [scored(np.zeros(60))] * 3, mean, shared=True)
        held += found.low <= 0 <= found.high
        wide.append(found.high - found.low)
    assert 180 <= held <= 199
    assert np.median(wide) < 2 * 3.5 * math.hypot(0.2 / math.sqrt(60), 0.02 / math.sqrt(3))


def test_items_of_a_group_are_drawn_together() -> None:
    gain = np.repeat([1.0, 0.0], 50)
    lonely = difference([scored(gain)] * 3, [scored(np.zeros(100))] * 3, mean, shared=True)
    grouped = [scored(gain, np.repeat([7, 9], 50))] * 3
    pairs = difference(grouped, [scored(np.zeros(100), np.repeat([7, 9], 50))] * 3, mean, shared=True)
    assert pairs.sd_items == pytest.approx(0.5, rel=0.15)  # √(.5 / 2), the variance of 1 and 0 being .5
    assert pairs.sd_items > 7 * lonely.sd_items


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.01, 0.05, "supported"), (-0.05, -0.01, "refuted"), (-0.01, 0.015, "no effect"), (-0.01, 0.05, "inconclusive")],
)
def test_words(low: float, high: float, word: str) -> None:
    found = Difference((low + high) / 2, low, high, 0.95, (0.0, 0.0), 0.0)
    verdict = judge(found, smallest_effect=0.02)
    assert verdict.word == word
    assert f"{low:+.3f}" in verdict.reason


def test_one_seed_proves_nothing() -> None:
    found = difference([scored(np.ones(9))], [scored(np.zeros(9))], mean, shared=True)
    assert judge(found, 0.02).word == "inconclusive"


@pytest.mark.parametrize(("seeds", "gain"), [(2, 0.25), (5, 0.25), (3, 0.0)])
def test_equal_differences_prove_nothing(seeds: int, gain: float) -> None:
    arm, other = [scored(np.full(4, 0.5 + gain))] * seeds, [scored(np.full(4, 0.5))] * seeds
    verdict = judge(difference(arm, other, mean, shared=True), 0.02)
    assert verdict.word == "inconclusive" and "the same for every seed" in verdict.reason


def test_detectable_effect_is_found_four_times_of_five() -> None:
    sd = 0.02
    effect = detectable_effect(sd, seeds=5)
    rng = np.random.default_rng(0)
    supported = 0
    for _ in range(500):
        arm = [scored(np.array([value])) for value in rng.normal(effect, sd, 5)]
        supported += judge(difference(arm, [scored(np.zeros(1))] * 5, mean, shared=False), 0.01).word == "supported"
    assert 0.72 <= supported / 500 <= 0.9
    assert detectable_effect(sd, seeds=1) == math.inf
    assert detectable_effect(sd, seeds=5, comparisons=3) > effect


def test_everything() -> None:
    assert everything(scored(np.zeros(3))).tolist() == [0, 1, 2]


def test_an_interval_over_draws_without_a_number_says_why() -> None:
    """Of few items some draws leave out all that count."""
    arm, other = [scored(np.array([seed, 0.0])) for seed in (1, 2, 3)], [scored(np.zeros(2))] * 3
    found = difference(arm, other, lambda items, rows: mean(items, rows) if 0 in rows else float("nan"), shared=True)
    told = judge(found, 0.1)
    assert told.word == "inconclusive" and "of some draws of the items" in told.reason
