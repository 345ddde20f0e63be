"""k-means over vectors of length 1: directions that many of them share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tuwen.corpus.vectors import unit
from tuwen.errors import missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_ROWS = 10  # of the sample for each cluster: fewer would be remembered, not summarised


def sample(batches: Iterable[tuple[NDArray[np.uint64], NDArray[np.float32]]], size: int) -> NDArray[np.float32]:
    """The vectors of the `size` smallest keys, by key: the same in whatever order and cut they come."""
    keys, vectors = np.empty(0, np.uint64), np.empty((0, 0), np.float32)
    for new_keys, new_vectors in batches:
        if not len(new_keys):
            continue
        keys = np.concatenate([keys, new_keys])
        vectors = np.concatenate([vectors, new_vectors]) if vectors.size else new_vectors
        if len(keys) > size:
            chosen = np.argsort(keys, kind="stable")[:size]
            keys, vectors = keys[chosen], vectors[chosen]
    return vectors[np.argsort(keys, kind="stable")]


def fit(vectors: NDArray[np.float32], k: int, seed: int) -> NDArray[np.float32]:
    """Centroids (at most k, width), each of length 1. In one thread, so that sums never change their order.

    There are fewer than `k` where there are fewer than ten vectors for each.
    """
    try:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise missing_extra("classifier", "scikit-learn") from None
    k = max(1, min(k, len(vectors) // MIN_ROWS))
    if not len(vectors):
        return vectors
    with threadpool_limits(1):
        model = KMeans(k, n_init=1, random_state=seed, max_iter=50).fit(vectors)
    return unit(np.asarray(model.cluster_centers_, dtype=np.float32))


def nearest(
    vectors: NDArray[np.float32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each vector its nearest centroid (the first of equal ones) and their cosine.

    In 64 bits: how a product is cut into blocks changes its last bits, and not those that are kept of it.
    """
    cosines = vectors.astype(np.float64) @ centroids.T.astype(np.float64)
    best = cosines.argmax(axis=1) if len(centroids) else np.zeros(len(vectors), dtype=np.int64)
    return best, cosines[np.arange(len(vectors)), best]
