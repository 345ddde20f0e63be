"""Which of the concepts that a text mentions its image shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.models.encoder import BATCH, encoder, encoder_hash
from tuwen.models.prompts import PROMPTS, Names, check_prompts, check_width


@dataclass(frozen=True)
class Entity:
    """How well each concept that a text mentions fits the image, by a dual encoder, and the one that fits best.

    `concept_similarities`  cosine of the image and each of `concepts`, in their order; null where concepts or the
                            image's embedding are null
    `entities`              concepts whose cosine is at least `min_similarity`, the most similar first; null as above
    `entity`                the most similar of all, whatever its cosine; null where there is none
    `entity_similarity`     its cosine

    A concept's vector is the mean over `prompts`, of which each has one place `{}` for its name. `model` has to be the
    one that made `embedding` (`image.embedding`). What cosine means "shown" differs from model to model and language to
    language: look at pairs around the limit. Memory: the weights, and up to 256 MB of vectors of concepts.

    MOFI, images to entities: https://arxiv.org/abs/2306.07952, section 2. **Differs from the paper:** candidates come
    from a list (`concepts.match`) and not from a linker over a knowledge base, and names go without descriptions.
    """

    model: str
    prompts: tuple[str, ...] = PROMPTS
    min_similarity: float = 0.2
    device: str = "cpu"
    batch_size: int = BATCH

    table = "pairs"
    reads = ("concepts", "image.embedding")
    writes = pa.schema(
        [
            ("concept_similarities", pa.list_(pa.float32())),
            ("entities", pa.list_(pa.string())),
            ("entity", pa.string()),
            ("entity_similarity", pa.float32()),
        ]
    )

    def __post_init__(self) -> None:
        check_prompts(self.prompts)
        if self.batch_size < 1 or not -1 <= self.min_similarity <= 1:
            raise ValueError(f"batch_size must be at least 1 and min_similarity -1 to 1, got {self}")

    def model_hash(self) -> str:
        """SHA-256 of weights, configuration, preprocessing and tokenizer."""
        return encoder_hash(self.model)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        concepts, embeddings = batch["concepts"].to_pylist(), batch["image.embedding"]
        known = embeddings.is_valid().to_numpy(zero_copy_only=False)
        rows = [row for row, found in enumerate(concepts) if found and known[row]]
        lengths = [len(concepts[row]) for row in rows]
        names = [name for row in rows for name in concepts[row]]
        columns: list[list[object]] = [
            [None if found is None or not known[row] else [] for row, found in enumerate(concepts)]
        ]
        columns += [list(columns[0]), [None] * batch.num_rows, [None] * batch.num_rows]
        if rows:
            vectors = _names(self.model, self.model_hash(), self.prompts, self.device).vectors(names, self.batch_size)
            images = vectors_of(embeddings.take(pa.array(rows)))[0]
            check_width(self.model, vectors.shape[1], images.shape[1])
            shown = np.repeat(images, lengths, axis=0)
            cosines = np.einsum("nd,nd->n", shown, vectors, dtype=np.float64).astype(np.float32)
            for row, scores in zip(rows, np.split(cosines, np.cumsum(lengths)[:-1]), strict=True):
                order = np.argsort(-scores, kind="stable")
                columns[0][row] = scores.tolist()
                columns[1][row] = [concepts[row][place] for place in order if scores[place] >= self.min_similarity]
                columns[2][row], columns[3][row] = concepts[row][order[0]], float(scores[order[0]])
        return pa.record_batch(
            [pa.array(values, field.type) for values, field in zip(columns, self.writes, strict=True)],
            schema=self.writes,
        )


@lru_cache(maxsize=1)
def _names(model: str, digest: str, prompts: tuple[str, ...], device: str) -> Names:
    return Names(encoder(model, device), prompts)
