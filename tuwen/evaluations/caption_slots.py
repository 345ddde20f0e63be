"""What captions say of the objects of a scene, right and wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations.measured import Items, rows_where
from tuwen.models.columns import Columns

Slots = set[tuple[str, ...]]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class CaptionSlots:
    """F1, precision or recall of what generated captions say, against the graph of each scene; or `hallucination`, the
    share of objects they name that are not in the image, of which less is better (CHAIR_i; Rohrbach et al. 2018,
    https://arxiv.org/abs/1809.02156).

    `kinds`: attributes of the scene's objects that count. A word of a caption that is a value of one of them, in any
    scene of training or test, is a mention. `bound`: an attribute counts with the object that it stands before, so that
    two objects with each other's colours are wrong. `name`: a column with one more true word, such as a proper name.
    `scene`: column of mappings with `objects`, each a mapping of attributes. `where`: a column of booleans; only these.
    Counts are summed over captions before they are divided. So a caption that names no object counts for nothing in
    `hallucination`, as in CHAIR: read it beside `recall`, as who says little errs little. Who names no object in any
    caption, for whom CHAIR has no value, gets the worst, 1; of the other measures that is 0. English only: words are
    what spaces and marks leave.
    """

    kinds: tuple[str, ...] = ("colour", "shape")
    measure: Literal["f1", "precision", "recall", "hallucination"] = "f1"
    object: str = "shape"
    bound: bool = False
    name: str | None = None
    scene: str = "scene"
    where: str | None = None
    tokens: int = 24
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        rows = rows_where(test, self.where)
        captions = model.captions(test[self.image][rows], tokens=self.tokens)
        known = self.vocabulary([*train[self.scene], *test[self.scene]])
        if self.name is not None:
            known |= {str(name).lower(): "name" for name in [*train[self.name], *test[self.name]]}
        counts = np.array(
            [self._counted(text, test, row, known) for text, row in zip(captions, rows.tolist(), strict=True)]
        )
        names = ("right", "said", "true", "absent_objects", "objects")
        return Items(dict(zip(names, counts.reshape(-1, len(names)).T, strict=True)), rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        right, said, true, absent, objects = (
            float(items[name][indices].sum()) for name in ("right", "said", "true", "absent_objects", "objects")
        )
        if self.measure == "hallucination":
            return absent / objects if objects else 1.0
        if self.measure == "f1":
            return 2 * right / max(said + true, 1)
        return right / max(said if self.measure == "precision" else true, 1)

    def vocabulary(self, scenes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """The kind of each word that is a value."""
        kinds = dict.fromkeys([*self.kinds, self.object])
        return {each[kind]: kind for scene in scenes for each in scene["objects"] for kind in kinds}

    def said(self, caption: str, known: Mapping[str, str]) -> Slots:
        """What a caption says, as (kind, value), with the object behind it where `bound`."""
        found: Slots = set()
        waiting: list[tuple[str, str]] = []
        for word in _WORD.findall(caption.lower()):
            kind = known.get(word)
            if kind is None:
                continue
            if not self.bound or kind in (self.object, "name"):
                found.add((kind, word))
            if self.bound and kind == self.object:
                found |= {(*each, word) for each in waiting}
                waiting = []
            elif self.bound and kind != "name":
                waiting.append((kind, word))
        return found | set(waiting)  # an attribute of nothing is bound to nothing, and so wrong

    def _true(self, test: Columns, row: int) -> Slots:
        objects = test[self.scene][row]["objects"]
        found: Slots = {(self.object, each[self.object]) for each in objects}
        for kind in self.kinds:
            if kind != self.object:
                found |= {(kind, each[kind], *((each[self.object],) if self.bound else ())) for each in objects}
        if self.name is not None:
            found.add(("name", str(test[self.name][row]).lower()))
        return found

    def _counted(self, caption: str, test: Columns, row: int, known: Mapping[str, str]) -> tuple[int, ...]:
        said, true = self.said(caption, known), self._true(test, row)
        objects = {each for each in said if each[0] == self.object}
        return len(said & true), len(said), len(true), len(objects - true), len(objects)
