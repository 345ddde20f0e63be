"""Boxes that nobody can read, and everything else as it was."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tuwen.fetching.settings import Reencode
from tuwen.releases.blur import TILES, blurred

OPTIONS = Reencode(short_side=1_000, quality=95, format="png")
NOISE = np.random.default_rng(1).integers(0, 256, (80, 120, 3), dtype=np.uint8)


def stored(format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data: bytes | None) -> np.ndarray:
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_only_the_box_changes() -> None:
    found = pixels(blurred(stored(), [(10, 20, 36, 24)], OPTIONS))
    inside = found[20:44, 10:46]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) <= TILES * TILES
    outside = np.ones((80, 120), dtype=bool)
    outside[20:44, 10:46] = False
    assert (found[outside] == NOISE[outside]).all()


@pytest.mark.parametrize("box", [(-50, -50, 40, 40), (200, 10, 10, 10), (10, 10, 0, 5)])
def test_boxes_outside_do_nothing(box: tuple[float, float, float, float]) -> None:
    assert (pixels(blurred(stored(), [box], OPTIONS)) == NOISE).all()


def test_boxes_are_cut_at_the_edges() -> None:
    found = pixels(blurred(stored(), [(100, 60, 1_000, 1_000)], OPTIONS))
    assert len(np.unique(found[60:, 100:].reshape(-1, 3), axis=0)) <= TILES * TILES


def test_boxes_are_those_of_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = pixels(blurred(stored(exif=exif), [(0, 0, 30, 20)], OPTIONS))
    assert found.shape[:2] == (120, 80)
    assert len(np.unique(found[:20, :30].reshape(-1, 3), axis=0)) <= TILES * TILES


@pytest.mark.parametrize("data", [b"", b"no image", stored()[:200]])
def test_broken_images(data: bytes) -> None:
    assert blurred(data, [(0, 0, 5, 5)], OPTIONS) is None
