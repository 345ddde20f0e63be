"""How much generated captions share with true ones, in words or characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations import ngrams
from tuwen.evaluations.measured import Items, rows_where
from tuwen.models.columns import Columns, chosen


@dataclass(frozen=True)
class CaptionSimilarity:
    """BLEU-4 and chrF2 of all captions together (0 to 1), or the mean of CIDEr-D (0 to 10), with one reference each.

    By the formulas of `tuwen.evaluations.ngrams`: small enough to be read, and no other tokenizer is asked. Chinese is
    compared by characters. Document frequencies of CIDEr are those of the test's references.
    """

    measure: Literal["bleu", "chrf", "cider"] = "chrf"
    text: str = "text"
    image: str = "image"
    tokens: int = 32
    num_items: int | None = None

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        rows = rows_where(test, None)[: self.num_items]
        true = list(chosen(test[self.text], rows))
        told = model.captions(chosen(test[self.image], rows), tokens=self.tokens)
        if self.measure == "chrf":
            pairs = [
                (list("".join(one.split())), list("".join(two.split()))) for one, two in zip(told, true, strict=True)
            ]
            return Items({"counts": np.stack([ngrams.counts(*pair, 6) for pair in pairs])}, rows=rows)
        words = [(ngrams.words_of(one), ngrams.words_of(two)) for one, two in zip(told, true, strict=True)]
        if self.measure == "bleu":
            return Items({"counts": np.stack([ngrams.counts(*pair, 4) for pair in words])}, rows=rows)
        return Items({"score": ngrams.cider([one for one, _ in words], [two for _, two in words])}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        if self.measure == "cider":
            return float(items["score"][indices].mean())
        return (ngrams.bleu if self.measure == "bleu" else ngrams.chrf)(items["counts"][indices])
