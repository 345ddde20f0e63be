"""Towers for few real pairs: what is fixed, or has no order, cannot be learnt by heart.

From some thousand pairs convolutions and attention learn these pairs, and next to nothing about others. Gradients of
cells and sums of tokens, as image search had them before networks, carry over.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from tuwen.errors import UsageError

CELLS = 8  # both ways
DIRECTIONS = 8
LEVELS = 4  # of red, green and blue
COARSE = 0.1  # of mean colours beside shares: there are many of them, and neighbours are alike


class GradientTower(nn.Module):
    """What the edges and colours of an image's 8 × 8 cells are is fixed; learnt is a linear map of all of it.

    `forward`: float (N, 3, side, side), -1 to 1, to one patch, the whole image (N, 1, width); `pooled` takes it out.
    Histograms of gradients: Dalal & Triggs 2005, https://doi.org/10.1109/CVPR.2005.177. **Differs from the paper:**
    square roots of shares, no blocks of cells, and colours.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        if side % CELLS:
            raise UsageError(f"side is {side}; a tower of gradients takes multiples of {CELLS}")
        number = CELLS * CELLS * (DIRECTIONS + 3) + LEVELS**3
        self.map = nn.Sequential(nn.LayerNorm(number, elementwise_affine=False), nn.Linear(number, width))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.map(edges_and_colours(pixel_values))[:, None]  # type: ignore[no-any-return]

    def pooled(self, patches_NPW: torch.Tensor) -> torch.Tensor:
        """(N, width)"""
        return patches_NPW[:, 0]


class BagTower(nn.Module):
    """A text is the sum of its tokens, whatever their order: `forward` gives their vectors (N, L, width)."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.vectors.weight, std=width**-0.5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.vectors(ids)  # type: ignore[no-any-return]

    def pooled(self, hidden_NLW: torch.Tensor, is_word_NL: torch.Tensor) -> torch.Tensor:
        """(N, width), of the tokens that are neither start, end nor padding."""
        return (hidden_NLW * is_word_NL[..., None]).sum(1)


def edges_and_colours(pixels_NCHW: torch.Tensor) -> torch.Tensor:
    """(N, 768): square roots of the shares that each cell's eight directions of edges have of the edges of the image,
    mean red, green and blue of each cell, and square roots of the shares of 64 colours in the whole image."""
    number, size = len(pixels_NCHW), pixels_NCHW.shape[-1] // CELLS
    grey = nn.functional.pad(pixels_NCHW.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")[:, 0]
    down, right = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1], grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    turn = torch.atan2(down, right).remainder(math.pi) * (DIRECTIONS / math.pi)
    direction = turn.long().clamp(max=DIRECTIONS - 1)
    edges = pixels_NCHW.new_zeros(number, DIRECTIONS, *down.shape[1:])
    edges.scatter_(1, direction[:, None], torch.hypot(down, right)[:, None])
    edges_ND, means_ND = (nn.functional.avg_pool2d(each, size).flatten(1) for each in (edges, pixels_NCHW))
    level = ((pixels_NCHW + 1) / 2 * LEVELS).long().clamp(0, LEVELS - 1)
    colour = ((level[:, 0] * LEVELS + level[:, 1]) * LEVELS + level[:, 2]).flatten(1)
    colours_ND = pixels_NCHW.new_zeros(number, LEVELS**3)
    colours_ND.scatter_add_(1, colour, pixels_NCHW.new_full(colour.shape, 1 / colour.shape[1]))
    edges_ND = edges_ND / edges_ND.sum(1, keepdim=True).clamp(min=1e-6)
    return torch.cat([edges_ND.sqrt(), means_ND * COARSE, colours_ND.sqrt()], 1)
