"""Towers: small networks for images, texts and sequences, with random weights, to be trained.

`vit`, texts and language are classes of transformers, so that what was trained is stored as others read it; `conv` is
the quick one: on small drawn images it learns from a tenth of the examples. `gradients` and `bag` are for few real
pairs (`tuwen.models.plain_towers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from tuwen.errors import UsageError
from tuwen.models.plain_towers import BagTower, GradientTower

STRICT = {"extra": "forbid"}  # a misspelt size is an error
Size = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class ImageTower:
    """Images of `side` pixels to `num_patches` vectors of `width` numbers.

    `conv` halves the image with each of its layers until 4 × 4 patches are left; `vit` has `layers` of attention over
    patches of `patch` pixels; `gradients` maps edges and colours, which are not learnt, to one vector. `pool`: how
    `conv` makes one vector of its patches: from all `places`, which keeps where things are, or by the `max` over them,
    which learns what they are from far fewer examples. `heads` of attention: a 32nd of the width where nothing is said.
    """

    __pydantic_config__: ClassVar[Any] = STRICT
    kind: Literal["conv", "vit", "gradients"] = "conv"
    width: Size = 128
    layers: Size = 3
    patch: Size = 8
    pool: Literal["places", "max"] = "places"
    heads: Size | None = None

    def __post_init__(self) -> None:
        if self.kind == "vit":
            attention(self.width, self.layers, self.heads)
        elif self.kind == "conv" and self.width % 4:
            raise UsageError(f"width is {self.width}; the convolutional tower takes multiples of 32, or of 4 below 64")

    def build(self, side: int) -> nn.Module:
        """The tower, its weights drawn from torch's generator."""
        if self.kind == "conv":
            return ConvTower(self.width, side, self.pool)
        if self.kind == "gradients":
            return GradientTower(self.width, side)
        if side % self.patch:
            raise UsageError(f"side is {side} and patch is {self.patch}; patches have to fill the image")
        from transformers import CLIPVisionConfig, CLIPVisionModel

        return CLIPVisionModel(
            CLIPVisionConfig(image_size=side, patch_size=self.patch, **attention(self.width, self.layers, self.heads))
        )

    def num_patches(self, side: int) -> int:
        """How many vectors an image becomes."""
        return {"conv": PATCHES, "gradients": 1}.get(self.kind, (side // self.patch) ** 2)


@dataclass(frozen=True)
class TextTower:
    """Texts to vectors of `width` numbers: `causal`, by so many `layers` of attention that looks back, with `heads` as
    above; `bag`, by the sum of their tokens."""

    __pydantic_config__: ClassVar[Any] = STRICT
    width: Size = 128
    layers: Size = 1
    heads: Size | None = None
    kind: Literal["causal", "bag"] = "causal"

    def __post_init__(self) -> None:
        attention(self.width, self.layers, self.heads)

    def build(self, vocabulary: int, context: int, start: int, end: int) -> nn.Module:
        """The tower, its weights drawn from torch's generator."""
        if self.kind == "bag":
            return BagTower(self.width, vocabulary)
        from transformers import CLIPTextConfig, CLIPTextModel

        config = CLIPTextConfig(
            vocab_size=vocabulary,
            max_position_embeddings=context,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
            **attention(self.width, self.layers, self.heads),
        )
        return CLIPTextModel(config)


@dataclass(frozen=True)
class LanguageTower:
    """A causal language model over texts, patches of images and codes of images; a 32nd of `width` heads."""

    __pydantic_config__: ClassVar[Any] = STRICT
    width: Size = 128
    layers: Size = 3

    def __post_init__(self) -> None:
        if self.width // attention(self.width, self.layers)["num_attention_heads"] % 2:
            raise UsageError(f"width is {self.width}; numbers of a head turn in pairs, so take a multiple of 32")

    def build(self, vocabulary: int, context: int, start: int, end: int) -> nn.Module:
        """The model, its weights drawn from torch's generator."""
        from transformers import LlamaConfig, LlamaForCausalLM

        shape = attention(self.width, self.layers)
        del shape["hidden_act"]
        config = LlamaConfig(
            vocab_size=vocabulary,
            max_position_embeddings=context,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
            tie_word_embeddings=True,
            initializer_range=self.width**-0.5,  # the usual .02 is meant for wide models; narrow ones hardly start
            **shape,
        )
        return LlamaForCausalLM(config)


PATCHES = 16  # of the convolutional tower: 4 × 4


class ConvTower(nn.Module):
    """Strided convolutions down to 4 × 4 patches; group norms, since a batch's statistics would tell its members apart.

    `forward`: float (N, 3, side, side), -1 to 1, to patches (N, 16, width); `pooled` makes one vector of them.
    """

    def __init__(self, width: int, side: int, pool: Literal["places", "max"] = "places") -> None:
        super().__init__()
        halvings = (side // 4).bit_length() - 1
        if side != 4 << halvings:
            raise UsageError(f"side is {side}; the convolutional tower takes 8, 16, 32, 64, …")
        channels = [3, *(max(16, width >> (halvings - layer - 1)) for layer in range(halvings))]
        if any(each % 4 for each in (*channels[1:], width)):
            raise UsageError(
                f"width is {width}; the convolutional tower halves it to groups of 4, so take 32, 64, 96, …"
            )
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.GELU()]
        layers += [nn.Conv2d(channels[-1], width, 3, padding=1), nn.GroupNorm(4, width), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        self.pool = nn.Linear(PATCHES * width, width) if pool == "places" else None

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.layers(pixel_values).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]

    def pooled(self, patches_NPW: torch.Tensor) -> torch.Tensor:
        """(N, width)"""
        if self.pool is None:
            return patches_NPW.amax(1)
        return self.pool(patches_NPW.flatten(1))  # type: ignore[no-any-return]


def attention(width: int, layers: int, heads: int | None = None) -> dict[str, Any]:
    """Parameters that transformers' configurations share; `UsageError` where heads do not share the width evenly."""
    heads = heads or max(1, width // 32)
    if width <= 0 or heads < 0 or width % heads:
        raise UsageError(
            f"width is {width}, for {heads} heads of equal size; take a multiple of 32, or say other heads"
        )
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "hidden_act": "gelu",
    }
