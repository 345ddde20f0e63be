"""What a release must know of image bytes: their real format, whether they can be decoded, and smaller versions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.errors import TuwenError, UsageError
from tuwen.fetching.settings import Reencode
from tuwen.releases.blur import Box, blurred
from tuwen.releases.content import Content, Exported
from tuwen.releases.problem import Problem

EXTENSIONS = {"jpeg": "jpg", "webp": "webp", "png": "png"}  # of the formats of `Reencode`
_MAGIC = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x00\x00\x00\x0cjP  ", "jp2"),
    (b"P5", "pgm"),
    (b"P6", "ppm"),
)
_SHORT_SIDE = 128  # as the stages decode, so that what they call decodable is decodable here


def extension_of(data: bytes) -> str:
    """Usual extension of the format that the first bytes say; `bin` where they say none."""
    for magic, extension in _MAGIC:
        if data.startswith(magic):
            return extension
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", b"mif1"):
        return "avif"
    return "bin"


def check_blur(writer: str, blur: str | None, reencode: Reencode | None) -> None:
    """`UsageError` for boxes without re-encoding: original bytes are released as they are or not at all."""
    if blur is not None and reencode is None:
        raise UsageError(
            f"{writer}: blur={blur!r} changes images, so say how they are re-encoded: reencode.format=jpeg"
        )


def box_column(content: Content, blur: str) -> Exported:
    """The images' column of boxes that `blur` names. `UsageError` where there is none, or where it holds other things.

    Boxes are lists of four numbers: left, top, right, bottom, as shares of the upright image's width and height.
    """
    found = next((column for column in content.image_columns if column.sql == f'images."{blur}"'), None)
    if found is None:
        raise UsageError(
            f"blur: images have no column {blur!r}; bring boxes with `tuwen join FILE --on image_id --columns {blur}`"
        )
    inner = found.type.value_type if pa.types.is_list(found.type) else None
    if not (inner and (pa.types.is_list(inner) or pa.types.is_fixed_size_list(inner)) and _is_number(inner.value_type)):
        raise UsageError(
            f"blur: column {blur!r} of the images is {found.type}; it has to be a list of boxes, each a list "
            "[left, top, right, bottom] of shares of width and height"
        )
    return found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _check_boxes(image_id: str, boxes: Sequence[Sequence[float | None] | None]) -> None:
    """Boxes in pixels, say, would lie outside and blur nothing."""
    for box in boxes:
        shares = [share for share in box or () if share is not None and -1 <= share <= 2 and math.isfinite(share)]
        if len(shares) != 4 or len(box or ()) != 4 or shares[0] > shares[2] or shares[1] > shares[3]:
            raise TuwenError(
                f"image {image_id} has the box {box}; it has to be [left, top, right, bottom] as shares of the upright "
                "image's width and height, 0 to 1; repair the file and join it again"
            )


def reencoded(image_id: str, data: bytes, options: Reencode, boxes: Sequence[Box] | None = None) -> tuple[bytes, str]:
    """The image as `options` want it, `boxes` blurred, and the SHA-256 of those bytes (64 hexadecimal digits).

    `TuwenError` where it cannot be decoded: what a selection keeps is never left out in silence.
    """
    from tuwen.fetching.reencode import reencode

    _check_boxes(image_id, boxes or ())
    smaller = blurred(data, boxes, options) if boxes else reencode(data, options)
    if smaller is None:
        raise TuwenError(
            f"image {image_id} cannot be decoded, so it cannot be re-encoded; with the stage image.properties in the "
            "recipe such images are left out, and the rule `decode_error is null` (for pairs: `image.decode_error is "
            "null`) says so in the selection"
        )
    return smaller, hashlib.sha256(smaller).hexdigest()


def image_problems(
    file: str, image_id: str, data: bytes, options: Reencode | None, sha256: str | None
) -> Iterator[Problem]:
    """What is wrong with one released image. Its bytes answer to `image_id`, or, re-encoded, to `sha256`."""
    from tuwen.stages.image.pixels import decode

    found = hashlib.sha256(data).hexdigest()
    if options is None and digest(data) != image_id:
        yield Problem(file, "image_id is not the SHA-256 prefix of the bytes", image_id, digest(data))
    elif options is not None and found != sha256:
        yield Problem(file, f"sha256 of image {image_id} is not that of the bytes", str(sha256), found)
    decoded = decode(data, _SHORT_SIDE)
    if decoded.error:
        yield Problem(file, f"image {image_id} cannot be decoded", "an image", decoded.error)
        return
    short_side = min(decoded.width or 0, decoded.height or 0)
    if options and (decoded.format != options.format or short_side > options.short_side):
        yield Problem(
            file,
            f"image {image_id} is not as re-encoding makes it",
            f"{options.format}, short side at most {options.short_side}",
            f"{decoded.format}, short side {short_side}",
        )
