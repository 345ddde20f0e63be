"""What frozen features of images tell, by logistic regression on some of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import missing_extra
from tuwen.evaluations.measured import Items
from tuwen.evaluations.zero_shot import averaged
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class LinearProbe:
    """Share of test images whose `label` a logistic regression over the image tower's features tells.

    It is fitted on `num_examples` training images, `per_class` of each class where that is said (few shots), drawn by
    `seed`. `strengths`: inverse penalties, of which the one that is best on a fifth of the examples is taken. Radford
    et al. 2021, https://arxiv.org/abs/2103.00020, section 3.2.
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
        scaler = StandardScaler().fit(vectors := model.image_features(train[self.image][rows]))
        vectors, known = scaler.transform(vectors), labels[rows]

        def fitted(strength: float, part: slice) -> Any:
            return LogisticRegression(C=strength, max_iter=500).fit(vectors[part], known[part])

        fifth = max(1, len(rows) // 5)
        scores = (
            {
                strength: fitted(strength, slice(fifth, None)).score(vectors[:fifth], known[:fifth])
                for strength in self.strengths
            }
            if len(self.strengths) > 1 and self.per_class is None
            else dict.fromkeys(self.strengths, 0.0)
        )
        probe = fitted(max(scores, key=lambda strength: (scores[strength], -strength)), slice(None))
        told = probe.predict(scaler.transform(model.image_features(test[self.image])))
        truth = np.array(list(test[self.label]), dtype=object).astype(str)
        return Items({"correct": told == truth, "class": np.unique(truth, return_inverse=True)[1]})

    def _rows(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        order = np.random.default_rng(self.seed).permutation(len(labels))
        if self.per_class is None:
            return order[: self.num_examples]
        chosen = [order[labels[order] == name][: self.per_class] for name in sorted(set(labels.tolist()))]
        return np.concatenate(chosen)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return averaged(items["correct"][indices], items["class"][indices], self.average)
