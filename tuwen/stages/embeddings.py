"""Columns of embeddings: one vector of halves a row, as long as those of the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.errors import UsageError
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


def vectors_of(column: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (N, dim) of a column of embeddings, and which of the rows have one; the others hold anything."""
    if not pa.types.is_fixed_size_list(column.type):
        raise UsageError(f"a column of {column.type} holds no embeddings: those are lists of one length")
    width = column.type.list_size
    flat = column.values.slice(column.offset * width, len(column) * width)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    values = flat.fill_null(0) if flat.null_count else flat
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float32).reshape(-1, width), known


def cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row of `left` with the same row of `right`; NaN where one is zero."""
    if left.shape[1] != right.shape[1]:
        raise UsageError(
            f"embeddings of {left.shape[1]} and {right.shape[1]} numbers cannot be compared; give all stages one model"
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        products = np.einsum("nd,nd->n", left, right, dtype=np.float64)
        lengths = [np.einsum("nd,nd->n", each, each, dtype=np.float64) for each in (left, right)]
        return np.asarray(products / np.sqrt(lengths[0] * lengths[1]))
