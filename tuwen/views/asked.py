"""Questions about images as sequences: what a model that answers learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuwen.models.features import Batch
from tuwen.models.sequences import Piece


@dataclass(frozen=True)
class Asked:
    """A column `to` of sequences: image and question, which are read, and the answer, which is learnt."""

    image: str = "image"
    question: str = "question"
    answer: str = "answer"
    to: str = "asked"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        rows = zip(batch[self.image], batch[self.question], batch[self.answer], strict=True)
        return {**batch, self.to: [question_of(image, question, answer) for image, question, answer in rows]}


def question_of(image: np.ndarray, question: str, answer: str) -> list[Piece]:
    """The sequence of a question with its answer."""
    return [Piece(image, learnt=False), Piece(f"{question} ", learnt=False), Piece(answer)]
