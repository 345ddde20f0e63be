"""How likely an image is not safe for work."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.stages.heads import HeadStage


@dataclass(frozen=True)
class Nsfw(HeadStage):
    """How likely an image shows what is not safe for work, by a head on its embedding.

    `nsfw_score`  0 to 1 with a sigmoid output, 1: surely; null without an embedding. LAION calls 0.5 and more unsafe

    `head` is a file of weights on `embedding` (.npz, .safetensors, .pth, or one that
    `tuwen train head` made of labels). It has to be of the model that made the embeddings. `activation` (none, relu)
    and `output` (number, sigmoid) say what is between and behind its layers, where the file does not.

    LAION-5B, section 3.2: https://arxiv.org/abs/2210.08402
    """

    writes = pa.schema([("nsfw_score", pa.float32())])
