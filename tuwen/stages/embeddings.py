"""Columns of embeddings: one vector of halves a row, as long as those of the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.models.encoder import encoder_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EmbeddingColumn:
    """`writes` of a stage with a parameter `model`: a column as wide as the vectors of the model.

    On the class, where no model is known, it is a list of any length.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, stage: Any, owner: type) -> pa.Schema:
        kind = pa.list_(pa.float16()) if stage is None else pa.list_(pa.float16(), encoder_shape(stage.model)[0])
        return pa.schema([(self._name, kind)])


def embeddings_of(vectors: NDArray[np.float32], rows: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    """A column of vectors. `rows`: for each its place in `vectors`, or -1 for null; null too what is not finite."""
    known = np.array(rows >= 0)
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    known[known] = finite[rows[known]]
    halves = np.zeros((len(rows), kind.list_size), np.float16)
    halves[known] = vectors[rows[known]]
    return pa.FixedSizeListArray.from_arrays(pa.array(halves.reshape(-1)), type=kind, mask=pa.array(~known))
