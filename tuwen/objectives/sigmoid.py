"""Each pair of an image and a text, right or wrong, on its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from tuwen.models.features import Features
from tuwen.objectives.contrast import embedding_of, equal_rows


@dataclass(frozen=True)
class Sigmoid:
    """-log sigmoid(±(scale · cosine + bias)), summed over all pairs of a batch, for each image; + for its own text.

    `group` as in `contrast`: rows that are equal there are no negatives. `first_bias`: of the learnt bias.
    Zhai et al. 2023 (SigLIP), https://arxiv.org/abs/2303.15343, section 3.2.
    """

    image: str = "image"
    text: str = "text"
    group: str | None = "text"
    first_bias: float = -10.0

    def module(self, network: nn.Module) -> nn.Module:
        """The bias."""
        return nn.ParameterList([torch.tensor(self.first_bias)])

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        images_ND, texts_ND = (embedding_of(features, name) for name in (self.image, self.text))
        logits_NN = features["scale"] * images_ND @ texts_ND.T + features.own[self][0]
        own_NN = torch.eye(len(logits_NN), dtype=torch.bool, device=logits_NN.device)
        losses_NN = -logsigmoid(torch.where(own_NN, logits_NN, -logits_NN))
        if self.group is not None:
            same_NN = equal_rows(features[self.text if self.group == "text" else self.group])
            losses_NN = losses_NN.masked_fill(same_NN & ~own_NN, 0.0)
        return {f"sigmoid.{self.text}": losses_NN.sum(1).mean()}
