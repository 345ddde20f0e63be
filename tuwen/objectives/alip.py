"""Weights of pairs by how well an image, its text and a synthetic text agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tuwen.models.features import Features
from tuwen.objectives.contrast import embedding_of


@dataclass(frozen=True)
class Alip:
    """Hands on `gate.TEXT` and `gate.SYNTHETIC` (N,), without gradients, for two contrasts with these weights.

    A cosine c of two of the three counts as exp(c - mean)², where `mean` runs over batches, beginning at 1: new mean =
    `kept` · mean + (1 - `kept`) · batch's. The cosine of both texts weighs the example, at most 1; that of image and
    text weighs the pair, though only where the texts agree less than usual. `sample`, `pair`: leave one of both out.

    Yang et al. 2023, https://arxiv.org/abs/2308.08428, sections 3.3 and 3.4; as in the authors' code.
    """

    text: str = "text"
    synthetic: str = "synthetic"
    image: str = "image"
    kept: float = 0.99
    sample: bool = True
    pair: bool = True

    def module(self, network: nn.Module) -> nn.Module:
        """Running means of the three cosines."""
        return RunningMeans(3)

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        names = (self.image, self.text, self.synthetic)
        # Computed with gradients, since the contrasts read the same features; only the gates have none.
        image, text, synthetic = (embedding_of(features, name).detach() for name in names)
        cosines_3N = torch.stack([(text * synthetic).sum(-1), (image * text).sum(-1), (image * synthetic).sum(-1)])
        means_3 = features.own[self].updated(cosines_3N.mean(1), self.kept)
        both_N, *pairs = (cosines_3N - means_3[:, None]).exp().square()
        sample_N = both_N.clamp(max=1.0) if self.sample else torch.ones_like(both_N)
        for name, pair_N in zip((self.text, self.synthetic), pairs, strict=True):
            factor_N = torch.where(both_N < 1, pair_N, torch.ones_like(pair_N)) if self.pair else 1.0
            features[f"gate.{name}"] = sample_N * factor_N
        return {}


class RunningMeans(nn.Module):
    """So many running means, which begin at 1."""

    means: torch.Tensor

    def __init__(self, number: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.ones(number))

    def updated(self, new: torch.Tensor, kept: float) -> torch.Tensor:
        """The means once those of a batch are in them."""
        self.means.mul_(kept).add_(new, alpha=1 - kept)
        return self.means.clone()
