"""Columns of vectors as matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def vectors_of(column: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (N, dim) of a column of embeddings, and which of the rows have one; the others hold anything."""
    if not pa.types.is_fixed_size_list(column.type):
        raise UsageError(f"a column of {column.type} holds no embeddings: those are lists of one length")
    width = column.type.list_size
    flat = column.values.slice(column.offset * width, len(column) * width)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    values = flat.fill_null(0) if flat.null_count else flat
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float32).reshape(-1, width), known


def unit_vectors_of(column: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """As `vectors_of`, each at length 1; what is not finite or zero counts as no vector, and is zero."""
    values, known = vectors_of(column)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        known = known & np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)
        return np.where(known[:, None], values / lengths, 0), known


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1; zeros stay zeros."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / lengths, dtype=np.float32)


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
