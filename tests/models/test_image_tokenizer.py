"""Codes of images: the nearest centre by plain loops, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuwen.errors import UsageError
from tuwen.models.image_tokenizer import ImageTokenizer

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)


def test_codes_are_the_nearest_centres() -> None:
    book = ImageTokenizer(number=12, patch=8).build(16)
    book.fit(IMAGES, 0)
    codes = book.encode(IMAGES)
    assert codes.shape == (6, 4) and book.num_codes == 4
    for image, row in zip(IMAGES, codes, strict=True):
        for place, code in enumerate(row):
            down, along = divmod(place, 2)
            patch = image[8 * down : 8 * down + 8, 8 * along : 8 * along + 8].reshape(-1).astype(float)
            distances = np.square(book.centres.numpy().astype(float) - patch).sum(1)
            assert distances[code] == pytest.approx(distances.min(), rel=1e-5)


def test_images_of_centres_come_back() -> None:
    """Eight flat colours are eight centres: nothing is lost."""
    colours = np.random.default_rng(1).integers(0, 256, (8, 3)).astype(np.uint8)
    squares = colours[np.random.default_rng(2).integers(8, size=(5, 4, 4))]
    images = squares.repeat(4, 1).repeat(4, 2)
    book = ImageTokenizer(number=8, patch=4).build(16)
    book.fit(images, 0)
    assert np.array_equal(book.decode(book.encode(images)), images)


def test_centres_that_nothing_needs_stay_unused() -> None:
    book = ImageTokenizer(number=30, patch=8).build(16)
    book.fit(IMAGES[:2], 0)  # eight patches
    assert np.array_equal(book.decode(book.encode(IMAGES[:2])), IMAGES[:2])
    assert book.encode(IMAGES).max() < 8


def test_equal_seeds_equal_centres() -> None:
    one, two = (ImageTokenizer(number=9).build(16) for _ in range(2))
    one.fit(IMAGES, 3)
    two.fit(IMAGES, 3)
    assert torch.equal(one.centres, two.centres)


def test_patches_fill_the_image() -> None:
    with pytest.raises(UsageError, match="patches have to fill the image"):
        ImageTokenizer(patch=5).build(16)
