"""What a release must know of image bytes: their real format, whether they can be decoded, and smaller versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tuwen.corpus.tables import digest
from tuwen.errors import TuwenError
from tuwen.fetching.settings import Reencode
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


def reencoded(image_id: str, data: bytes, options: Reencode) -> tuple[bytes, str]:
    """The image as `options` want it, and the SHA-256 of those bytes (64 hexadecimal digits).

    `TuwenError` where it cannot be decoded: what a selection keeps is never left out in silence.
    """
    from tuwen.fetching.reencode import reencode

    smaller = reencode(data, options)
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
