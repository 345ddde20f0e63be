"""`tuwen train head`: a linear head on the embeddings of a corpus' images, from a column that holds labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.vectors import vectors_of
from tuwen.errors import TuwenError, UsageError, missing_extra
from tuwen.models.head import Head, save
from tuwen.stages import stage_that_writes
from tuwen.stages.lookup import keys_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
MIN_LABELS = 20  # of each class: below, a held-out figure says nothing
MOST_LABELS = 200_000
STRENGTH = 100.0  # of the fit against small weights: the vectors have length 1, so each of their numbers is small


@dataclass(frozen=True)
class TrainedHead:
    """What a head was made from and how well it does on images that it has not seen.

    `quality` is the area under the ROC curve for labels that are true or false, and Pearson's correlation for numbers,
    over five folds by the hash of the image's id; the head itself is then fitted to all labels.
    """

    path: str
    label: str
    num_labels: int
    num_true: int | None
    measure: str
    quality: float
    width: int


def train_head(path: str | Path, label: str, to: str | Path, *, embedding: str = "embedding") -> TrainedHead:
    """Fit a head to the images whose column `label` is not null and write it to the file `to` (.npz).

    Booleans, and numbers that are all 0 or 1, give a logistic regression with a sigmoid output, other numbers a ridge
    regression. At most 200,000 labels are used, those with the smallest hashes of their ids. `UsageError` where a
    column is missing or the file is there, `TuwenError` where there are fewer than 20 labels (of each class).
    """
    corpus, target = Corpus.open(path), Path(to)
    if target.suffix != ".npz":
        raise UsageError(f"{target}: a head is written as .npz; name such a file")
    if target.exists():
        raise UsageError(f"{target} is there already; name a new file, so that no score changes behind a recipe's back")
    vectors, labels = _labelled(corpus, label, embedding)
    is_class = labels.dtype == bool
    counts = [int(labels.sum()), int((~labels).sum())] if is_class else [len(labels)]
    if min(counts) < MIN_LABELS:
        told = f"{counts[0]} true and {counts[1]} false ones" if is_class else f"{counts[0]}"
        raise TuwenError(f"images have {told} in {label!r}; at least {MIN_LABELS} are needed (tuwen join brings more)")
    held_out = np.empty(len(labels))
    for fold in range(FOLDS):
        chosen = np.arange(len(labels)) % FOLDS == fold
        held_out[chosen] = _fitted(vectors[~chosen], labels[~chosen])(vectors[chosen])
    head = _fitted(vectors, labels)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    save(head, partial)
    partial.replace(target)
    measure, quality = ("AUC", _auc(held_out, labels)) if is_class else ("correlation", _correlation(held_out, labels))
    return TrainedHead(str(target), label, len(labels), counts[0] if is_class else None, measure, quality, head.width)


def _labelled(corpus: Corpus, label: str, embedding: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Vectors and labels by the hash of the image's id."""
    known = corpus.columns("images")
    for name in (label, embedding):
        if name not in known:
            stage = stage_that_writes("images", name)
            hint = f"add the stage {stage} to the recipe and run tuwen build" if stage else "tuwen join brings it"
            raise UsageError(f"images have no column {name!r}; {hint}")
    kind = corpus.schema("images").field(label).type
    if not (pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise UsageError(f"images.{label} holds {kind}; labels are true or false, or numbers")
    where = f"`{label}` IS NOT NULL AND `{embedding}` IS NOT NULL"
    found = corpus.table("images", ["image_id", label, embedding], where).combine_chunks()
    order = np.argsort(keys_of(found["image_id"].combine_chunks()))[:MOST_LABELS]
    chosen = found.take(pa.array(order))
    labels = chosen[label].to_numpy()
    vectors, _ = vectors_of(chosen[embedding].combine_chunks())
    is_class = pa.types.is_boolean(kind) or set(np.unique(labels)) <= {0, 1}  # CSV files write 0 and 1
    return vectors, labels.astype(bool if is_class else float)


def _fitted(vectors: NDArray[np.float32], labels: NDArray[Any]) -> Head:
    try:
        from sklearn.linear_model import LogisticRegression, Ridge
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise missing_extra("classifier", "scikit-learn") from None
    is_class = labels.dtype == bool
    with threadpool_limits(1):  # sums in one order
        if is_class:
            model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1_000).fit(vectors, labels)
        else:
            model = Ridge(alpha=1 / STRENGTH).fit(vectors, labels)
    weight = np.asarray(model.coef_, dtype=np.float32).reshape(1, -1)
    bias = np.asarray(model.intercept_, dtype=np.float32).reshape(1)
    return Head(((weight, bias),), "none", "sigmoid" if is_class else "number")


def _auc(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _correlation(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    if np.ptp(scores) == 0 or np.ptp(labels) == 0:
        return math.nan
    return float(np.corrcoef(scores, labels)[0, 1])
