"""How well a score tells the right text of an image from a wrong one of the same page or host.

Wrong texts from anywhere would flatter: language, site and topic alone give them away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

DRAWS = 20  # until a wrong text is given up: the group has no other
RESAMPLES = 1_000
COVERAGE = 0.95


@dataclass(frozen=True)
class Interval:
    """An AUC with the ends of its bootstrap interval."""

    auc: float
    low: float
    high: float
    num_pairs: int


def wrong_texts(rows: Integers, image: Integers, text: Integers, group: Sequence[object], seed: int) -> Integers:
    """For each pair of `rows` the place, in `image` and `text`, of a pair of `rows` and of the same group whose text
    none of the image's pairs has; -1 where none was found.

    Right and wrong texts come from the same pairs, so that neither length nor frequency of a text tells them apart.
    """
    own = set(zip(image.tolist(), text.tolist(), strict=True))
    groups: dict[object, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(group[row], []).append(row)
    generator = np.random.default_rng(seed)
    found = np.full(len(rows), -1, dtype=np.int64)
    for place, row in enumerate(rows.tolist()):
        others = groups[group[row]]
        for choice in generator.integers(len(others), size=DRAWS).tolist():
            if (int(image[row]), int(text[others[choice]])) not in own:
                found[place] = others[choice]
                break
    return found


def auc(right: Floats, wrong: Floats) -> float:
    """Probability that a right score is above a wrong one, ties half; 0.5 where there are none."""
    if not len(right) or not len(wrong):
        return 0.5
    ordered = np.sort(wrong)
    below = np.searchsorted(ordered, right, "left") + np.searchsorted(ordered, right, "right")
    return float(below.sum() / (2 * len(right) * len(wrong)))


def auc_interval(right: Floats, wrong: Floats, owner: Integers, seed: int, resamples: int = RESAMPLES) -> Interval:
    """The AUC with a percentile bootstrap interval of 95 %, drawn over owners: the pairs of one image, or of one page,
    come and go together. `right[n]` and `wrong[n]` belong to pair n, `owner[n]` is its image."""
    _, owners = np.unique(owner, return_inverse=True)
    draws = bootstrap(right, wrong, owners, seed, resamples)
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]).tolist() if len(right) else (0.0, 1.0)
    return Interval(auc(right, wrong), low, high, len(right))


def bootstrap(right: Floats, wrong: Floats, owners: Integers, seed: int, resamples: int = RESAMPLES) -> Floats:
    """AUCs of resamples over `owners`, numbered from 0. Equal seeds draw equal owners, so that two scores of the same
    pairs can be compared draw by draw."""
    generator = np.random.default_rng(seed)
    num_owners = int(owners.max(initial=-1)) + 1
    scores = np.concatenate([right, wrong])
    values, ranks = np.unique(scores, return_inverse=True)
    found = np.empty(resamples)
    for draw in range(resamples if num_owners else 0):
        weights = np.bincount(generator.integers(num_owners, size=num_owners), minlength=num_owners)[owners]
        rights = np.bincount(ranks[: len(right)], weights, len(values))
        wrongs = np.bincount(ranks[len(right) :], weights, len(values))
        below = np.cumsum(wrongs) - wrongs / 2
        found[draw] = (rights * below).sum() / max(1.0, rights.sum() * wrongs.sum())
    return found if num_owners else np.full(resamples, 0.5)
