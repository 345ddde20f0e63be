"""Decoding of untrusted images: bounded, upright, RGB, no larger than asked for, and never an exception.

Only raster formats of the web are opened: Pillow knows others that call outside programs (EPS) or that no browser
shows. An image whose header declares more than `max_pixels` is refused before a pixel is decoded.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

MAX_PIXELS = 100_000_000
THUMBNAIL = 128  # short side that the built-in stages measure at; they share it, so one decode serves them all
LONGEST = 1024  # long side of a thumbnail
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "ICO", "JPEG2000", "PPM")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0")
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW_LIMIT = threading.Lock()


@dataclass
class Decoded:
    """What is known of one image. `image` is None exactly when `error` is set.

    `error`: missing (no bytes are stored), empty, unidentified, vector (SVG), too_many_pixels, truncated, broken.
    The other fields hold what the header said, as far as it could be read, whether or not decoding succeeded.
    """

    image: Image.Image | None = None  # RGB, upright, first frame, transparency over white
    width: int | None = None  # of the original, upright (EXIF orientations 5 to 8 swap the stored sides)
    height: int | None = None
    error: str | None = None
    format: str | None = None  # lower case, as Pillow names it
    mode: str | None = None  # Pillow mode of the original: RGB, P, CMYK, I;16, …
    num_frames: int | None = None
    orientation: int | None = None  # EXIF, 1 to 8; None: not stated
    has_alpha: bool | None = None

    @cached_property
    def thumbnail(self) -> Image.Image | None:
        """The image at short side 128 (never enlarged, long side at most 1,024), shared by all stages of a pass."""
        if self.image is None:
            return None
        sides = self.image.size
        scale = min(1.0, THUMBNAIL / min(sides), LONGEST / max(sides))
        size = (max(1, round(sides[0] * scale)), max(1, round(sides[1] * scale)))
        return self.image if size == sides else self.image.resize(size, Image.Resampling.BOX)

    @cached_property
    def gray(self) -> Image.Image | None:
        """Luma (ITU-R 601) of the thumbnail, mode L."""
        return None if self.thumbnail is None else self.thumbnail.convert("L")


def decode(data: bytes | None, short_side: int = 0, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode at the smallest scale whose shorter side is still at least `short_side` (0: full size).

    JPEGs are scaled while decoding (1/2, 1/4, 1/8 of the DCT), everything is then reduced by a whole factor. The
    result is a function of the arguments alone. A file that ends early is an error even if a part could be shown.
    """
    decoded = Decoded()
    if not data:
        decoded.error = "missing" if data is None else "empty"
        return decoded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata makes Pillow warn; the error code says what matters
        try:
            with open_image(data) as image:
                _read(image, decoded, short_side, max_pixels)
        except UnidentifiedImageError:
            decoded.error = _unidentified(data)
        except Exception as error:  # Pillow raises nearly every built-in exception on damaged files
            decoded.error = (
                "truncated" if isinstance(error, EOFError) or "truncated" in str(error).lower() else "broken"
            )
    return decoded


def open_image(data: bytes) -> ImageFile.ImageFile:
    """The header, read by Pillow; no pixel is decoded yet, whatever size is declared: that is for the caller to judge.

    Raises nearly anything for damaged bytes, `UnidentifiedImageError` for those of no allowed format.
    """
    # Pillow's own limit would raise before the declared size is known.
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _read(image: ImageFile.ImageFile, decoded: Decoded, short_side: int, max_pixels: int) -> None:
    decoded.format = (image.format or "").lower()
    decoded.mode = image.mode
    decoded.width, decoded.height = image.size
    if math.prod(image.size) > max_pixels:
        decoded.error = "too_many_pixels"
        return
    decoded.num_frames = getattr(image, "n_frames", 1)
    decoded.has_alpha = image.has_transparency_data
    try:
        if short_side:
            image.draft(None, (short_side, short_side))
        image.load()
    finally:
        # After loading: a PNG may keep its EXIF behind the pixels. Pillow turns TIFFs by itself.
        if "exif" in image.info and image.format != "TIFF":
            orientation = image.getexif().get(ORIENTATION)
            decoded.orientation = orientation if orientation in range(1, 9) else None
        if decoded.orientation in (5, 6, 7, 8):
            decoded.width, decoded.height = decoded.height, decoded.width
    pixels = to_rgb(image)
    factor = min(pixels.size) // short_side if short_side else 1
    if factor > 1:
        pixels = pixels.reduce(factor)
    turn = UPRIGHT.get(decoded.orientation or 1)
    decoded.image = pixels if turn is None else pixels.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of 8 bits from any mode: transparency over white, 16 and 32 bits scaled instead of clipped."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    if image.mode[0] in "IF":  # 16 and 32 bits: Pillow would clip at 255
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        largest = values.max(initial=0)
        span = 1.0 if image.mode[0] == "F" and largest <= 1 else 255.0 if largest <= 255 else 65535.0
        return Image.fromarray((values.clip(0, span) * (255 / span)).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _unidentified(data: bytes) -> str:
    if b"<svg" in data[:1024].lower():
        return "vector"
    return "broken" if data.startswith(SIGNATURES) else "unidentified"
