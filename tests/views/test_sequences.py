"""Images with texts as sequences, by hand."""

from __future__ import annotations

import numpy as np

from tuwen.models.sequences import Piece
from tuwen.views.captioned import Captioned
from tuwen.views.drawn import Drawn

RNG = np.random.default_rng(1)
IMAGES = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
BATCH = {"image": IMAGES, "text": ["a", "b"]}


def test_a_caption_is_learnt_after_its_image() -> None:
    found = Captioned()(BATCH, RNG)["caption"]
    for (image, text), pixels, word in zip(found, IMAGES, "ab", strict=True):
        assert np.array_equal(image.value, pixels) and not image.learnt and not image.coded
        assert text == Piece(word)


def test_the_codes_of_an_image_are_learnt_after_its_text() -> None:
    found = Drawn(to="picture")(BATCH, RNG)["picture"]
    for (text, image), pixels, word in zip(found, IMAGES, "ab", strict=True):
        assert text == Piece(word, learnt=False)
        assert np.array_equal(image.value, pixels) and image.learnt and image.coded
