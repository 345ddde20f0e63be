"""How well a text fits its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import cosines, vectors_of


@dataclass(frozen=True)
class Similarity:
    """Cosine of the text's vector and the image's, which `text.embedding` and `image.embedding` compute.

    `similarity`  -1 to 1; null where one of the two has no vector. Its scale is the model's own: compare within a model
                  and, for a model that was not trained in all languages alike, within a language

    Both stages need the same `model`. LAION-400M keeps pairs of at least 0.3 by CLIP's ViT-B/32:
    https://arxiv.org/abs/2111.02114. LAION-5B 0.28 for English and 0.26 for other languages:
    https://arxiv.org/abs/2210.08402.
    """

    table = "pairs"
    reads = ("text_embedding", "image.embedding")
    writes = pa.schema([("similarity", pa.float32())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        (texts, has_text), (images, has_image) = (vectors_of(batch[name]) for name in self.reads)
        found = cosines(texts, images)
        known = has_text & has_image & np.isfinite(found)
        similarity = pa.array(np.where(known, found, 0).clip(-1, 1), pa.float32(), mask=~known)
        return pa.record_batch([similarity], schema=self.writes)
