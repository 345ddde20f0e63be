"""Thumbnails: small, made once, of anything that calls itself an image."""

from __future__ import annotations

import io
from pathlib import Path

import hostile_images
import pytest
from PIL import Image

from tuwen.explorer import thumbnails
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.thumbnails import Thumbnails, thumbnail


@pytest.mark.parametrize("name", sorted(hostile_images.images()))
@pytest.mark.parametrize("size", thumbnails.SIZES)
def test_any_image_gives_a_small_jpeg_or_a_reason(name: str, size: int) -> None:
    made = thumbnail(hostile_images.images()[name], size)
    if isinstance(made, str):
        assert made and "\n" not in made
        return
    with Image.open(io.BytesIO(made)) as picture:
        assert picture.format == "JPEG" and max(picture.size) <= size and not picture.getexif()


def test_a_pixel_bomb_is_not_decoded() -> None:
    assert isinstance(thumbnail(hostile_images.pixel_bomb(), 256), str)


def test_it_is_made_once(looked: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Thumbnails(tmp_path)
    id_ = looked.id_of("image", 0)
    first = made.jpeg(looked, id_, 256)
    assert isinstance(first, bytes)
    monkeypatch.setattr(thumbnails, "thumbnail", lambda *_: pytest.fail("made again"))
    assert made.jpeg(looked, id_, 256) == first
    assert made.jpeg(looked, "0" * 32, 256) == "missing"


def test_the_folder_does_not_grow_for_ever(looked: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MAX_KEPT_BYTES", 30_000)
    made = Thumbnails(tmp_path)
    for row in range(40):
        assert isinstance(made.jpeg(looked, looked.id_of("image", row), 256), bytes | str)
    kept = sum(file.stat().st_size for file in tmp_path.rglob("*.jpg"))
    assert 0 < kept <= 30_000
