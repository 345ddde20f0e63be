"""Texts as the mean of their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WordMean:
    """The vector of a text is the mean, of length 1, of those of its words alone: for models that learnt from bags of
    words, which know no others."""

    def __call__(self, model: Any) -> Any:
        return _WordMean(model)


class _WordMean:
    """The model in all but its texts."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        bags = [sorted(set(text.lower().split())) or [""] for text in texts]
        words = sorted(set().union(*bags))
        vectors = dict(zip(words, self._model.texts(words), strict=True))
        means = np.stack([np.mean([vectors[word] for word in bag], axis=0) for bag in bags])
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
