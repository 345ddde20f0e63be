"""Documents as sequences, piece by piece."""

from __future__ import annotations

import numpy as np
from networks import small_images

from tuwen.models.sequences import Piece
from tuwen.views.packed import Packed

IMAGES = list(small_images(4))
BATCH = {
    "document_texts": [["one", "two", "three"], ["four"]],
    "document_images": [IMAGES[:3], IMAGES[3:]],
    "text_of_image": [[2, 0, -1], [-1]],
}


def told(pieces: list[Piece]) -> list[object]:
    """Texts, and numbers of images."""
    return [
        each.value if isinstance(each.value, str) else next(n for n, image in enumerate(IMAGES) if image is each.value)
        for each in pieces
    ]


def packed(seed: int = 0, **how: float) -> list[list[Piece]]:
    return Packed(**how)(BATCH, np.random.default_rng(seed))["document"]  # type: ignore[arg-type]


def test_images_stand_before_or_behind_their_texts() -> None:
    assert [told(each) for each in packed(image_first=1.0)] == [[1, "one\n", "two\n", 0, "three\n"], ["four\n"]]
    assert [told(each) for each in packed(image_first=0.0)] == [["one\n", 1, "two\n", "three\n", 0], ["four\n"]]
    first = [isinstance(packed(seed)[0][0].value, str) for seed in range(200)]
    assert 70 < sum(first) < 130


def test_images_are_read_and_texts_are_learnt() -> None:
    assert all(each.learnt == (each.kind == "text") for row in packed() for each in row)


def test_no_more_images_than_asked_for() -> None:
    assert told(packed(image_first=1.0, most_images=1)[0]) == [1, "one\n", "two\n", "three\n"]


def test_of_several_images_of_a_text_one_is_drawn() -> None:
    batch = {"document_texts": [["one"]], "document_images": [IMAGES], "text_of_image": [[0, 0, 0, -1]]}
    found = {told(Packed(image_first=1.0)(batch, np.random.default_rng(seed))["document"][0])[0] for seed in range(60)}
    assert found == {0, 1, 2}
