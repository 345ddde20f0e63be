"""How much of what a model can do is left where images look different."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items
from tuwen.evaluations.zero_shot import ZeroShot
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class EffectiveRobustness:
    """Zero-shot accuracy on shifted images beyond what accuracy on the reference's foretells, in logits.

    Images whose `domain` is one of `reference` are the reference, all others, or those of `shifted`, the shift. Models
    of one kind lie on a line, logit(shifted) = `slope` · logit(reference) + `intercept`; the value is how far above it
    a model is. `zero_shot`: what is told of images. Accuracies are those of n items and half an item of each kind, so
    that none is 0 or 1.

    Taori et al. 2020, https://arxiv.org/abs/2007.00644, section 2; Nguyen et al. 2022 (Quality not Quantity),
    https://arxiv.org/abs/2208.05516.
    """

    zero_shot: ZeroShot
    reference: tuple[str, ...]
    shifted: tuple[str, ...] = ()
    domain: str = "style"
    slope: float = 1.0
    intercept: float = 0.0

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        domains = np.array([str(value) for value in test[self.domain]])
        reference = np.isin(domains, self.reference)
        rows = np.flatnonzero(reference | np.isin(domains, self.shifted) if self.shifted else reference | True)
        if not reference[rows].any() or reference[rows].all():
            raise UsageError(f"effective_robustness: {self.domain} has {sorted(set(domains))}; both sides need images")
        found = self.zero_shot.items(model, train, test.subset(rows))
        rows = rows[found.rows]
        if not reference[rows].any() or reference[rows].all():
            raise UsageError("effective_robustness: `where` and `unless` of zero_shot leave one side without images")
        return Items({"correct": found["correct"], "reference": reference[rows]}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        correct, reference = items["correct"][indices], items["reference"][indices]
        return _logit(correct[~reference]) - self.slope * _logit(correct[reference]) - self.intercept


def _logit(correct: NDArray[Any]) -> float:
    return math.log((correct.sum() + 0.5) / (len(correct) - correct.sum() + 0.5))
