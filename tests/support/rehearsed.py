"""Parts of somebody's own that are particular about when they are called; importable by worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuwen.evaluations.measured import Items
from tuwen.models.columns import Columns
from tuwen.models.features import Features


@dataclass(frozen=True)
class Fading:
    """An objective whose weight is 1 in the first step and 0 in the last."""

    def __call__(self, features: Features) -> Mapping[str, torch.Tensor]:
        distances_N = (features["image.embedding"] - features["text.embedding"]).square().sum(-1)
        return {"fading": (1 - features.step / (features.steps - 1)) * distances_N.mean()}


@dataclass(frozen=True)
class FirstUndefined:
    """An evaluation that divides by 0 the first time it is called, and is 1 after that."""

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        return Items({"one": np.ones(test.num_rows)})

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        CALLS.append(len(indices))
        return float(items["one"][indices].mean()) / min(1, len(CALLS) - 1)


CALLS: list[int] = []


@dataclass(frozen=True)
class Drawn:
    """An evaluation that draws from torch's own generator."""

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        return Items({"drawn": torch.rand(test.num_rows).numpy()})

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float(items["drawn"][indices].mean())
