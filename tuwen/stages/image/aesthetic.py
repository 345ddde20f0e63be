"""How much people would like to look at an image."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.stages.heads import HeadStage


@dataclass(frozen=True)
class Aesthetic(HeadStage):
    """How much people would like to look at an image, by a head on its embedding.

    `aesthetic_score`  in the units that the head was trained on, 1 to 10 for LAION's; null without an embedding

    `head` is a file of weights on `embedding` (.npz, .safetensors, .pth, or one that
    `tuwen train head` made of labels). It has to be of the model that made the embeddings. `activation` (none, relu)
    and `output` (number, sigmoid) say what is between and behind its layers, where the file does not.

    LAION-Aesthetics: https://laion.ai/blog/laion-aesthetics/
    """

    activation: str = "none"
    output: str = "number"

    writes = pa.schema([("aesthetic_score", pa.float32())])
