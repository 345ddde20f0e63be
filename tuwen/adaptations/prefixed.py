"""Texts with a prefix before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prefixed:
    """All texts of an evaluation begin with `prefix`, such as that of captions in prefix conditioning."""

    prefix: str = "~"

    def __call__(self, model: Any) -> Any:
        return _Prefixed(model, self.prefix)


class _Prefixed:
    """The model in all but its texts."""

    def __init__(self, model: Any, prefix: str) -> None:
        self._model, self._prefix = model, prefix

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._model.texts([f"{self._prefix} {text}" for text in texts])  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
