"""An image against several texts, one contrast for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field

from tuwen.models.features import Features
from tuwen.objectives.contrast import Contrast


@dataclass(frozen=True)
class MultiContrast:
    """Mean of the contrasts of `image` with each column of `texts`: the n-th text of an image is told from the n-th of
    the others, and the texts of an image are no negatives of each other.

    Zheng et al. 2024 (DreamLIP), https://arxiv.org/abs/2403.17007, section 3.2.
    """

    texts: tuple[str, ...] = ("text", "part_0", "part_1", "part_2")
    image: str = "image"
    group: str | None = "text"
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        losses = [
            next(iter(Contrast(self.image, text, self.group, smoothing=self.smoothing)(features).values()))
            for text in self.texts
        ]
        return {"multi_contrast": torch.stack(losses).mean()}
