"""How well a text fits its image, by the corpus' own scorer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import cosines, vectors_of
from tuwen.models.checkpoint import File, content_hash
from tuwen.models.encoder import BATCH
from tuwen.models.scorer import open_scorer, scorer_files


@dataclass(frozen=True)
class Scorer:
    """Cosine of a text and its image by a scorer that was trained on this corpus, cross-fitted.

    `scorer_similarity`  -1 to 1; null where the text is null or the image has no `scorer_embedding`. The model that
                         `image.scorer` took has not seen the image; the text, where it stands below others too, it may
                         have. Models of two folds differ a little in scale

    `model`, `despite_verdict` and `device` are those of `image.scorer`; the folder has to be the same. Equal texts are
    encoded once a batch of rows. How far the score can be relied on is in the folder's scorer.json: its AUC of right
    against wrong texts of the same host, with an interval.

    Data filtering networks: https://arxiv.org/abs/2309.17425. **Differs from the paper:** the network is trained on the
    corpus itself, and cross-fitted.
    """

    table = "pairs"
    reads = ("text", "image.scorer_embedding", "image.scorer_fold")
    writes = pa.schema([("scorer_similarity", pa.float32())])

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

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        scorer = open_scorer(self._files())
        texts = batch["text"].cast(pa.string())
        images, known = vectors_of(batch["image.scorer_embedding"])
        folds = np.asarray(batch["image.scorer_fold"].cast(pa.int8()).fill_null(-1).to_numpy(), dtype=np.int8)
        known = known & texts.is_valid().to_numpy(zero_copy_only=False) & (folds >= 0) & (folds < scorer.folds)
        found = np.zeros(batch.num_rows, dtype=np.float64)
        for fold in sorted(set(folds[known].tolist())):
            rows = np.flatnonzero(known & (folds == fold))
            distinct = texts.take(pa.array(rows)).dictionary_encode()
            vectors = scorer.encoder(fold, self.device).texts(distinct.dictionary.to_pylist(), BATCH)
            found[rows] = cosines(vectors[distinct.indices.to_numpy()], images[rows])
        known &= np.isfinite(found)
        similarity = pa.array(np.where(known, found, 0).clip(-1, 1), pa.float32(), mask=~known)
        return pa.record_batch([similarity], schema=self.writes)
