"""Image files as crawls hold them, made with Pillow: every format, near-duplicates, and files that are broken."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

BOMB_SIDE = 50_000


def picture(seed: int, width: int = 240, height: int = 160) -> Image.Image:
    """A smooth picture, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def noise(width: int = 400, height: int = 300) -> Image.Image:
    """What no compression makes small."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file of the format `kind`, as Pillow names it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(seed: int, **options: Any) -> bytes:
    """`picture(seed)` as JPEG."""
    return encoded(picture(seed), "JPEG", **{"quality": 88, **options})


def pixel_bomb() -> bytes:
    """A PNG of under 100 bytes that declares 50,000 x 50,000 pixels."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def images() -> dict[str, bytes]:
    """File name → bytes. `cut.*`, `broken.*` and `bomb.png` are images by their first bytes only."""
    photo, frames = picture(1), [picture(seed, 48, 48) for seed in (20, 21, 22)]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 100}
    rotated = Image.Exif()
    rotated[0x0112] = 6
    return {
        "photo.jpg": jpeg(1),
        "photo-recompressed.jpg": jpeg(1, quality=45),
        "photo-half.jpg": encoded(photo.resize((120, 80)), "JPEG", quality=88),
        "photo.png": encoded(photo, "PNG"),
        "photo.webp": encoded(photo, "WEBP", quality=80),
        "photo.avif": encoded(photo, "AVIF", quality=60),
        "rotated.jpg": encoded(picture(2), "JPEG", exif=rotated),
        "cmyk.jpg": encoded(picture(3).convert("CMYK"), "JPEG"),
        "progressive.jpg": jpeg(4, progressive=True),
        "gray.png": encoded(picture(5).convert("L"), "PNG"),
        "deep.png": encoded(Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)), "PNG"),
        "palette.gif": encoded(picture(6).quantize(16), "GIF"),
        "transparent.png": encoded(picture(7).convert("RGBA").rotate(30), "PNG"),
        "moving.gif": encoded(frames[0], "GIF", **moving),
        "moving.png": encoded(frames[0], "PNG", **moving),
        "moving.webp": encoded(frames[0], "WEBP", **moving),
        "scan.tiff": encoded(picture(8), "TIFF"),
        "window.bmp": encoded(picture(9, 64, 48), "BMP"),
        "favicon.ico": encoded(picture(10, 32, 32), "ICO", sizes=[(16, 16), (32, 32)]),
        "pixel.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
        "line.gif": encoded(Image.new("P", (600, 1)), "GIF"),
        "icon.png": encoded(picture(11, 16, 16), "PNG"),
        "huge.png": encoded(Image.new("L", (6_000, 4_000), 200), "PNG"),
        "bomb.png": pixel_bomb(),
        "cut.jpg": jpeg(12)[:1_500],
        "cut.png": encoded(picture(13), "PNG")[:1_500],
        "broken.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
    }
