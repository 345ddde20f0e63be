"""Raw texts and synthetic captions in one: the knowledge of the one in the structure of the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuwen.models.columns import Columns
from tuwen.models.features import Batch


@dataclass(frozen=True)
class Fused:
    """The synthetic caption, and in front of it the names that the raw text tells and the caption lacks.

    `names`: a training column of names, whose values are what counts as knowledge; the rest of a raw text, such as what
    its page says, is dropped. A raw text without a name leaves the synthetic caption as it is. `template`: of `names`
    and `caption`. `to`: the column that is written. CapsFusion, Yu et al. 2023, https://arxiv.org/abs/2310.20550.

    Differs from the paper: a template over a list of names does what its language model was asked to do.
    """

    raw: str = "text"
    synthetic: str = "synthetic"
    names: str = "proper_name"
    template: str = "{names}, {caption}"
    to: str = "text"
    known: tuple[str, ...] = ()

    def prepare(self, columns: Columns, seed: int) -> Fused:
        """With the names of all training examples."""
        return replace(self, known=tuple(sorted(set(columns[self.names]))))

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        find = self._pattern()
        pairs = zip(batch[self.raw], batch[self.synthetic], strict=True)
        return {**batch, self.to: [self._fused(find.findall(raw), caption) for raw, caption in pairs]}

    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.known, key=lambda name: (-len(name), name))
        return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})\b")

    def _fused(self, found: Sequence[str], caption: str) -> str:
        new = [name for name in dict.fromkeys(found) if name not in caption]
        return self.template.format(names=" and ".join(new), caption=caption) if new else caption
