"""Properties, perceptual hash and statistics of images whose figures can be worked out by hand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

from tuwen.stages.image.perceptual_hash import PerceptualHash
from tuwen.stages.image.pixels import decode
from tuwen.stages.image.properties import Properties
from tuwen.stages.image.statistics import Statistics


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def photo(seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A smooth random field, like an out-of-focus photograph."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def run(stage: Any, *contents: bytes | None) -> list[dict[str, Any]]:
    batch = pa.record_batch({"bytes": pa.array(contents, pa.large_binary())})
    rows: list[dict[str, Any]] = stage(batch, pixels=[decode(data, stage.pixels) for data in contents]).to_pylist()
    return rows


def phash(data: bytes) -> int:
    value = run(PerceptualHash(), data)[0]["perceptual_hash"]
    assert isinstance(value, int)
    return value


def distance(a: bytes, b: bytes) -> int:
    return (phash(a) ^ phash(b)).bit_count()


def test_properties() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    photo().save(buffer, "JPEG", exif=exif)
    upright, transparent, bad = run(Properties(), buffer.getvalue(), png(Image.new("RGBA", (3, 2))), b"nothing")
    assert upright == {
        "format": "jpeg",
        "width": 480,
        "height": 640,
        "mode": "RGB",
        "num_frames": 1,
        "exif_orientation": 6,
        "has_alpha": False,
        "num_bytes": len(buffer.getvalue()),
        "decode_error": None,
    }
    assert (transparent["has_alpha"], transparent["width"], transparent["exif_orientation"]) == (True, 3, None)
    assert (bad["decode_error"], bad["num_bytes"], bad["width"]) == ("unidentified", 7, None)


def test_a_hash_survives_size_quality_and_format() -> None:
    original = jpeg(photo())
    assert distance(original, jpeg(photo(), quality=30)) <= 4
    assert distance(original, png(photo().resize((320, 240)))) <= 4
    assert distance(original, jpeg(photo().resize((1100, 825)))) <= 4
    assert distance(original, jpeg(photo().point(lambda level: level * 3 // 4 + 20))) <= 6


def test_hashes_of_different_images_differ_in_about_half_the_bits() -> None:
    distances = [distance(jpeg(photo(a)), jpeg(photo(b))) for a in range(4) for b in range(4, 8)]
    assert 24 <= np.mean(distances) <= 40
    assert min(distances) > 12


def test_a_hash_worked_out_by_hand() -> None:
    """cos(π(x+½)/32) has one DCT coefficient beside the constant: row 0, columns 0 and 1; all others are zero."""
    wave = 128 + 100 * np.cos(np.pi * (np.arange(32) + 0.5) / 32)
    image = Image.fromarray(np.tile(np.round(wave), (32, 1)).astype(np.uint8))
    value = phash(png(image))
    assert value >> 62 == 0b11
    assert value & ((1 << 56) - 1) == 0, "no frequency across the rows"


def test_flat_images_hash_alike() -> None:
    hashes = {phash(png(Image.new("RGB", (size, size), (level,) * 3))) for size in (8, 50) for level in (1, 77, 255)}
    assert hashes == {1 << 63}
    assert phash(png(Image.new("RGB", (9, 9)))) == 0


def test_errors_hash_to_null() -> None:
    assert run(PerceptualHash(), b"nothing", None) == [{"perceptual_hash": None}] * 2


def test_statistics_of_a_checkerboard() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    (row,) = run(Statistics(), png(Image.fromarray(board.astype(np.uint8))))
    assert row == {
        "brightness": 0.5,
        "contrast": 0.5,
        "colorfulness": 0.0,
        "sharpness": 1020.0**2,  # every inner pixel is ±4·255
        "entropy": 1.0,
        "flat_share": 0.0,
    }


def test_statistics_of_one_color() -> None:
    (row,) = run(Statistics(), png(Image.new("RGB", (10, 10), (255, 0, 0))))
    assert row["colorfulness"] == pytest.approx(0.3 * (255**2 + 127.5**2) ** 0.5)
    assert (row["contrast"], row["sharpness"], row["entropy"], row["flat_share"]) == (0, 0, 0, 1)
    assert row["brightness"] == pytest.approx(76 / 255)


def test_statistics_of_tiny_and_broken_images() -> None:
    tiny, broken = run(Statistics(), png(Image.new("L", (1, 1), 255)), b"nothing")
    assert (tiny["brightness"], tiny["sharpness"], tiny["flat_share"]) == (1, None, None)
    assert set(broken.values()) == {None}


def test_blur_lowers_sharpness() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (128, 128), dtype=np.uint8))
    sharp, blurred = run(Statistics(), png(noise), png(noise.filter(ImageFilter.GaussianBlur(2))))
    assert blurred["sharpness"] < sharp["sharpness"] / 50


def test_colorfulness_equals_the_formula_in_floats() -> None:
    image = photo(3, (100, 80))
    red, green, blue = np.asarray(image, dtype=float).reshape(-1, 3).T
    rg, yb = red - green, (red + green) / 2 - blue
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert run(Statistics(), png(image))[0]["colorfulness"] == pytest.approx(expected, rel=1e-6)
