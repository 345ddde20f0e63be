"""DataComp's basic filter: English captions of some length, images of some size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.models.columns import BLOCK, Columns, chosen
from tuwen.proof.curations.filtered import numbers


@dataclass(frozen=True)
class Basic:
    """Examples whose `text` has at least `words` and `characters` and is in `language`, and whose image has at least
    `side` pixels both ways and is at most `ratio` times as long as it is short.

    `width`, `height`: columns of numbers, those of the image as it was found; an example that lacks one goes. `told`:
    a column of languages (BCP 47), where there is one; else the text is judged.

    Gadre et al. 2023 (DataComp), https://arxiv.org/abs/2304.14108, section 4 and appendix; numbers from the authors'
    code. **Differs from the original:** the language is told by script and function words beside the same fastText
    model.
    """

    language: str = "en"
    words: int = 3
    characters: int = 6
    side: float = 200
    ratio: float = 3.0
    width: str = "original_width"
    height: str = "original_height"
    told: str | None = None

    def __call__(self, columns: Columns, seed: int) -> Columns:
        width, height = numbers(columns, self.width), numbers(columns, self.height)
        short, long = np.minimum(width, height), np.maximum(width, height)
        rows = np.flatnonzero((short >= self.side) & (long <= self.ratio * short))
        parts = [self._texts(columns, rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)]
        return columns.subset(np.concatenate([np.empty(0, np.int64), *parts]))

    def _texts(self, columns: Columns, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the rows whose text is good enough."""
        texts = list(chosen(columns["text"], rows))
        is_long = np.array([len(text.split()) >= self.words and len(text) >= self.characters for text in texts])
        rows, texts = rows[is_long], [text for text, found in zip(texts, is_long, strict=True) if found]
        languages = _judged(texts) if self.told is None else list(chosen(columns[self.told], rows))
        return rows[[language == self.language for language in languages]]


def _judged(texts: list[str]) -> list[Any]:
    from tuwen.stages.languages import identify

    return [found.language for found in identify(texts, [{}] * len(texts))]
