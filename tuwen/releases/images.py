"""What a release must know of image bytes: their real format, and whether they can be decoded."""

from __future__ import annotations

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


def decode_problem(data: bytes) -> str | None:
    """Why the first frame cannot be decoded (a `decode_error` of the image properties); None where it can."""
    from tuwen.stages.image.pixels import decode

    return decode(data, _SHORT_SIDE).error
