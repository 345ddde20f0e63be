"""The vector of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.models.encoder import BATCH, encoder, encoder_hash, encoder_shape
from tuwen.stages.embeddings import EmbeddingColumn, embeddings_of

if TYPE_CHECKING:
    from tuwen.stages.image.pixels import Decoded


@dataclass(frozen=True)
class Embedding:
    """Vector of an image by the image tower of a dual encoder that the user has.

    `embedding`  of Euclidean length 1 before it is rounded to halves, as many numbers as the model has dimensions;
                 null where the image cannot be decoded and where the model overflows

    `model` is a folder with config.json, weights, tokenizer and image processor, or a name whose files lie in the
    local cache of the Hugging Face hub: CLIP, Chinese-CLIP, AltCLIP, SigLIP, SigLIP 2 and other dual encoders of
    transformers, and checkpoints of open_clip. Nothing is downloaded. `device` is torch's: cpu, cuda; beyond the CPU
    it computes in half precision. `batch_size` images make a pass. Memory: the weights as float32 in each worker
    process, and 2 bytes a dimension of each image on disk. `pip install 'tuwen[transformers]'` brings what it needs. A
    model that is not there or does not load ends the build.

    CLIP: https://arxiv.org/abs/2103.00020. SigLIP: https://arxiv.org/abs/2303.15343. **Differs from the paper:** images
    are decoded at the smallest scale that still has the model's size, and lie upright over white.
    """

    table = "images"
    reads = ("bytes",)
    writes = EmbeddingColumn("embedding")

    model: str
    device: str = "cpu"
    batch_size: int = BATCH

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name a folder or a model of the Hugging Face hub, got ''")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    @property
    def pixels(self) -> int:
        """The shorter side that the model's preprocessing makes of an image."""
        return encoder_shape(self.model)[1]

    def model_hash(self) -> str:
        """SHA-256 of weights, configuration, preprocessing and tokenizer."""
        return encoder_hash(self.model)

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded]) -> pa.RecordBatch:
        images = [decoded.image for decoded in pixels if decoded.image is not None]
        vectors = encoder(self.model, self.device).images(images, self.batch_size)
        decoded = np.array([each.image is not None for each in pixels], dtype=bool)
        rows = np.where(decoded, np.cumsum(decoded) - 1, -1)
        return pa.record_batch([embeddings_of(vectors, rows, self.writes.field(0).type)], schema=self.writes)
