"""What stages that put a head on the vectors of images have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from tuwen.corpus.vectors import vectors_of
from tuwen.errors import UsageError
from tuwen.models.head import ACTIVATIONS, OUTPUTS, file_hash, head_of


@dataclass(frozen=True)
class HeadStage:
    """A stage that gives one column, `writes`, which a subclass names."""

    head: str
    activation: str = "relu"
    output: str = "sigmoid"

    table = "images"
    reads = ("embedding",)
    writes: ClassVar[pa.Schema]

    def __post_init__(self) -> None:
        for name, value, known in (("activation", self.activation, ACTIVATIONS), ("output", self.output, OUTPUTS)):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; it must be {' or '.join(known)}")

    def model_hash(self) -> str:
        """SHA-256 of the head's file."""
        return file_hash(self.head)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return scores_of(batch["embedding"], self.head, self.activation, self.output, self.writes)


def scores_of(vectors: pa.Array, file: str, activation: str, output: str, writes: pa.Schema) -> pa.RecordBatch:
    """The head's score of each vector; null where there is none. `UsageError` where the widths differ, or
    probabilities are expected of a head that says it gives numbers."""
    head = head_of(file, activation, output)
    if output == "sigmoid" and head.output != "sigmoid":
        raise UsageError(
            f"head {file} was fitted to numbers and gives no probabilities; train it on labels that are true or false, "
            "or say output: number"
        )
    if vectors.null_count == len(vectors):
        return pa.record_batch([pa.nulls(len(vectors), pa.float32())], schema=writes)
    matrix = vectors_of(vectors)[0]
    if matrix.shape[1] != head.width:
        raise UsageError(
            f"head {file} takes vectors of {head.width} numbers, the embeddings have {matrix.shape[1]}; it was made "
            "for another model"
        )
    unknown = vectors.is_null().to_numpy(zero_copy_only=False)
    scores = head(matrix)
    return pa.record_batch([pa.array(scores, mask=unknown | ~np.isfinite(scores))], schema=writes)
