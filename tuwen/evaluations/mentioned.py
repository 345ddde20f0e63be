"""Captions that say a certain thing, such as a name that only knowledge tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations.measured import Items, rows_where
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Mentioned:
    """Share of generated captions that say what `column` holds for their image, as whole words, in whatever case.

    `where`: a column of booleans; only these.
    """

    column: str = "proper_name"
    where: str | None = None
    tokens: int = 24
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        rows = rows_where(test, self.where)
        captions = model.captions(test[self.image][rows], tokens=self.tokens)
        wanted = [str(test[self.column][row]) for row in rows.tolist()]
        pairs = zip(wanted, captions, strict=True)
        found = [
            re.search(rf"(?<!\w){re.escape(name)}(?!\w)", caption, re.IGNORECASE) is not None for name, caption in pairs
        ]
        return Items({"mentioned": np.array(found, bool)}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float(items["mentioned"][indices].mean())
