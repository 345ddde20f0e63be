"""Images made smaller: one size, one format, one colour space, upright, without metadata.

Colours are converted to sRGB where a file says that they are something else, because whoever trains on pixels reads no
profile; then the profile goes. The bytes are a function of the original, the options and the library versions.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from tuwen.fetching.settings import Reencode
from tuwen.stages.image.pixels import MAX_PIXELS, ORIENTATION, UPRIGHT, open_image, to_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

MAX_SIDE = {"jpeg": 65_500, "webp": 16_383, "png": 1 << 20}  # of the format, or of what decoders take
SCRATCH_BYTES = 8 << 20
PILLOW_BLOCKS = 2  # that Pillow keeps for its next image, of 16 MiB at most: one resize takes two
_PROFILES = 16  # colour profiles whose conversion is kept ready
_THREAD = threading.local()


def reencode(data: bytes, options: Reencode, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """`data` as `options` want it; None where it cannot be decoded whole or declares more than `max_pixels`.

    The shorter side becomes `short_side`, or less where the longer one would be too long for the format; nothing is
    enlarged. EXIF orientation is applied, of an animation the first frame is taken, and all metadata goes. Transparency
    stays in WebP and PNG and lies over white in JPEG, whose chroma is subsampled 4:2:0. `quality` means nothing to PNG.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata makes Pillow warn; only pixels count here
        try:
            image = _jpeg(data, options, max_pixels) or _any_format(data, options, max_pixels)
            return None if image is None else _encoded(image, options)
        except MemoryError:
            raise
        except Exception:  # decoders raise nearly every built-in exception on damaged files
            return None


def _jpeg(data: bytes, options: Reencode, max_pixels: int) -> Image | None:
    """The short way for what most images are: an undamaged JPEG of three channels. None: take the long one.

    libjpeg-turbo scales by eighths while it decodes, for which Pillow offers halves only, and hands out four bytes a
    pixel, which Pillow takes without a copy. The rest of the way, by less than two for nearly all images, is bilinear
    with a filter as wide as the scale asks: two thirds of the time of bicubic, and closer to a Lanczos reduction of
    the whole image (31.4 dB) than what img2dataset does (area averages of the whole image, 30.3 dB).
    """
    import simplejpeg
    from PIL.Image import Resampling, frombuffer

    if not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space not in ("YCbCr", "RGB") or width * height > max_pixels:
            return None
        size = _shrunk((width, height), options)
        least = {"min_width": size[0], "min_height": size[1]}
        rows, columns, *_ = simplejpeg.decode_jpeg_header(data, **least)
        pixels = simplejpeg.decode_jpeg(
            data, "RGBX", fastdct=False, fastupsample=False, buffer=_scratch(4 * rows * columns), **least
        )
    except ValueError:
        return None
    scaled = frombuffer("RGBX", (columns, rows), pixels, "raw", "RGBX", 0, 1)
    image = scaled.resize(size, Resampling.BILINEAR)  # a copy in any case: `pixels` will be overwritten
    if b"ICC_PROFILE\0" in data or b"Exif\0" in data:
        with open_image(data) as header:
            image = _upright(_in_srgb(image, header.info.get("icc_profile")), header)
    return image


def _scratch(num_bytes: int) -> bytearray | None:
    """Memory of this thread for decoded pixels: fresh pages for every image would cost a fifth of all time here."""
    from PIL.Image import core  # type: ignore[attr-defined]

    if num_bytes > SCRATCH_BYTES:
        return None
    if not hasattr(_THREAD, "scratch"):
        core.set_blocks_max(max(PILLOW_BLOCKS, core.get_blocks_max()))  # Pillow's own pages, likewise
        _THREAD.scratch = bytearray(SCRATCH_BYTES)
    return cast("bytearray", _THREAD.scratch)


def _any_format(data: bytes, options: Reencode, max_pixels: int) -> Image | None:
    """Every format and mode that the stages read."""
    from PIL.Image import Resampling

    with open_image(data) as image:
        if math.prod(image.size) > max_pixels:
            return None
        size = _shrunk(image.size, options)
        image.draft(None, size)
        image.load()
        # Profiles of print and gray images need their own channels, so those are converted last.
        pixels: Image = image
        if image.has_transparency_data:
            pixels = to_rgb(image) if options.format == "jpeg" else image.convert("RGBA")
        elif image.mode not in ("RGB", "CMYK", "L"):
            pixels = to_rgb(image)
        pixels = pixels.resize(size, Resampling.BICUBIC, reducing_gap=3.0)
        return _upright(_in_srgb(pixels, image.info.get("icc_profile")), image)


def _shrunk(size: tuple[int, int], options: Reencode) -> tuple[int, int]:
    scale = min(1.0, options.short_side / min(size), MAX_SIDE[options.format] / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _upright(image: Image, header: Image) -> Image:
    """Pillow turns TIFFs by itself."""
    if "exif" not in header.info or header.format == "TIFF":
        return image
    turn = UPRIGHT.get(header.getexif().get(ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _in_srgb(image: Image, profile: Any) -> Image:
    """RGB, or RGBA as it came. A profile that is broken or for other channels counts as none."""
    from PIL import ImageCms

    if isinstance(profile, bytes) and profile and (transform := _transform(profile, image.mode)):
        return cast("Image", ImageCms.applyTransform(image, transform))
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


@lru_cache(maxsize=_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """From a profile to sRGB, perceptual as in browsers; None where there is nothing to do or nothing can be done."""
    from PIL import ImageCms

    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(given).startswith("sRGB"):
            return None
        made = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(given, made, mode, "RGBA" if mode == "RGBA" else "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _encoded(image: Image, options: Reencode) -> bytes:
    import simplejpeg

    if options.format == "jpeg":
        return bytes(
            simplejpeg.encode_jpeg(
                _pixels(image), quality=options.quality, colorspace="RGBX", colorsubsampling="420", fastdct=False
            )
        )
    image = image if image.mode == "RGBA" else image.convert("RGB")
    image.info.clear()  # Pillow would write the profiles and comments that it finds there
    stream = io.BytesIO()
    if options.format == "webp":
        image.save(stream, "WEBP", quality=options.quality, method=4)
    else:
        image.save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def _pixels(image: Image) -> NDArray[np.uint8]:
    """Rows × columns × 4 bytes of an RGB or RGBX image.

    Without a copy where Pillow lends its memory: copies cost a fifth of all time here.
    """
    import numpy as np
    import pyarrow as pa

    try:
        pixels = pa.array(image).buffers()[-1]
    except ValueError:  # so large that it lies in several pieces
        pixels = image.tobytes("raw", "RGBX")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(image.height, image.width, 4)
