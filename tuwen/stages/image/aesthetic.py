"""How much people would like to look at an image."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.models.head import file_hash
from tuwen.stages.heads import check, scores_of


@dataclass(frozen=True)
class Aesthetic:
    """How much people would like to look at an image, by a head on its embedding.

    `aesthetic_score`  in the units that the head was trained on, 1 to 10 for LAION's; null without an embedding

    `head` is a file of weights on `embedding` (.npz, .safetensors, .pth, or one that
    `tuwen train head` made of labels). It has to be of the model that made the embeddings. `activation` (none, relu)
    and `output` (number, sigmoid) say what is between and behind its layers, where the file does not.

    LAION-Aesthetics: https://laion.ai/blog/laion-aesthetics/
    """

    head: str
    activation: str = "none"
    output: str = "number"

    table = "images"
    reads = ("embedding",)
    writes = pa.schema([("aesthetic_score", pa.float32())])

    def __post_init__(self) -> None:
        check(self.activation, self.output)

    def model_hash(self) -> str:
        """SHA-256 of the head's file."""
        return file_hash(self.head)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return scores_of(batch["embedding"], self.head, self.activation, self.output, self.writes)
