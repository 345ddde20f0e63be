"""Classes told by their names alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items, flags
from tuwen.models.columns import Columns, chosen


@dataclass(frozen=True)
class ZeroShot:
    """Share of images whose class has the nearest of all class vectors.

    `label`: a column of strings, the name of each image's class. A class' vector is the mean, normalised again, of its
    prompts' normalised vectors: `prompts` have a place `{}` for the name. `average`: over images (`micro`) or classes
    (`macro`). `where`: a column of booleans; only these images, against all classes. `unless`: another, of images
    that are left out. `classes`: all names, where the test does not hold each; two of one name are one class.

    Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 3.1.
    """

    label: str
    prompts: tuple[str, ...] = ("{}",)
    average: Literal["micro", "macro"] = "macro"
    where: str | None = None
    unless: str | None = None
    classes: tuple[str, ...] = ()
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        labels = np.array(list(test[self.label]), dtype=object)
        wanted = flags(test, self.where) if self.where else np.ones(len(labels), bool)
        rows = np.flatnonzero(wanted & ~flags(test, self.unless) if self.unless else wanted)
        if not len(rows):
            raise UsageError(f"no test image is left with where = {self.where}, unless = {self.unless}")
        classes = list(self.classes) or sorted(set(labels.tolist()))
        place = {name: number for number, name in reversed(list(enumerate(classes)))}
        if strange := sorted({str(label) for label in labels[rows] if label not in place}):
            raise UsageError(
                f"{self.label} = {strange[0]!r} is none of the {len(classes)} classes; add it to `classes`"
            )
        vectors = class_vectors(model, classes, self.prompts)
        nearest = (model.images(chosen(test[self.image], rows)) @ vectors.T).argmax(1)
        told = np.array([place[name] for name in classes])[nearest]  # equal names tie, and are one class
        truth = np.array([place[label] for label in labels[rows]])
        return Items({"correct": told == truth, "class": truth}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return averaged(items["correct"][indices], items["class"][indices], self.average)


def class_vectors(model: Any, classes: Sequence[str], prompts: Sequence[str]) -> NDArray[np.float32]:
    """(classes, dim), of length 1: the normalised mean over prompts."""
    texts = [prompt.replace("{}", name) for name in classes for prompt in prompts]
    vectors = model.texts(texts).reshape(len(classes), len(prompts), -1).mean(1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)  # type: ignore[no-any-return]


def averaged(correct: NDArray[Any], classes: NDArray[Any], average: str) -> float:
    """Mean over items, or over the means of classes that occur."""
    if average == "micro":
        return float(correct.mean())
    _, number = np.unique(classes, return_inverse=True)
    return float((np.bincount(number, correct) / np.bincount(number)).mean())
