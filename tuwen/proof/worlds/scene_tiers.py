"""Drawn scenes in two tiers: few with captions written for them, many with whatever stood beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tuwen.models.columns import Columns
from tuwen.proof.worlds.scenes import Scenes, Share

APART = 1 << 20  # between the seeds of the tiers: no scene is in both


@dataclass(frozen=True)
class SceneTiers:
    """The share `strong_share` of training examples is `strong`, the rest `weak`, each with its own knobs of scenes;
    the column `tier` says which. Tests are those of the strong tier. Where the tiers' scenes differ in more than
    faults, so does what they teach.

    After the tiers of WuDaoMM, Yuan et al. 2022, https://arxiv.org/abs/2203.11480.
    """

    strong_share: Share = 0.1
    strong: Scenes = field(default_factory=lambda: Scenes(mismatch=0.05))
    weak: Scenes = field(default_factory=lambda: Scenes(mismatch=0.5, boilerplate=0.5))

    VERSION: ClassVar[int] = 1

    def train(self, number: int, seed: int) -> Columns:
        """So many training examples, by the arguments alone; the strong ones come first."""
        few = round(self.strong_share * number)
        strong, weak = self.strong.train(few, seed), self.weak.train(number - few, seed + APART)
        tier = ["strong"] * few + ["weak"] * (number - few)
        return Columns(**{name: _joined(strong[name], weak[name]) for name in strong}, tier=tier)

    def test(self, number: int, seed: int) -> Columns:
        """So many test examples, by the arguments alone."""
        return self.strong.test(number, seed).with_columns(tier=["strong"] * number)


def _joined(one: Any, other: Any) -> Any:
    return np.concatenate([one, other]) if isinstance(one, np.ndarray) else [*one, *other]
