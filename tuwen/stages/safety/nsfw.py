"""How likely an image is not safe for work."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.models.head import file_hash
from tuwen.stages.heads import check, scores_of


@dataclass(frozen=True)
class Nsfw:
    """How likely an image shows what is not safe for work, by a head on its embedding.

    `nsfw_score`  0 to 1 with a sigmoid output, 1: surely; null without an embedding. LAION calls 0.5 and more unsafe

    `head` is a file of weights on `embedding` (.npz, .safetensors, .pth, or one that
    `tuwen train head` made of labels). It has to be of the model that made the embeddings. `activation` (none, relu)
    and `output` (number, sigmoid) say what is between and behind its layers, where the file does not.

    LAION-5B, section 3.2: https://arxiv.org/abs/2210.08402
    """

    head: str
    activation: str = "relu"
    output: str = "sigmoid"

    table = "images"
    reads = ("embedding",)
    writes = pa.schema([("nsfw_score", pa.float32())])

    def __post_init__(self) -> None:
        check(self.activation, self.output)

    def model_hash(self) -> str:
        """SHA-256 of the head's file."""
        return file_hash(self.head)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return scores_of(batch["embedding"], self.head, self.activation, self.output, self.writes)
