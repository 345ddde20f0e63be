"""A small network that tells attributes of images, to judge images that models have drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from tuwen.models.contrastive import deterministic
from tuwen.models.towers import ConvTower
from tuwen.views.shifted import Shifted

WIDTH, BATCH, LEARNING_RATE = 64, 64, 3e-3


class AttributeClassifier:
    """Tells of images (N, side, side, 3) the value of each attribute."""

    def __init__(self, network: nn.Module, values: Mapping[str, Sequence[str]]) -> None:
        self._network, self._values = network, values

    @classmethod
    def fit(
        cls, images: NDArray[np.uint8], labels: Mapping[str, Sequence[str]], *, steps: int = 600, seed: int = 0
    ) -> AttributeClassifier:
        """Trained on images and their values of each attribute; equal arguments give equal weights."""
        values = {name: sorted(set(known)) for name, known in labels.items()}
        targets = {name: np.searchsorted(values[name], list(labels[name])) for name in labels}
        shifted = Shifted()
        with deterministic(seed):
            network = _Heads(images.shape[1], [len(each) for each in values.values()])
            optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.1)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1)
            rng = np.random.default_rng(seed)
            for _ in range(steps):
                rows = rng.choice(len(images), min(BATCH, len(images)), replace=False)
                found = network(_pixels(shifted({"image": images[rows]}, rng)["image"]))
                known = [torch.from_numpy(each[rows]) for each in targets.values()]
                loss = torch.stack([cross_entropy(*each) for each in zip(found, known, strict=True)]).sum()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        return cls(network.eval(), values)

    def told(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.str_]]:
        """The likeliest value of each attribute, (N,)."""
        with torch.inference_mode():
            parts = [self._network(_pixels(images[start : start + 256])) for start in range(0, len(images), 256)]
        names = enumerate(self._values)
        return {
            name: np.array(self._values[name])[torch.cat([part[place] for part in parts]).argmax(1).numpy()]
            for place, name in names
        }


class _Heads(nn.Module):
    """A tower with a linear layer for each attribute."""

    def __init__(self, side: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.tower = ConvTower(WIDTH, side, "max")
        self.heads = nn.ModuleList([nn.Linear(WIDTH, size) for size in sizes])

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        pooled = self.tower.pooled(self.tower(pixels))
        return [head(pooled) for head in self.heads]


def _pixels(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
