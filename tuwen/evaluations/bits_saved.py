"""How much a text tells a model that draws of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items
from tuwen.models.columns import Columns
from tuwen.models.sequences import Piece


@dataclass(frozen=True)
class BitsSaved:
    """Bits per code of the image that its own text saves against another image's text.

    log2 P(codes | own text) - log2 P(codes | other text), divided by the number of codes, and its mean; the end behind
    the codes does not count. `within`: a
    column; the other text is one of an example that is equal in it, such as of the same site, so that knowing the site
    saves nothing; examples that are alone there do not count. The items hold `bits`, what a code costs with its own
    text, too. Needs no truth about the images, so it works on any pairs. `group`: a column; its equal values are drawn
    together when items are resampled.
    """

    text: str = "text"
    image: str = "image"
    within: str | None = None
    num_items: int | None = None
    group: str | None = None
    seed: int = 0

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        texts, images = list(test[self.text])[: self.num_items], test[self.image][: self.num_items]
        groups = list(test[self.within])[: self.num_items] if self.within else [0] * len(texts)
        other = self._others(texts, groups)
        rows = [row for row in range(len(texts)) if other[row] is not None]
        if not rows:
            where = f"with equal {self.within!r} have" if self.within else "have"
            raise UsageError(
                f"bits_saved: no two test examples {where} different texts, so there is nothing to compare"
            )
        if model.network.codebook is None:
            raise UsageError("bits_saved: the network has no codes of images; say codes: {} in its architecture")
        number = model.network.codebook.num_codes

        def nats(of: Any) -> NDArray[np.float64]:
            told = [[Piece(of(row), learnt=False), Piece(images[row], coded=True)] for row in rows]
            return np.asarray(model.log_likelihoods(told, closed=False), np.float64)

        own, others = nats(lambda row: texts[row]), nats(lambda row: other[row])
        found = {"saved": (own - others) / number / math.log(2), "bits": -own / number / math.log(2)}
        items = Items(found, rows=np.array(rows, np.int64))
        return items if self.group is None else items.grouped_by(test[self.group])

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float(items["saved"][indices].mean())

    def _others(self, texts: list[str], groups: list[Any]) -> list[str | None]:
        """A differing text of the same group for each."""
        rng = np.random.default_rng(self.seed)
        members: dict[Any, list[int]] = {}
        for row, group in enumerate(groups):
            members.setdefault(group, []).append(row)
        found: list[str | None] = []
        for row, group in enumerate(groups):
            choices = [other for other in members[group] if texts[other] != texts[row]]
            found.append(texts[choices[int(rng.integers(len(choices)))]] if choices else None)
        return found
