"""From measurements of paired seeds to an interval, and from the interval to words.

A comparison is the mean, over random seeds, of the difference between two arms that share the seed: their data, first
weights and order. Its interval is Student's over the seeds. Where the seeds are tested on the same items, these are one
more sample: the variance of the mean difference over resampled groups of items is added. Several comparisons of a claim
share its error (Bonferroni): each interval covers 1 - .05 / number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations.measured import Items

ERROR, POWER = 0.05, 0.8
RESAMPLES = 400
NO_WIDTH = 1e-9  # of an interval, but for rounding
Word = Literal["supported", "refuted", "no effect", "inconclusive"]
Statistic = Callable[[Items, NDArray[np.int64]], float]


@dataclass(frozen=True)
class Difference:
    """Mean difference of two arms with the ends of its interval; `seeds` holds each seed's."""

    mean: float
    low: float
    high: float
    coverage: float
    seeds: tuple[float, ...]
    sd_items: float

    def signed(self, turned: bool) -> Difference:
        """The same, or the difference the other way round."""
        seeds = tuple(-each for each in self.seeds)
        return Difference(-self.mean, -self.high, -self.low, self.coverage, seeds, self.sd_items) if turned else self


@dataclass(frozen=True)
class Verdict:
    """A word, and a sentence that gives its reason."""

    word: Word
    reason: str


def difference(
    arm: Sequence[Items], other: Sequence[Items], statistic: Statistic, *, shared: bool, comparisons: int = 1
) -> Difference:
    """The difference `arm` - `other` over seeds that are given in the same order.

    `shared`: whether all seeds were tested on the same items.
    """
    pairs = list(zip(arm, other, strict=True))
    seeds = tuple(statistic(one, everything(one)) - statistic(two, everything(two)) for one, two in pairs)
    error, number = ERROR / comparisons, len(seeds)
    sd_items, groups = _sd_over_items(pairs, statistic) if shared else (0.0, 2)
    mean = float(np.mean(seeds))
    if number < 2 or groups < 2:  # nothing tells how much others would differ
        return Difference(mean, -math.inf, math.inf, 1 - error, seeds, sd_items)
    parts = [(float(np.var(seeds, ddof=1)) / number, number - 1), (sd_items**2, max(1, groups - 1))]
    variance = sum(part for part, _ in parts)
    # Of a sum of variances that were estimated with different care (Satterthwaite 1946).
    freedom = variance**2 / sum(part**2 / each for part, each in parts) if variance else number - 1
    reach = student(1 - error / 2, freedom) * math.sqrt(variance)
    if reach < NO_WIDTH:  # all differ by the same: as little is known
        reach = math.inf
    return Difference(mean, mean - reach, mean + reach, 1 - error, seeds, sd_items)


def judge(found: Difference, smallest_effect: float) -> Verdict:
    """What an interval says about "greater by what matters": `smallest_effect` was fixed before the run."""
    if not math.isfinite(found.low):
        why = "one seed, or items of one group, have no interval"
        if math.isnan(found.low):
            why = "of some draws of the items the evaluation gives no number, so there is no interval"
        if len(found.seeds) > 1 and max(found.seeds) - min(found.seeds) < NO_WIDTH:
            why = "the same for every seed, so nothing tells how much others would differ"
        return Verdict("inconclusive", f"{found.mean:+.3f}; {why}")
    told = f"{found.mean:+.3f}, {found.coverage:.1%} interval {found.low:+.3f} to {found.high:+.3f}"
    if found.high < 0:
        return Verdict("refuted", f"smaller: {told}")
    if found.high < smallest_effect:
        return Verdict("no effect", f"not greater by {smallest_effect:g}: {told}")
    if found.low > 0:
        small = "" if found.mean >= smallest_effect else f", though less than the {smallest_effect:g} that matters"
        return Verdict("supported", f"greater: {told}{small}")
    return Verdict("inconclusive", f"the interval holds both 0 and {smallest_effect:g}: {told}; more seeds would tell")


def detectable_effect(sd: float, seeds: int, comparisons: int = 1) -> float:
    """The least true difference that such a run finds four times of five, where seeds' differences vary by `sd`."""
    if seeds < 2:
        return math.inf
    error = ERROR / comparisons
    return (student(1 - error / 2, seeds - 1) + student(POWER, seeds - 1)) * sd / math.sqrt(seeds)


def student(share: float, freedom: float) -> float:
    """Quantile of Student's distribution."""
    from scipy.stats import t

    return float(t.ppf(share, freedom))


def everything(items: Items) -> NDArray[np.int64]:
    """All items, each once."""
    return np.arange(len(items), dtype=np.int64)


def _sd_over_items(pairs: Sequence[tuple[Items, Items]], statistic: Statistic) -> tuple[float, int]:
    """Standard deviation of the mean difference over draws of groups, the same draw for all seeds and both arms; and
    how many groups there are."""
    groups = pairs[0][0].groups
    number = int(groups.max(initial=-1)) + 1
    order = np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups[order], np.arange(number + 1))
    members = [order[ends[group] : ends[group + 1]] for group in range(number)]
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[group] for group in rng.integers(number, size=number)])
        draws.append(np.mean([statistic(one, rows) - statistic(two, rows) for one, two in pairs]))
    # A draw of few groups varies less than the groups do.
    return float(np.std(draws, ddof=1)) * math.sqrt(number / max(1, number - 1)), number
