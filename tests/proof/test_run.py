"""Digests of examples tell whether two runs were tested on the same."""

from __future__ import annotations

import numpy as np

from tuwen.models.columns import Columns
from tuwen.models.sequences import Piece
from tuwen.proof.run import digest_of


def documents(pixel: int = 0, learnt: bool = True, text: str = "a") -> Columns:
    image = np.zeros((64, 64, 3), np.uint8)
    image[32, 32] = pixel
    return Columns(document=[[Piece(text, learnt=learnt), Piece(image)]], number=[np.int64(1)])


def test_a_digest_is_of_all_that_columns_hold() -> None:
    told = digest_of(documents())
    assert told == digest_of(documents())
    assert (
        len({told, *(digest_of(documents(**each)) for each in ({"pixel": 1}, {"learnt": False}, {"text": "b"}))}) == 4
    )
