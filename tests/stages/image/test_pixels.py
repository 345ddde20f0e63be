"""Decoding: every kind of file that crawls hold, by bytes that Pillow or this file wrote."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tuwen.stages.image.pixels import decode

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def halves(size: tuple[int, int] = (80, 40)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def corner_colors(image: Image.Image) -> list[tuple[int, ...]]:
    """Top left, top right, bottom left: of red or blue, whichever is nearer."""
    right, bottom = image.width - 1, image.height - 1
    found = [np.array(image.getpixel(point)) for point in ((0, 0), (right, 0), (0, bottom))]
    return [min((RED, BLUE), key=lambda color: np.abs(np.array(color) - value).sum()) for value in found]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "JPEG2000"])
def test_formats(format: str) -> None:
    decoded = decode(encoded(halves(), format))
    assert (decoded.width, decoded.height, decoded.error) == (80, 40, None)
    assert decoded.format == format.lower()
    assert decoded.image is not None
    assert decoded.image.mode == "RGB"
    assert corner_colors(decoded.image) == [RED, BLUE, RED]


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [
        (1, [RED, BLUE, RED]),
        (2, [BLUE, RED, BLUE]),
        (3, [BLUE, RED, BLUE]),
        (4, [RED, BLUE, RED]),
        (5, [RED, RED, BLUE]),
        (6, [RED, RED, BLUE]),
        (7, [BLUE, BLUE, RED]),
        (8, [BLUE, BLUE, RED]),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation(format: str, orientation: int, corners: list[tuple[int, int, int]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(halves(), format, exif=exif), 16)
    assert decoded.image is not None
    assert (decoded.width, decoded.height) == ((80, 40) if orientation < 5 else (40, 80))
    assert (decoded.image.width > decoded.image.height) == (orientation < 5)
    assert corner_colors(decoded.image) == corners


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    decoded = decode(encoded(halves(), "JPEG", exif=exif))
    assert (decoded.orientation, decoded.width, decoded.error) == (None, 80, None)


@pytest.mark.parametrize(
    ("short_side", "size"), [(0, (640, 480)), (480, (640, 480)), (240, (320, 240)), (100, (160, 120))]
)
def test_jpegs_are_decoded_at_the_scale_asked_for(short_side: int, size: tuple[int, int]) -> None:
    decoded = decode(encoded(halves((640, 480)), "JPEG"), short_side)
    assert decoded.image is not None
    assert decoded.image.size == size
    assert (decoded.width, decoded.height) == (640, 480)


def test_everything_else_is_reduced_to_at_least_the_side_asked_for() -> None:
    decoded = decode(encoded(halves((1000, 700)), "PNG"), 128)
    assert decoded.image is not None
    assert decoded.image.size == (200, 140)
    assert decoded.thumbnail is not None
    assert decoded.thumbnail.size == (183, 128)


def test_thumbnails_are_never_enlarged_and_never_long() -> None:
    small, long = decode(encoded(halves((20, 10)), "PNG"), 128), decode(encoded(halves((9000, 40)), "PNG"), 128)
    assert small.thumbnail is not None and long.thumbnail is not None
    assert small.thumbnail.size == (20, 10)
    assert long.thumbnail.size == (1024, 5)


def test_transparency_lies_over_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    palette = image.convert("P")
    palette.info["transparency"] = palette.getpixel((3, 3))
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True), encoded(palette, "GIF")):
        decoded = decode(data)
        assert decoded.has_alpha
        assert decoded.image is not None
        assert decoded.image.getpixel((3, 3)) == (255, 255, 255)
        assert decoded.image.getpixel((0, 0)) == RED


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_modes_keep_their_brightness(mode: str) -> None:
    gray = Image.new("L", (8, 8), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16))
    else:
        image = gray.convert("RGB").convert(mode) if mode != "LA" else gray.convert("LA")
    decoded = decode(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert decoded.mode == mode
    assert decoded.image is not None
    assert decoded.image.getpixel((4, 4)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    decoded = decode(encoded(Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)), "PNG"))
    assert decoded.image is not None
    assert decoded.image.getpixel((0, 0)) == (127, 127, 127)


def test_cmyk_jpegs_have_their_colors() -> None:
    decoded = decode(encoded(halves().convert("CMYK"), "JPEG"), 16)
    assert (decoded.mode, decoded.error) == ("CMYK", None)
    assert decoded.image is not None
    assert corner_colors(decoded.image) == [RED, BLUE, RED]


def test_animations_show_their_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE, RED)]
    for format in ("GIF", "PNG", "WEBP"):
        decoded = decode(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
        assert decoded.num_frames == 3
        assert decoded.image is not None
        assert corner_colors(decoded.image)[0] == RED


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares its size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def test_bombs_are_refused_by_what_they_declare() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    decoded = decode(bomb(60_000, 60_000), 128)
    assert (decoded.error, decoded.width, decoded.height, decoded.image) == ("too_many_pixels", 60_000, 60_000, None)
    assert decode(encoded(halves(), "PNG"), max_pixels=3199).error == "too_many_pixels"
    assert decode(encoded(halves(), "PNG"), max_pixels=3200).error is None
    assert limit == Image.MAX_IMAGE_PIXELS, "Pillow's own limit is as it was"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, "missing"),
        (b"", "empty"),
        (b"<html><body>Not found</body></html>", "unidentified"),
        (b"<?xml version='1.0'?>\n<SVG xmlns='http://www.w3.org/2000/svg'/>", "vector"),
        (b"\xff\xd8\xff\xe0 no more", "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "unidentified"),
    ],
)
def test_what_is_no_image(data: bytes | None, error: str) -> None:
    decoded = decode(data, 128)
    assert (decoded.error, decoded.image, decoded.thumbnail, decoded.gray) == (error, None, None, None)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_files_that_end_early_are_errors(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8))
    data = encoded(noise, format)
    decoded = decode(data[: len(data) // 2], 64)
    assert decoded.error in ("truncated", "broken")
    assert decoded.image is None
    if format != "WEBP":  # whose decoder says nothing of a file that is not whole
        assert (decoded.width, decoded.height) == (300, 200)


def test_a_cut_jpeg_is_called_truncated() -> None:
    data = encoded(halves((640, 480)), "JPEG")
    assert decode(data[:-600], 128).error == "truncated"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "ICO"]), st.data())
def test_damage_never_raises_and_never_warns(format: str, data: st.DataObject) -> None:
    content = bytearray(encoded(halves((64, 64)), format))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode(bytes(content[: data.draw(st.integers(0, len(content)))]), 32, max_pixels=1_000_000)
    assert (decoded.image is None) == (decoded.error is not None)


def test_a_result_is_a_function_of_bytes_and_scale() -> None:
    data = encoded(halves((640, 480)), "JPEG")
    first, second = decode(data, 128), decode(data, 128)
    assert first.image is not None and second.image is not None
    assert first.image.tobytes() == second.image.tobytes()
