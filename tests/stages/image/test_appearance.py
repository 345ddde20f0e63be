"""Kinds of image, planted, and their colours and edges by hand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tuwen.stages.image.appearance import Appearance
from tuwen.stages.image.pixels import decode


def appearance(image: Image.Image | None) -> dict[str, Any]:
    buffer = io.BytesIO()
    if image is not None:
        image.save(buffer, "PNG")
    data = buffer.getvalue()
    row: dict[str, Any] = Appearance()(pa.record_batch({"bytes": [data]}), pixels=[decode(data, 128)]).to_pylist()[0]
    return row


def scene(size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft noise over a gradient of colours, as light falls."""
    noise = np.random.default_rng(1).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def chart() -> Image.Image:
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    for number in range(6):
        draw.rectangle((40 + number * 55, 250 - 30 * number, 80 + number * 55, 250), fill="navy")
    draw.line((30, 250, 380, 250), fill="black", width=2)
    return image


def test_kinds() -> None:
    photo, graphic, icon = appearance(scene()), appearance(chart()), appearance(chart().resize((64, 64)))
    assert photo["photo_score"] > 0.9 and photo["graphic_score"] < 0.1
    assert graphic["graphic_score"] > 0.9 and graphic["photo_score"] == 0
    assert icon["icon_score"] == 1 and icon["graphic_score"] == 0


def test_by_hand() -> None:
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[:, 20:] = (255, 0, 0)
    found = appearance(Image.fromarray(pixels))
    assert (found["num_colors"], found["color_entropy"], found["top_color_share"]) == (2, 1, 0.5)
    assert found["saturation"] == 0.5
    assert (found["edge_density"], found["straight_edge_share"]) == (pytest.approx(1 / 40), 1)
    plain = appearance(Image.new("RGB", (50, 50), "gray"))
    assert (plain["num_colors"], plain["color_entropy"], plain["edge_density"], plain["straight_edge_share"]) == (
        1,
        0,
        0,
        0,
    )


def test_broken_images_are_null() -> None:
    assert set(appearance(None).values()) == {None}
