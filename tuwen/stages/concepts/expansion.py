"""Concepts that an image shows and its texts do not name, from the texts of similar images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.models.encoder import BATCH, encoder, encoder_hash
from tuwen.models.prompts import Names, check_prompts, check_width
from tuwen.stages.lookup import find_unique

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

_QUERY = """
    select md5_number_lower(image_id) as key, embedding, coalesce(concepts, []) as concepts from images left join (
        select image_id, list(distinct concept order by concept) as concepts from (
            select image_id, unnest(concepts) as concept from pairs where derived_from is null) group by image_id)
    using (image_id) where embedding is not null order by key"""


@dataclass(frozen=True)
class Expansion:
    """Concepts of the neighbours' texts, ranked by how well they fit the image and how well it shows them.

    `expanded_concepts`  up to `num` concepts, the best first, of equal ones the smaller name; null without neighbours
    `expanded_scores`    of each: cos(c, v) / max + cos(c, v) / mean, with c the concept's vector, v the image's, max
                         the largest cosine of v to any candidate, and mean that of cos(c, r) over the neighbours r
                         whose texts mention c, and v itself. 2 is as good as the best candidate and the neighbours
                         that it came from

    Candidates are the concepts (`concepts.match`) that texts of the `neighbours` (`image.neighbours`) mention; with
    `new_only` those of the image's own texts are left out. Those whose cosine to the image is not above 0 are dropped.
    A concept's vector is the mean over `prompts`; `model` has to be the one that made `embedding`. Memory: the weights,
    up to 256 MB of vectors of concepts; on disk 2 bytes per dimension and image for the time of a build.

    CoCu: https://arxiv.org/abs/2309.13505, section 3.2. **Differs from the paper:** the best `num` are taken, as its
    code does by default; the paper draws one from each of three clusters.
    """

    model: str
    num: int = 3
    new_only: bool = True
    prompts: tuple[str, ...] = ("a photo of a {}.",)
    device: str = "cpu"
    batch_size: int = BATCH

    table = "images"
    kind = "corpus"
    reads = ("image_id", "embedding", "neighbours")
    surveys = ("images.image_id", "images.embedding", "pairs.image_id", "pairs.concepts", "pairs.derived_from")
    writes = pa.schema([("expanded_concepts", pa.list_(pa.string())), ("expanded_scores", pa.list_(pa.float32()))])

    def __post_init__(self) -> None:
        check_prompts(self.prompts)
        if min(self.num, self.batch_size) < 1:
            raise ValueError(f"num and batch_size must be at least 1, got {self}")

    def model_hash(self) -> str:
        """SHA-256 of weights, configuration, preprocessing and tokenizer."""
        return encoder_hash(self.model)

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        columns = {"images": ["image_id", "embedding"], "pairs": ["image_id", "concepts", "derived_from"]}
        found = corpus.sql(_QUERY, columns)
        width = getattr(found.schema.field("embedding").type, "list_size", 0)
        types = {"key": pa.uint64(), "embedding": pa.list_(pa.float16(), width), "concepts": pa.list_(pa.string())}
        return found.cast(pa.schema(list(types.items())))

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        names = _names(self.model, self.model_hash(), self.prompts, self.device)
        rows = [self._row(image, neighbours, state, names) for image, neighbours in _asked(batch)]
        return pa.RecordBatch.from_pylist(rows, schema=self.writes)

    def _row(self, image: str, neighbours: list[str] | None, state: pa.Table, names: Names) -> dict[str, Any]:
        if not neighbours or not state.num_rows:
            return {}
        places, (embeddings, found) = find_unique(state, pa.array([image, *neighbours]), [1, 2])
        if places[0] < 0:
            return {}
        own, *others = found.to_pylist()
        vectors = vectors_of(embeddings)[0].astype(np.float64)
        left_out = set(own) if self.new_only else set()
        candidates = sorted({concept for each in others for concept in each or ()} - left_out)
        concepts = names.vectors(candidates, self.batch_size).astype(np.float64)
        check_width(self.model, concepts.shape[1], vectors.shape[1])
        cosines = concepts @ vectors.T  # of each candidate to the image and its neighbours
        holds = np.array([[True, *(concept in (each or ()) for each in others)] for concept in candidates], dtype=bool)
        return _best(candidates, cosines, holds.reshape(cosines.shape), self.num)


def _asked(batch: pa.RecordBatch) -> list[tuple[str, list[str] | None]]:
    known = batch["embedding"].is_valid().to_pylist()
    asked = zip(batch["image_id"].to_pylist(), batch["neighbours"].to_pylist(), known, strict=True)
    return [(image, neighbours if image is not None and is_known else None) for image, neighbours, is_known in asked]


def _best(candidates: list[str], cosines: Any, holds: Any, num: int) -> dict[str, Any]:
    own = cosines[:, 0] if len(candidates) else np.empty(0)
    shown = np.flatnonzero(own > 0)
    if not len(shown):
        return {"expanded_concepts": [], "expanded_scores": []}
    mean = np.where(holds, cosines, 0).sum(axis=1) / holds.sum(axis=1)
    scores = own / own.max() + own / np.maximum(mean, 1e-6)
    order = sorted(shown, key=lambda place: (-scores[place], candidates[place]))[:num]
    return {
        "expanded_concepts": [candidates[place] for place in order],
        "expanded_scores": [float(scores[place]) for place in order],
    }


@lru_cache(maxsize=1)
def _names(model: str, digest: str, prompts: tuple[str, ...], device: str) -> Names:
    return Names(encoder(model, device), prompts)
