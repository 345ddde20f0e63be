"""A text tower that reads longer texts than it was trained on."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tuwen.errors import UsageError


@dataclass(frozen=True)
class StretchPositions:
    """Position vectors behind the first `kept` become `times` as many: the text tower reads longer texts.

    The new ones lie evenly between the old ones, and go on by the last step behind the last. The first `kept`, which
    were trained best, stay as they are, also in training that follows (`frozen`); 0 stretches all.

    Zhang et al. 2024 (Long-CLIP), https://arxiv.org/abs/2403.15378, section 3.1; as in the authors' code.
    """

    kept: int = 20
    times: int = 4
    frozen: bool = True

    def __call__(self, model: Any) -> Any:
        network = deepcopy(model.network)
        if not hasattr(network.text, "embeddings"):
            raise UsageError("stretch_positions: the network has no text tower with positions; give it a causal one")
        embeddings = network.text.embeddings
        old = embeddings.position_embedding
        if not 0 <= self.kept < old.num_embeddings - 1 or self.times < 1:
            raise UsageError(
                f"stretch_positions: kept = {self.kept}, times = {self.times}; at least two of "
                f"{old.num_embeddings} positions are left to stretch, by 1 or more"
            )
        rows_LW = stretched(old.weight.detach(), self.kept, self.times)
        length = len(rows_LW)
        embeddings.position_embedding = Positions(rows_LW, self.kept if self.frozen else 0)
        embeddings.register_buffer("position_ids", torch.arange(length)[None].to(rows_LW.device), persistent=False)
        network.text.config.max_position_embeddings = length
        network.tokenizer = deepcopy(network.tokenizer)
        network.tokenizer.model_max_length = length
        network.architecture = replace(network.architecture, context=length)
        return type(model)(network)


def stretched(rows_LW: torch.Tensor, kept: int, times: int) -> torch.Tensor:
    """(kept + times · (L - kept), W): position kept + times · i + j is rows[kept + i] + j / times of the step to the
    next one, or, behind the last, of the step before it."""
    head, tail = rows_LW[:kept], rows_LW[kept:]
    steps = torch.cat([tail[1:] - tail[:-1], tail[-1:] - tail[-2:-1]])
    parts = torch.arange(times, device=rows_LW.device, dtype=rows_LW.dtype) / times
    between = tail[:, None] + parts[:, None] * steps[:, None]
    return torch.cat([head, between.flatten(0, 1)])


class Positions(nn.Module):
    """Position vectors, of which the first `kept` are never trained. `weight`: all of them (L, W).

    They are stored as the one table `weight`, so that a text tower of this length reads them.
    """

    head: torch.Tensor

    def __init__(self, rows_LW: torch.Tensor, kept: int) -> None:
        super().__init__()
        self.register_buffer("head", rows_LW[:kept].clone())
        self.tail = nn.Parameter(rows_LW[kept:].clone())

    @property
    def weight(self) -> torch.Tensor:
        return torch.cat([self.head, self.tail])

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        return self.weight[positions]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight if keep_vars else self.weight.detach()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *told: Any) -> None:
        table = state_dict[f"{prefix}weight"]
        parts = {f"{prefix}head": table[: len(self.head)], f"{prefix}tail": table[len(self.head) :]}
        super()._load_from_state_dict(parts, prefix, *told)
