"""Texts in several templates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations.zero_shot import class_vectors


@dataclass(frozen=True)
class PromptEnsemble:
    """The vector of a text is the mean, of length 1, of those of all `prompts` with the text in the place `{}`.

    Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 3.1.4.
    """

    prompts: tuple[str, ...] = ("{}",)

    def __call__(self, model: Any) -> Any:
        return _PromptEnsemble(model, self.prompts)


class _PromptEnsemble:
    """The model in all but its texts."""

    def __init__(self, model: Any, prompts: Sequence[str]) -> None:
        self._model, self._prompts = model, prompts

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return class_vectors(self._model, texts, self._prompts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
