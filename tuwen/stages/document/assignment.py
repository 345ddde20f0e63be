"""Which text of a page belongs to which of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.errors import missing_extra
from tuwen.models.encoder import BATCH, encoder, encoder_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["assignment", "greedy"]
MOST_CHOICES = 1 << 22  # of a page: images times texts, 32 MB
_IMAGE_KINDS = ("image", "frame")


@dataclass(frozen=True)
class Assignment:
    """For each image of a page the text that fits it, where no two images share one while there are enough.

    Both columns are lists beside `image_ids`, entry by entry:

    `matched_text_index`  place in `nodes` of the image's text; null for other nodes, for images without a vector or
                          outside `regions`, on pages without a text there, and on those with more than 4,194,304
                          combinations of an image and a text
    `matched_similarity`  cosine of the two vectors, -1 to 1; null where the index is

    Texts are the nodes with text in `regions` (a node without a region counts as main), each as a whole and as far as
    the model reads. With `method: assignment` the sum of similarities is the largest there is (linear-sum assignment);
    with `greedy`, the baseline, the most similar image and text are matched first, then the most similar of those left.
    Where images outnumber texts, those left over take their most similar text. `model` has to be that of
    `image.embedding`; `device` and `batch_size` are as there.

    MMC4: https://arxiv.org/abs/2304.06939. **Differs from the paper:** texts are nodes, not sentences.
    """

    table = "documents"
    reads = ("nodes", "image_ids", "image.embedding")
    writes = pa.schema([("matched_text_index", pa.list_(pa.int32())), ("matched_similarity", pa.list_(pa.float32()))])

    model: str
    device: str = "cpu"
    batch_size: int = BATCH
    method: Method = "assignment"
    regions: tuple[str, ...] = ("main",)

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name a folder or a model of the Hugging Face hub, got ''")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not self.regions:
            raise ValueError("regions must name at least one region, for example main")

    def model_hash(self) -> str:
        """SHA-256 of weights, configuration, preprocessing and tokenizer."""
        return encoder_hash(self.model)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        pages = [self._page(*row) for row in zip(*batch.columns, strict=True)]
        wanted = sorted({text for page in pages if page for text in page.texts.values()})
        vectors = encoder(self.model, self.device).texts(wanted, self.batch_size)
        place = {text: number for number, text in enumerate(wanted) if np.isfinite(vectors[number]).all()}
        rows: list[dict[str, Any]] = [dict.fromkeys(self.writes.names) for _ in pages]
        for row, page, ids in zip(rows, pages, batch["image_ids"], strict=True):
            if not ids.is_valid:
                continue
            indices: list[int | None] = [None] * len(ids)
            similarities: list[float | None] = [None] * len(ids)
            texts = [node for node, text in page.texts.items() if text in place] if page else []
            if page and 0 < len(texts) * len(page.images) <= MOST_CHOICES:
                similarity = page.vectors @ vectors[[place[page.texts[node]] for node in texts]].T
                for image, (node, chosen) in enumerate(zip(page.images, assign(similarity, self.method), strict=True)):
                    indices[node] = texts[chosen]
                    similarities[node] = float(np.clip(similarity[image, chosen], -1, 1))
            row.update(zip(self.writes.names, (indices, similarities), strict=True))
        return pa.RecordBatch.from_pylist(rows, schema=self.writes)

    def _page(self, nodes: pa.Scalar, image_ids: pa.Scalar, embeddings: pa.Scalar) -> _Page | None:
        """What is to be matched on a page; None where there is nothing."""
        if not (nodes.is_valid and image_ids.is_valid and embeddings.is_valid):
            return None
        vectors, known = vectors_of(embeddings.values)
        lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(1))
        known &= lengths > 0
        if not known.any():
            return None
        images, texts = [], {}
        for place, node in enumerate(nodes.as_py()):
            if (node["region"] or "main") not in self.regions:
                continue
            if node["kind"] in _IMAGE_KINDS:
                images += [place] if known[place] else []
            elif (node["text"] or "").strip():
                texts[place] = node["text"]
        unit = (vectors[images] / lengths[images, None]).astype(np.float32)
        return _Page(images, unit, texts) if images else None


@dataclass(frozen=True)
class _Page:
    images: list[int]  # places of nodes
    vectors: NDArray[np.float32]
    texts: dict[int, str]  # by place of the node


def assign(similarity: NDArray[np.float32], method: Method = "assignment") -> NDArray[np.int64]:
    """For each image (row) its text (column): each text once as far as they go, then the most similar."""
    chosen: NDArray[np.int64] = np.asarray(similarity.argmax(axis=1), dtype=np.int64)
    if method == "assignment":
        try:
            from scipy.optimize import linear_sum_assignment
        except ImportError:
            raise missing_extra("transformers", "scipy") from None
        images, texts = linear_sum_assignment(similarity, maximize=True)
        chosen[images] = texts
        return chosen
    left = similarity.astype(np.float64)
    for _ in range(min(left.shape)):
        image, text = np.unravel_index(left.argmax(), left.shape)
        chosen[image] = text
        left[image], left[:, text] = -np.inf, -np.inf
    return chosen
