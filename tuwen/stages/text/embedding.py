"""The vector of a text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tuwen.models.encoder import BATCH, encoder, encoder_hash
from tuwen.stages.embeddings import EmbeddingColumn, embeddings_of


@dataclass(frozen=True)
class Embedding:
    """Vector of a text by the text tower of a dual encoder that the user has.

    `text_embedding`  of Euclidean length 1 before it is rounded to halves, as many numbers as the model has dimensions;
                      null where the text is null and where the model overflows. An empty text has a vector too

    Texts are cut at the model's limit: 77 tokens for CLIP, 64 for SigLIP, at most 512 for others. `model`, `device` and
    `batch_size` are those of `image.embedding`; with the same model, vectors of texts and images share a space. Equal
    texts are encoded once a batch of rows. Memory: the weights as float32 in each worker process, and 2 bytes a
    dimension of each pair on disk.

    CLIP: https://arxiv.org/abs/2103.00020. Chinese-CLIP: https://arxiv.org/abs/2211.01335. SigLIP 2:
    https://arxiv.org/abs/2502.14786.
    """

    table = "pairs"
    reads = ("text",)
    writes = EmbeddingColumn("text_embedding")

    model: str
    device: str = "cpu"
    batch_size: int = BATCH

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name a folder or a model of the Hugging Face hub, got ''")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def model_hash(self) -> str:
        """SHA-256 of weights, configuration, preprocessing and tokenizer."""
        return encoder_hash(self.model)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch["text"].cast(pa.string()).dictionary_encode()
        vectors = encoder(self.model, self.device).texts(texts.dictionary.to_pylist(), self.batch_size)
        rows = np.asarray(texts.indices.fill_null(-1).to_numpy(), dtype=np.int64)
        return pa.record_batch([embeddings_of(vectors, rows, self.writes.field(0).type)], schema=self.writes)
