"""Images as codes: each patch becomes the number of the k-means centre that is nearest to it, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tuwen.errors import UsageError, missing_extra
from tuwen.models.towers import Size

BLOCK = 16_384  # patches that are compared with all centres at once


@dataclass(frozen=True)
class ImageTokenizer:
    """`number` codes of square patches of `patch` pixels, learnt from the patches of `num_images` training images;
    for the arms of a claim from those of the claim's world as no arm has turned its knobs.

    Plain k-means stands for a learnt autoencoder (ViT-VQGAN, Yu et al. 2021, https://arxiv.org/abs/2110.04627): it
    needs no training of its own. With each seed all arms of a claim have the same codes, so that codes lose as much for
    each, and bits per code can be compared.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}  # a misspelt name is no default

    number: Size = 256
    patch: Size = 4
    num_images: Size = 500

    def build(self, side: int) -> Codebook:
        """A codebook that is yet to be fitted."""
        if side % self.patch:
            raise UsageError(f"side is {side} and patch is {self.patch}; patches have to fill the image")
        return Codebook(self.number, self.patch, side)


class Codebook(nn.Module):
    """Centres (number, 3 · patch²) of patches, with values from 0 to 255; stored with the network's weights."""

    centres: torch.Tensor

    def __init__(self, number: int, patch: int, side: int) -> None:
        super().__init__()
        self.patch, self.side = patch, side
        self.register_buffer("centres", torch.zeros(number, 3 * patch * patch))

    @property
    def num_codes(self) -> int:
        """Codes of an image."""
        return (self.side // self.patch) ** 2

    def fit(self, images: NDArray[np.uint8], seed: int) -> None:
        """Learn the centres from the distinct patches of images (N, side, side, 3): patches of plain paper are many,
        and would take most centres. Where there are fewer distinct ones than centres, the last centres stay unused."""
        try:
            from sklearn.cluster import KMeans
            from threadpoolctl import threadpool_limits
        except ImportError:
            raise missing_extra("classifier", "scikit-learn") from None
        distinct = np.unique(self._patches(images), axis=0).astype(np.float32)
        number = min(len(self.centres), len(distinct))
        with threadpool_limits(1):
            found = KMeans(number, n_init=1, max_iter=20, random_state=seed).fit(distinct).cluster_centers_
        self.centres[:number] = torch.from_numpy(np.asarray(found, np.float32))
        self.centres[number:] = self.centres[0]  # never the nearest: the first of equal ones is

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Codes (N, num_codes), row by row, of images (N, side, side, 3)."""
        patches, centres = self._patches(images).astype(np.float32), self.centres.cpu().numpy()
        lengths = np.square(centres).sum(1)
        found = [
            (lengths - 2 * patches[start : start + BLOCK] @ centres.T).argmin(1)
            for start in range(0, len(patches), BLOCK)
        ]
        return np.concatenate([np.empty(0, np.int64), *found]).reshape(len(images), self.num_codes)

    def decode(self, codes: Any) -> NDArray[np.uint8]:
        """Images (N, side, side, 3) of codes (N, num_codes)."""
        across = self.side // self.patch
        patches = np.rint(self.centres.cpu().numpy()).clip(0, 255).astype(np.uint8)[np.asarray(codes, np.int64)]
        squares: NDArray[np.uint8] = patches.reshape(-1, across, across, self.patch, self.patch, 3)
        return squares.transpose(0, 1, 3, 2, 4, 5).reshape(-1, self.side, self.side, 3)

    def _patches(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        across = self.side // self.patch
        squares = np.asarray(images).reshape(-1, across, self.patch, across, self.patch, 3)
        return squares.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 3 * self.patch * self.patch)
