"""A linear classifier of texts over hashed features: sequences of one to four characters, and words.

A feature is one of 2^16 places of a weight vector. A text's score is a logistic function of the sum of its features'
weights by the square root of their number. Trained by scikit-learn, applied by numpy alone. Weinberger et al. 2009,
https://arxiv.org/abs/0902.2206.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.errors import missing_extra
from tuwen.models.characters import grams_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = NDArray[np.float32]

BITS = 16
_FOLDS = 5
_LONGEST_GRAM = 4
_WORD_FACTOR = 0x9E3779B97F4A7C15


def features(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all features of all texts, and the text of each, ascending within each kind of feature."""
    grams, is_event, rows = grams_of(texts)
    kinds = [(keys >> np.uint32(32 - BITS)).astype(np.int64)[is_event] for keys in grams[:_LONGEST_GRAM]]
    places, owners = np.concatenate(kinds), np.tile(rows[is_event], _LONGEST_GRAM)
    words, of_word = _words(texts)
    return np.concatenate([places, words]), np.concatenate([owners, of_word])


def _words(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words by white space, each as a sum over its characters that knows their order."""
    joined = " ".join([*texts, ""]) if texts else ""
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    sizes = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    owners = np.repeat(np.arange(len(texts)), sizes)
    inside = codes != 32
    starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]])) if len(codes) else np.empty(0, np.int64)
    word = np.cumsum(np.bincount(starts, minlength=len(codes)))[inside] - 1
    offsets = np.flatnonzero(inside) - starts[word] if len(starts) else np.empty(0, np.int64)
    with np.errstate(over="ignore"):
        mixed = (codes[inside] + np.uint64(1)) * (offsets.astype(np.uint64) * np.uint64(2) + np.uint64(_WORD_FACTOR))
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(_WORD_FACTOR)
        sums = np.zeros(len(starts), dtype=np.uint64)
        np.add.at(sums, word, mixed)
    return (sums >> np.uint64(64 - BITS)).astype(np.int64), owners[starts]


def score(texts: Sequence[str], weights: Weights, intercept: float) -> NDArray[np.float64]:
    """Probability of the positive class for each text."""
    places, owners = features(texts)
    sums = np.bincount(owners, weights=weights[places].astype(np.float64), minlength=len(texts))
    sizes = np.bincount(owners, minlength=len(texts))
    result: NDArray[np.float64] = 1 / (1 + np.exp(-(sums / np.sqrt(np.maximum(sizes, 1)) + intercept)))
    return result


def train(texts: Sequence[str], labels: Sequence[bool]) -> tuple[Weights, float, float]:
    """(weights, intercept, cross-validated area under the ROC curve) of distinct texts, in the order of the texts.

    The area is that of five folds; NaN where a class has fewer texts than that.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
    except ImportError:
        raise missing_extra("classifier", "scikit-learn") from None
    truth = np.asarray(labels, dtype=np.int64)
    matrix = _matrix(texts)
    model: Any = LogisticRegression(C=10.0, solver="liblinear", class_weight="balanced", random_state=0, max_iter=200)
    area = float("nan")
    if min(np.bincount(truth, minlength=2)) >= _FOLDS:
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        guessed = cross_val_predict(model, matrix, truth, cv=folds, method="decision_function")
        area = float(roc_auc_score(truth, guessed))
    model.fit(matrix, truth)
    return model.coef_[0].astype(np.float32), float(model.intercept_[0]), area


def _matrix(texts: Sequence[str]) -> Any:
    from scipy.sparse import csr_matrix

    places, owners = features(texts)
    sizes = np.bincount(owners, minlength=len(texts))
    values = 1 / np.sqrt(sizes[owners])
    return csr_matrix((values, (owners, places)), shape=(len(texts), 1 << BITS))
