"""Questions about images, answered by the likeliest of the answers that such questions have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.evaluations.measured import Items, rows_where
from tuwen.evaluations.zero_shot import averaged
from tuwen.models.columns import Columns, chosen
from tuwen.models.sequences import Piece
from tuwen.views.asked import question_of


@dataclass(frozen=True)
class QuestionAnswering:
    """Share of questions whose likeliest answer is right, among all `answer`s to training questions of the same `kind`.

    Likelihood is the sum over an answer's tokens and its end, so that longer answers need no correction; it is 0 of one
    that the context is too short for, and of such answers alone none is right. `average`:
    over questions (`micro`) or kinds (`macro`). `blind`: the image is left out, which shows what language alone tells.
    """

    question: str = "question"
    answer: str = "answer"
    kind: str = "question_kind"
    average: Literal["micro", "macro"] = "macro"
    blind: bool = False
    num_items: int | None = None
    image: str = "image"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        answers: dict[str, set[str]] = {}
        for kind, answer in zip(train[self.kind], train[self.answer], strict=True):
            answers.setdefault(kind, set()).add(answer)
        choices = {kind: sorted(found) for kind, found in answers.items()}
        rows = rows_where(test, None)[: self.num_items]
        kinds = list(chosen(test[self.kind], rows))
        sequences: list[list[Piece]] = []
        for row, kind in enumerate(kinds):
            for answer in choices.get(kind, ()):
                told = question_of(test[self.image][row], test[self.question][row], answer)
                sequences.append(told[1:] if self.blind else told)
        scores = iter(model.log_likelihoods(sequences) if sequences else ())
        right = []
        for row, kind in enumerate(kinds):
            of = [(next(scores), answer) for answer in choices.get(kind, ())]
            best, answer = max(of, key=lambda each: each[0], default=(-np.inf, ""))
            right.append(bool(best > -np.inf) and answer == test[self.answer][row])
        return Items({"correct": np.array(right), "class": np.unique(kinds, return_inverse=True)[1]}, rows=rows)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return averaged(items["correct"][indices], items["class"][indices], self.average)
