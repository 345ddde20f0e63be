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
    found = pixels(blurred(stored(), [(1 / 8, 1 / 4, 3 / 8, 1 / 2)], OPTIONS))
    inside = found[20:40, 15:45]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) <= TILES * TILES
    outside = np.ones((80, 120), dtype=bool)
    outside[20:40, 15:45] = False
    assert (found[outside] == NOISE[outside]).all()


@pytest.mark.parametrize("box", [(-0.5, -0.5, -0.1, -0.1), (1.1, 0.1, 1.2, 0.2), (0.25, 0.25, 0.25, 0.5)])
def test_boxes_outside_do_nothing(box: tuple[float, float, float, float]) -> None:
    assert (pixels(blurred(stored(), [box], OPTIONS)) == NOISE).all()


def test_boxes_are_cut_at_the_edges() -> None:
    found = pixels(blurred(stored(), [(3 / 4, 3 / 4, 1.5, 1.5)], OPTIONS))
    assert len(np.unique(found[60:, 90:].reshape(-1, 3), axis=0)) <= TILES * TILES


def test_boxes_are_those_of_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = pixels(blurred(stored(exif=exif), [(0, 0, 1 / 4, 1 / 4)], OPTIONS))
    assert found.shape[:2] == (120, 80)
    assert len(np.unique(found[:30, :20].reshape(-1, 3), axis=0)) <= TILES * TILES


@pytest.mark.parametrize("data", [b"", b"no image", stored()[:200]])
def test_broken_images(data: bytes) -> None:
    assert blurred(data, [(0, 0, 0.5, 0.5)], OPTIONS) is None
