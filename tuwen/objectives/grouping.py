"""Each text against what of its image it tells: the patches that it resembles most."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize, pad

from tuwen.models.features import Features
from tuwen.models.network import FIRST_SCALE, LARGEST_SCALE
from tuwen.objectives.contrast import embedding_of, equal_rows, symmetric_losses


@dataclass(frozen=True)
class Grouping:
    """Contrast of texts with the patches that they are about, over all texts of all images of a batch.

    The cosines of a text and the patches of its image are stretched from 0 to 1, those under `least` are 0; in relation
    to their sum they weigh the patches, whose mean, normalised, is what belongs to the text. `least` below 0: 1 over
    the number of patches. The scale of these cosines is learnt, apart from that of whole images. Patches are projected
    as images are. Differs from the paper: equal texts are no negatives of each other (`masked`).

    Zheng et al. 2024 (DreamLIP), https://arxiv.org/abs/2403.17007, section 3.3; as in the authors' code.
    """

    texts: tuple[str, ...] = ("part_0", "part_1", "part_2")
    image: str = "image"
    least: float = -1.0
    masked: bool = True

    def module(self, network: nn.Module) -> nn.Module:
        """The logarithm of the scale."""
        return nn.ParameterList([torch.tensor(math.log(FIRST_SCALE))])

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        patches_NPD = features[f"{self.image}.patch_embedding"]
        texts_NTD = torch.stack([embedding_of(features, text) for text in self.texts], 1)
        groups_NTD = grouped(texts_NTD, patches_NPD, self.least)
        scale = features.own[self][0].exp().clamp(max=LARGEST_SCALE)
        logits = scale * groups_NTD.flatten(0, 1) @ texts_NTD.flatten(0, 1).T
        if self.masked:
            same = equal_rows(_beside([features[text] for text in self.texts]))
            own = torch.eye(len(same), dtype=torch.bool, device=same.device)
            logits = logits.masked_fill(same & ~own, -math.inf)
        return {"grouping": symmetric_losses(logits).mean()}


def _beside(tokens: list[torch.Tensor]) -> torch.Tensor:
    """(N · T, L) of T times (N, L'), padded with the token that ends each."""
    width = max(each.shape[1] for each in tokens)
    return torch.stack([pad(each, (0, width - each.shape[1]), value=float(each[0, -1])) for each in tokens], 1).flatten(
        0, 1
    )


def grouped(texts_NTD: torch.Tensor, patches_NPD: torch.Tensor, least: float) -> torch.Tensor:
    """(N, T, D), of length 1: for each text the weighted mean of the patches of its image."""
    cosines_NTP = texts_NTD @ patches_NPD.transpose(1, 2)
    low, high = cosines_NTP.amin(-1, keepdim=True), cosines_NTP.amax(-1, keepdim=True)
    weights_NTP = (cosines_NTP - low) / (high - low + 1e-10)
    weights_NTP = weights_NTP.masked_fill(weights_NTP < (least if least >= 0 else 1 / patches_NPD.shape[1]), 0.0)
    return normalize(weights_NTP / weights_NTP.sum(-1, keepdim=True).clamp(min=1e-10) @ patches_NPD, dim=-1)
