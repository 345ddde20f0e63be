"""Whether what a model draws is what the text says."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations.attribute_classifier import AttributeClassifier
from tuwen.evaluations.measured import Items, rows_where
from tuwen.models.columns import Columns

_fitted: OrderedDict[str, AttributeClassifier] = OrderedDict()  # the last ones: arms of a seed share their images


@dataclass(frozen=True)
class DrawnAttributes:
    """Share of `attributes` of the text that a classifier finds in the image which the model draws of it.

    The classifier is trained on `num_examples` training images, by `steps` steps; `attributes` are columns of strings.
    The items hold also what it finds in the true images, as `true_ATTRIBUTE`: no drawing can be expected to do better.
    `at_once`: codes in parallel, for models that have learnt `masked_codes`, and not one after the other.
    `num_items`: the first so many examples. `where`: a column of booleans; only these.
    """

    attributes: tuple[str, ...] = ("colour", "shape")
    text: str = "text"
    image: str = "image"
    num_items: int | None = None
    where: str | None = None
    num_examples: int = 4_000
    steps: int = 600
    at_once: bool = False
    seed: int = 0

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        rows = rows_where(test, self.where)[: self.num_items]
        texts = [test[self.text][row] for row in rows.tolist()]
        draw = model.drawings_at_once if self.at_once else model.drawings
        drawings = draw(texts, seed=self.seed)
        classifier = self._classifier(train)
        drawn, true = classifier.told(drawings), classifier.told(test[self.image][rows])
        found = {}
        for name in self.attributes:
            asked = np.array([test[name][row] for row in rows.tolist()])
            found[name] = drawn[name] == asked
            found[f"true_{name}"] = true[name] == asked
        return Items(found, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float(np.mean([items[name][indices].mean() for name in self.attributes]))

    def _classifier(self, train: Columns) -> AttributeClassifier:
        rows = np.random.default_rng(self.seed).permutation(train.num_rows)[: self.num_examples]
        taken = train.take(rows)
        images, labels = taken[self.image], {name: taken[name] for name in self.attributes}
        told = repr((labels, self.steps, self.seed)).encode()
        key = hashlib.sha256(np.ascontiguousarray(images).tobytes() + told).hexdigest()
        if key not in _fitted:
            _fitted[key] = AttributeClassifier.fit(images, labels, steps=self.steps, seed=self.seed)
            if len(_fitted) > 2:
                _fitted.popitem(last=False)
        return _fitted[key]
