"""Re-encoding: sizes, colours, orientation, formats, damage, and the same bytes every time."""

from __future__ import annotations

import io
import itertools
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tuwen.errors import UsageError
from tuwen.fetching.reencode import MAX_SIDE, reencode
from tuwen.fetching.settings import Reencode

SMALL = Reencode(short_side=64)


def picture(width: int = 200, height: int = 150, mode: str = "RGB") -> Image.Image:
    """Red above left, green above right, blue below left, near-white below right, smooth in between."""
    coarse = np.array([[[200, 30, 30], [30, 180, 30]], [[30, 30, 200], [230, 230, 230]]], dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR).convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def distance(one: Image.Image, other: Image.Image) -> float:
    """Root of the mean squared difference of RGB values."""
    pixels = [np.asarray(image.convert("RGB"), dtype=float) for image in (one, other)]
    assert pixels[0].shape == pixels[1].shape
    return float(np.sqrt(np.mean((pixels[0] - pixels[1]) ** 2)))


INPUTS = {
    "jpeg 4:2:0": saved(picture(), "JPEG", quality=95, subsampling=2),
    "jpeg 4:4:4": saved(picture(), "JPEG", quality=95, subsampling=0),
    "jpeg progressive": saved(picture(), "JPEG", quality=95, progressive=True),
    "jpeg rgb": saved(picture(), "JPEG", quality=95, keep_rgb=True),
    "jpeg cmyk": saved(picture(mode="CMYK"), "JPEG", quality=95),
    "jpeg with bytes behind": saved(picture(), "JPEG", quality=95) + b"\0" * 100,
    "png": saved(picture(), "PNG"),
    "png palette": saved(picture(mode="P"), "PNG"),
    "gif": saved(picture(), "GIF"),
    "webp": saved(picture(), "WEBP", quality=95),
    "avif": saved(picture(), "AVIF", quality=95),
    "bmp": saved(picture(), "BMP"),
    "tiff": saved(picture(), "TIFF"),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("kind", ["jpeg", "webp", "png"])
def test_every_format_keeps_its_picture(name, kind):
    found = opened(reencode(INPUTS[name], Reencode(short_side=64, format=kind)))
    assert (found.format, found.mode, found.size) == (kind.upper(), "RGB", (85, 64))
    assert distance(found, picture().resize((85, 64), Image.Resampling.LANCZOS)) < (10 if "palette" in name else 6)


def test_gray_stays_gray():
    found = opened(reencode(saved(picture(mode="L"), "JPEG", quality=95), SMALL))
    assert distance(found, picture(85, 64, "L")) < 3
    assert np.ptp(np.asarray(found).astype(int), axis=2).max() <= 2
    deep = Image.fromarray(np.asarray(picture(mode="L")).astype(np.uint16) * 257)
    assert distance(opened(reencode(saved(deep, "PNG"), SMALL)), picture(85, 64, "L")) < 3


def test_ycck_is_read_as_what_it_is(tmp_path):
    """An Adobe CMYK file declares its transform in one byte of APP14; 2 makes it YCCK: other colours, same bytes."""
    plain = saved(picture(mode="CMYK"), "JPEG", quality=95)
    place = plain.index(b"Adobe") + 11
    ycck = plain[:place] + b"\x02" + plain[place + 1 :]
    expected = opened(ycck).convert("RGB").resize((85, 64), Image.Resampling.BICUBIC)
    found = opened(reencode(ycck, SMALL))
    assert distance(found, expected) < 6
    assert distance(found, opened(reencode(plain, SMALL))) > 40


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.sampled_from(["jpeg", "webp", "png"]))
def test_never_larger_and_never_stretched(width, height, short_side, kind):
    options = Reencode(short_side=short_side, format=kind)
    for source in ("JPEG", "PNG"):
        found = opened(reencode(saved(picture(width, height), source), options)).size
        assert min(found) == min(width, height, short_side)
        scale = min(found) / min(width, height)
        assert max(found) == max(1, round(max(width, height) * scale)) and max(found) <= max(width, height)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(source, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(), source, exif=exif)
    found = opened(reencode(data, SMALL))
    assert "exif" not in found.info and not found.getexif()
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
    upright = picture() if turned is None else picture().transpose(Image.Transpose(turned))
    size = (85, 64) if orientation < 5 else (64, 85)
    assert distance(found, upright.resize(size, Image.Resampling.LANCZOS)) < 6


def test_transparency():
    layer = picture(mode="RGBA")
    layer.putalpha(Image.new("L", layer.size, 0))
    layer.paste((255, 0, 0, 255), (0, 0, 100, 150))
    for data in (saved(layer, "PNG"), saved(layer, "WEBP", lossless=True)):
        flat = opened(reencode(data, Reencode(short_side=64, format="jpeg")))
        assert min(flat.getpixel((80, 32))) > 250  # over white, whatever colour lies under it
        for kind in ("png", "webp"):
            kept = opened(reencode(data, Reencode(short_side=64, format=kind)))
            assert kept.mode == "RGBA"
            assert kept.getpixel((80, 32))[3] == 0 and kept.getpixel((5, 32))[3] == 255


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (90, 70), color) for color in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        red, green, blue = opened(reencode(data, SMALL)).getpixel((30, 30))
        assert red > 240 and green < 20 and blue < 20


def other_profile() -> bytes:
    """A profile of sRGB with red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile).replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB b", b"othe b")


def test_colours_become_srgb():
    """As a colour-managed program shows it; the profile is gone afterwards."""
    blue_shown = Image.new("RGB", (200, 150), (230, 20, 20))
    for source in ("JPEG", "PNG", "WEBP"):
        data = saved(blue_shown, source, icc_profile=other_profile())
        for kind in ("jpeg", "webp", "png"):
            found = opened(reencode(data, Reencode(short_side=64, format=kind)))
            red, _, blue = found.getpixel((30, 30))
            assert blue > 200 and red < 60, (source, kind)
            assert "icc_profile" not in found.info


def test_srgb_and_broken_profiles_change_nothing():
    plain = reencode(saved(picture(), "JPEG"), SMALL)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all", srgb[:200], other_profile()[:150]):
        assert reencode(saved(picture(), "JPEG", icc_profile=profile), SMALL) == plain


def test_metadata_goes():
    exif = Image.Exif()
    exif[0x010E] = "Secret of the photographer"
    for kind in ("jpeg", "webp", "png"):
        for source in ("JPEG", "PNG", "WEBP"):
            data = saved(picture(), source, exif=exif)
            assert b"Secret" in data
            assert b"Secret" not in (reencode(data, Reencode(short_side=64, format=kind)) or b"Secret")


def test_what_cannot_be_decoded_whole_is_none():
    for name, data in INPUTS.items():
        if name not in ("jpeg with bytes behind", "gif"):
            assert reencode(data[: len(data) * 2 // 3], SMALL) is None, name
    for data in (b"", b"\xff\xd8\xff", b"<html>", b"\x89PNG\r\n\x1a\n", b"P6 1 1 255\n"):
        assert reencode(data, SMALL) is None


def bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_bombs_are_not_decoded():
    assert reencode(bomb(50_000, 50_000), SMALL) is None
    jpeg = bytearray(saved(picture(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    assert reencode(bytes(jpeg), SMALL) is None
    assert reencode(INPUTS["png"], SMALL, max_pixels=200 * 150 - 1) is None
    assert reencode(INPUTS["jpeg 4:2:0"], SMALL, max_pixels=200 * 150 - 1) is None
    assert reencode(INPUTS["png"], SMALL, max_pixels=200 * 150) is not None


def test_long_images_fit_the_format():
    found = opened(reencode(saved(Image.new("RGB", (40_000, 100)), "PNG"), Reencode(short_side=90, format="webp")))
    assert found.size == (MAX_SIDE["webp"], round(100 * MAX_SIDE["webp"] / 40_000))


def test_quality_counts():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
    for kind in ("jpeg", "webp"):
        sizes = [len(reencode(saved(noise, "PNG"), Reencode(64, quality, kind)) or b"") for quality in (20, 60, 95)]
        assert sizes == sorted(sizes) and sizes[0] * 2 < sizes[2]


@pytest.mark.parametrize("wrong", [{"short_side": 0}, {"quality": 0}, {"quality": 101}])
def test_wrong_options(wrong):
    with pytest.raises(UsageError, match="short_side"):
        Reencode(**wrong)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(INPUTS)), st.integers(0, 10**6), st.binary(min_size=1, max_size=40))
def test_damage_never_raises(name, place, junk):
    data = bytearray(INPUTS[name])
    place %= len(data)
    data[place : place + len(junk)] = junk
    found = reencode(bytes(data), SMALL)
    assert found is None or opened(found).format == "JPEG"


SCRIPT = """
import hashlib, sys
from tuwen.fetching.reencode import reencode
from tuwen.fetching.settings import Reencode
data = sys.stdin.buffer.read()
for kind in ("jpeg", "webp", "png"):
    print(hashlib.sha256(reencode(data, Reencode(64, format=kind))).hexdigest())
"""


@pytest.mark.parametrize("size", [(40, 30), (2400, 1900)])
def test_pixels_are_lent_or_copied(size, monkeypatch):
    """Pillow may hold rows of large images in several pieces, which have to be copied; the bytes are the same."""
    data = saved(picture(*size), "JPEG")
    options = Reencode(short_side=size[1])
    found = reencode(data, options)

    def refuse(image):
        raise ValueError("Image rows are not contiguous in memory.")

    monkeypatch.setattr("pyarrow.array", refuse)
    assert found == reencode(data, options) and opened(found).size == size


def test_the_same_bytes_in_every_process_and_thread():
    data = INPUTS["jpeg 4:2:0"]
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], input=data, capture_output=True, check=True, env={**os.environ, **more}
        ).stdout
        for more in ({"PYTHONHASHSEED": "1", "TZ": "UTC"}, {"PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo"})
    ]
    assert runs[0] == runs[1] and len(set(runs[0].split())) == 3
    # Threads share nothing: each decodes into memory of its own.
    inputs = [saved(picture(150 + 10 * n, 120 + 7 * n), "JPEG") for n in range(12)]
    alone = [reencode(each, SMALL) for each in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: reencode(each, SMALL), itertools.chain(*[inputs] * 8)))
    assert together == alone * 8
