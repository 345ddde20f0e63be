"""Images of documents against what stands before them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize

from tuwen.models.features import Features
from tuwen.models.network import Network
from tuwen.models.sequences import TokenSequences
from tuwen.objectives.contrast import symmetric_losses


@dataclass(frozen=True)
class ContextContrast:
    """Symmetric InfoNCE between each image's latent and the state at its mark, which has read all before the image and
    nothing of it. Images before which nothing stands are left out.

    `sequence`: a column of sequences with images. The state goes through a layer norm and a projection of the
    objective's own. With `next_token` over the same sequence it is one causal graph: LCL, Yang et al. 2024,
    https://arxiv.org/abs/2406.07543, with the weights 1 and 0.1.

    Differs from the paper: the latent is what the image tower pools, by attention only where the tower does so.
    """

    sequence: str = "document"

    def module(self, network: Network) -> nn.Module:
        """Norm and projection of states."""
        language = network.architecture.language
        width = language.width if language else 1
        return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, network.architecture.dim, bias=False))

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        tokens: TokenSequences = features[self.sequence]
        behind = tokens.image_start > 1  # place 0 is the token before every sequence
        name = f"context_contrast.{self.sequence}"
        if not bool(behind.any()):
            return {name: features["scale"] * 0}
        states_MW = features[f"{self.sequence}.states"][tokens.image_row[behind], tokens.image_start[behind]]
        contexts_MD = normalize(features.own[self](states_MW), dim=-1)
        images_MD = features[f"{self.sequence}.images.embedding"][behind]
        return {name: symmetric_losses(features["scale"] * images_MD @ contexts_MD.T).mean()}
