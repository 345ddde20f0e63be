"""The vector of an image by the corpus' own scorer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.models.checkpoint import File, content_hash
from tuwen.models.encoder import BATCH
from tuwen.models.scorer import DIM, open_scorer, scorer_files
from tuwen.stages.embeddings import embeddings_of

if TYPE_CHECKING:
    from tuwen.stages.image.pixels import Decoded


@dataclass(frozen=True)
class Scorer:
    """Vector of an image by the model of a scorer that has not seen it.

    `scorer_embedding`  64 numbers of Euclidean length 1 before they are rounded to halves, those of each fold in spaces
                        of their own; null where the image cannot be decoded
    `scorer_fold`       number of the model, from 0; null where the embedding is

    `model` is a folder that `tuwen train scorer` wrote. An image it was trained on, or that was a near-duplicate of
    one then, goes to the model of its fold; others are told apart by their ids. A scorer that learnt nothing ends
    the build, unless `despite_verdict` is set. Images are decoded at short side 128 (`thumbnail`) and reduced to 64 by
    64 pixels. Memory: 150 bytes an image that was trained on, and some MB a model, in each worker process.
    `pip install 'tuwen[transformers]'` brings what it needs.

    Data filtering networks: https://arxiv.org/abs/2309.17425. **Differs from the paper:** the network is trained on the
    corpus itself, and cross-fitted.
    """

    table = "images"
    reads = ("image_id", "bytes")
    pixels = 128
    writes = pa.schema([("scorer_embedding", pa.list_(pa.float16(), DIM)), ("scorer_fold", pa.int8())])

    model: str
    despite_verdict: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name a folder that `tuwen train scorer` wrote, got ''")

    def _files(self) -> tuple[File, ...]:
        return scorer_files(self.model, despite_verdict=self.despite_verdict)

    def model_hash(self) -> str:
        """SHA-256 of all models and of the list of images."""
        return content_hash(self._files())

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded]) -> pa.RecordBatch:
        scorer = open_scorer(self._files())
        vectors = np.zeros((batch.num_rows, DIM), dtype=np.float32)
        folds = np.full(batch.num_rows, -1, dtype=np.int8)
        for row, (image_id, decoded) in enumerate(zip(batch["image_id"].to_pylist(), pixels, strict=True)):
            if image_id is not None and decoded.image is not None:
                folds[row] = scorer.fold(image_id)
        for fold in sorted(set(folds[folds >= 0].tolist())):
            rows = np.flatnonzero(folds == fold)
            images = [image for row in rows if (image := pixels[row].thumbnail) is not None]
            vectors[rows] = scorer.encoder(fold, self.device).images(images, BATCH)
        places = np.where(folds >= 0, np.arange(batch.num_rows), -1)
        embedding = embeddings_of(vectors, places, self.writes.field(0).type)
        return pa.record_batch([embedding, pa.array(folds, pa.int8(), mask=folds < 0)], schema=self.writes)
