"""What frozen features of images tell, by logistic regression on some of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError, missing_extra
from tuwen.evaluations.measured import Items
from tuwen.evaluations.zero_shot import averaged
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class LinearProbe:
    """Share of test images whose `label` a logistic regression over the image tower's features tells.

    It is fitted on `num_examples` training images, `per_class` of each class where that is said (few shots), drawn by
    `seed`. `strengths`: inverse penalties; the one is taken that, fitted on the other examples, tells most of a fifth
    of them, the smallest of equals. Few shots give a fifth of each class, at least one, so a single shot leaves nothing
    to choose by, and needs a single strength. Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 3.2.
    """

    label: str
    num_examples: int = 2_000
    per_class: int | None = None
    strengths: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0)
    average: Literal["micro", "macro"] = "macro"
    seed: int = 0
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        try:
            from sklearn.linear_model import LogisticRegression
            from sklearn.preprocessing import StandardScaler
        except ImportError:
            raise missing_extra("classifier", "scikit-learn") from None
        labels = np.array(list(train[self.label]), dtype=object).astype(str)
        rows = self._rows(labels)
        if len(set(labels[rows].tolist())) < 2:
            raise UsageError(f"linear_probe: {len(rows)} training examples have fewer than two values of {self.label}")
        scaler = StandardScaler().fit(vectors := model.image_features(train[self.image][rows]))
        vectors, known = scaler.transform(vectors), labels[rows]

        def fitted(strength: float, part: Any = slice(None)) -> Any:
            return LogisticRegression(C=strength, max_iter=500).fit(vectors[part], known[part])

        scores = dict.fromkeys(self.strengths, 0.0)
        if len(scores) > 1:
            held = self._held(known)
            scores = {one: fitted(one, ~held).score(vectors[held], known[held]) for one in scores}
        probe = fitted(max(scores, key=lambda strength: (scores[strength], -strength)))
        told = probe.predict(scaler.transform(model.image_features(test[self.image])))
        truth = np.array(list(test[self.label]), dtype=object).astype(str)
        return Items({"correct": told == truth, "class": np.unique(truth, return_inverse=True)[1]})

    def _rows(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        order = np.random.default_rng(self.seed).permutation(len(labels))
        if self.per_class is None:
            return order[: self.num_examples]
        chosen = [order[labels[order] == name][: self.per_class] for name in sorted(set(labels.tolist()))]
        return np.concatenate(chosen)

    def _held(self, known: NDArray[Any]) -> NDArray[np.bool_]:
        """The examples that strengths are judged by; the others have two classes or more."""
        held = np.zeros(len(known), bool)
        if self.per_class is None:
            held[: max(1, len(known) // 5)] = True
        else:
            for places in (np.flatnonzero(known == name) for name in np.unique(known)):
                held[places[: max(1, len(places) // 5)] if len(places) > 1 else places[:0]] = True
        if not held.any() or len(set(known[~held].tolist())) < 2:
            raise UsageError(f"linear_probe: {len(known)} examples are too few to choose a strength by; give one")
        return held

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return averaged(items["correct"][indices], items["class"][indices], self.average)
