"""What an image shows, of a list of categories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.models.encoder import BATCH, encoder, encoder_hash
from tuwen.models.prompts import PROMPTS, Names, check_prompts, check_width
from tuwen.stages.concepts.category import SHIPPED, read_categories
from tuwen.stages.concepts.entries import digest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Category:
    """Subject of an image by a dual encoder, zero-shot: the category whose name lies nearest to its embedding.

    `image_category`             one of the names of `categories`; null without an embedding
    `image_category_confidence`  its share of the softmax over all categories of `scale` * cosine, above 0 and at most
                                 1, null as above. No calibrated probability: a model that was never asked anything
                                 else always finds one of them likely

    `categories` is a file as `concepts.category` reads it (YAML or JSON, of which only the names count here), by
    default the nineteen shipped ones. A category's vector is the mean over `prompts`, of which each has one place `{}`
    for its name; for a model of another language give names and prompts in that language. `model` has to be the one
    that made `embedding`.

    CLIP's zero-shot classifier: https://arxiv.org/abs/2103.00020, section 3.1. Categories: WuDaoMM,
    https://arxiv.org/abs/2203.11480.
    """

    model: str
    categories: str | None = None
    prompts: tuple[str, ...] = PROMPTS
    scale: float = 100.0
    device: str = "cpu"
    batch_size: int = BATCH

    table = "images"
    reads = ("embedding",)
    writes = pa.schema([("image_category", pa.string()), ("image_category_confidence", pa.float32())])

    def __post_init__(self) -> None:
        check_prompts(self.prompts)
        if self.batch_size < 1 or not self.scale > 0:
            raise ValueError(f"batch_size must be at least 1 and scale above 0, got {self}")

    def model_hash(self) -> str:
        """Digests of the model and of the list."""
        return f"{encoder_hash(self.model)} {digest_of(self.categories or SHIPPED)}"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        embeddings = batch["embedding"]
        if embeddings.null_count == batch.num_rows:
            return pa.record_batch([pa.nulls(batch.num_rows, field.type) for field in self.writes], schema=self.writes)
        names, vectors = _categories(self, self.model_hash())
        images = vectors_of(embeddings)[0].astype(np.float64)
        check_width(self.model, vectors.shape[1], images.shape[1])
        logits = self.scale * (images @ vectors.T.astype(np.float64))
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        unknown = embeddings.is_null().to_numpy(zero_copy_only=False)
        best = pa.array(names).take(pa.array(logits.argmax(axis=1), mask=unknown))
        return pa.record_batch(
            [best, pa.array((1 / odds.sum(axis=1)).astype(np.float32), mask=unknown)], schema=self.writes
        )


@lru_cache(maxsize=2)
def _categories(stage: Category, digest: str) -> tuple[list[str], NDArray[np.float32]]:
    """Names and their vectors; `digest` is that of model and list."""
    names = list(read_categories(stage.categories or SHIPPED))
    encode = Names(encoder(stage.model, stage.device), stage.prompts)
    return names, encode.vectors(names, stage.batch_size)
