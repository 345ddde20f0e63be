"""Symmetric InfoNCE between images and one column of texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from tuwen.models.features import Features


@dataclass(frozen=True)
class Contrast:
    """Each image against all texts of the batch, and each text against all images.

    `image`, `text`: columns, or names of embeddings (N, dim) of length 1 that another objective has made. Two rows
    whose `group` is equal are no negatives of each other: `text` stands for equal texts, any other name is a column of
    numbers, nothing makes all other rows negatives. `weight`: name of factors (N,) of each row's loss, their mean
    taken as it is. `smoothing`: label smoothing. `trimmed`: share of the rows, those of the largest losses, that does
    not count after the first `trimmed_from` of the steps (small loss; Han et al. 2018,
    https://arxiv.org/abs/1804.06872).

    Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 2.3.
    """

    image: str = "image"
    text: str = "text"
    group: str | None = "text"
    weight: str | None = None
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    trimmed: Annotated[float, Field(ge=0, lt=1)] = 0.0
    trimmed_from: Annotated[float, Field(ge=0, le=1)] = 0.3

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        images_ND, texts_ND = (embedding_of(features, name) for name in (self.image, self.text))
        logits_NN = features["scale"] * images_ND @ texts_ND.T
        logits_NN = logits_NN.masked_fill(self._same(features, len(logits_NN)), -math.inf)
        losses_N = symmetric_losses(logits_NN, self.smoothing)
        if self.weight is not None:
            losses_N = losses_N * features[self.weight]
        if self.trimmed and features.step >= self.trimmed_from * features.steps:
            losses_N = losses_N.sort().values[: max(1, round((1 - self.trimmed) * len(losses_N)))]
        return {f"contrast.{self.text}": losses_N.mean()}

    def _same(self, features: Features, number: int) -> torch.Tensor:
        """(N, N): pairs that are neither positive nor negative."""
        if self.group is None:
            return torch.zeros((number, number), dtype=torch.bool, device=features["scale"].device)
        same_NN = equal_rows(features[self.text if self.group == "text" else self.group])
        return same_NN & ~torch.eye(number, dtype=torch.bool, device=same_NN.device)


def embedding_of(features: Features, name: str) -> torch.Tensor:
    """The embedding of a column, or the embedding that an objective has given this name."""
    value = features[name]
    if isinstance(value, torch.Tensor) and value.ndim == 2 and value.is_floating_point():
        return value
    return features[f"{name}.embedding"]  # type: ignore[no-any-return]


def equal_rows(values: torch.Tensor) -> torch.Tensor:
    """(N, N): where two rows of tokens or numbers are the same."""
    if values.ndim == 1:
        return values[:, None] == values
    return (values[:, None] == values).flatten(2).all(-1)


def symmetric_losses(logits_NN: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over both directions of each row's cross entropy, (N,). Logits of -inf take part in nothing."""
    targets = torch.arange(len(logits_NN), device=logits_NN.device)
    if not smoothing:
        both = (cross_entropy(each, targets, reduction="none") for each in (logits_NN, logits_NN.T))
        return sum(both) / 2  # type: ignore[return-value]
    losses = []
    for each in (logits_NN, logits_NN.T):
        log_p = torch.log_softmax(each, dim=-1)
        known = torch.isfinite(each)
        even = log_p.masked_fill(~known, 0.0).sum(-1) / known.sum(-1)  # what is masked gets no share of the smoothing
        losses.append(-(1 - smoothing) * log_p.diagonal() - smoothing * even)
    return (losses[0] + losses[1]) / 2
