"""Features of fixed tensors, for objectives whose values are worked out elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import normalize

from tuwen.models.features import Features


def fixed(objective: Any = None, network: Any = None, step: int = 0, steps: int = 1, **values: Any) -> Features:
    """Features that hold these values, a `.` written as `__`, and `objective`'s own module, where it has one."""
    own = {objective: objective.module(network)} if hasattr(objective, "module") else {}
    features = Features({}, network, step, steps, own)  # type: ignore[arg-type]
    for name, value in {"scale": torch.tensor(10.0), **values}.items():
        features[name.replace("__", ".")] = value
    return features


def vectors(number: int, dim: int, seed: int) -> torch.Tensor:
    """(number, dim), of length 1."""
    return normalize(torch.randn(number, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


def plain_contrast(scale: float, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Losses of rows (N,) of the symmetric contrast, in plain loops."""
    number, found = len(images), []
    for row in range(number):
        across = torch.stack([scale * images[row] @ texts[other] for other in range(number)])
        down = torch.stack([scale * images[other] @ texts[row] for other in range(number)])
        found.append((across.logsumexp(0) + down.logsumexp(0)) / 2 - scale * images[row] @ texts[row])
    return torch.stack(found)
