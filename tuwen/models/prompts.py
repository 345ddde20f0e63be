"""Names as vectors: the mean of what an encoder makes of several sentences with the name in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tuwen.corpus.vectors import unit
from tuwen.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.models.encoder import Encoder

PROMPTS = ("a photo of {}.", "a picture of {}.", "{}")
_MOST_BYTES = 256 << 20  # of vectors that a process keeps


def check_prompts(prompts: Sequence[str]) -> None:
    """`ValueError` unless each sentence has exactly one place for a name."""
    for prompt in prompts:
        if prompt.count("{}") != 1:
            raise ValueError(f"prompt {prompt!r} must hold {{}} once, where the name goes")
    if not prompts:
        raise ValueError("give at least one prompt, e.g. '{}'")


def check_width(model: str, width: int, stored: int) -> None:
    """`UsageError` unless vectors of `model` can be compared with the stored ones."""
    if width != stored:
        raise UsageError(
            f"model {model!r} makes vectors of {width} numbers, the embeddings have {stored}; name the model of the "
            "stage image.embedding"
        )


class Names:
    """Vectors of names, each computed once while it is kept. `encoder` gives the vectors of sentences.

    Ensembles of prompts: <https://arxiv.org/abs/2103.00020>, section 3.1.4.
    """

    def __init__(self, encoder: Encoder, prompts: Sequence[str]) -> None:
        self._encoder, self._prompts = encoder, tuple(prompts)
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._most = max(1, _MOST_BYTES // (4 * encoder.dim))

    def vectors(self, names: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """(N, dim), each of length 1."""
        distinct = list(dict.fromkeys(names))
        new = [name for name in distinct if name not in self._known]
        sentences = [prompt.replace("{}", name) for name in new for prompt in self._prompts]
        if new:
            encoded = self._encoder.texts(sentences, batch_size).reshape(len(new), len(self._prompts), -1)
            self._known.update(zip(new, unit(encoded.mean(axis=1)), strict=True))
        found = np.array([self._known[name] for name in names], np.float32).reshape(len(names), self._encoder.dim)
        for name in distinct:
            self._known.move_to_end(name)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found
