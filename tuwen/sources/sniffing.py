"""What bytes are, whatever a server calls them. <https://mimesniff.spec.whatwg.org/>"""

from __future__ import annotations

import re

# Possessive, so that hostile comments cannot make matching slow.
_PROLOGUE = rb"[\x00-\x20\xef\xbb\xbf\xfe\xff]*+(?:(?><!--.*?-->|<\?xml.*?\?>)\s*+)*+"
_HTML = re.compile(
    _PROLOGUE + rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|table|div|h1|p|a|br|b)[\s/>]",
    re.IGNORECASE | re.DOTALL,
)
_SVG = re.compile(_PROLOGUE + rb"(?:<!doctype\s+svg[^>\[]*(?:\[.*?\]\s*)?>\s*)?<svg[\s>]", re.IGNORECASE | re.DOTALL)
_ISO_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"hevc": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"mif1": "heic",
    b"msf1": "heic",
}
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_BINARY = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\x1aE\xdf\xa3",
    b"OggS",
    b"\x7fELF",
    b"Rar!\x1a",
    b"7z\xbc\xaf",
)


def image_format(data: bytes) -> str | None:
    """Raster format by the first bytes: jpeg png gif webp avif heic bmp tiff ico jxl jp2; None for all else."""
    start = data[:32]
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp":
        return _ISO_BRANDS.get(start[8:12]) or _ISO_BRANDS.get(start[16:20])
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if start.startswith(b"BM") and int.from_bytes(start[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if start[:4] in (b"\0\0\1\0", b"\0\0\2\0") and start[4:5] > b"\0" and start[5:6] == start[9:10] == b"\0":
        return "ico"
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "jxl"
    if start.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "jp2"
    return None


def looks_like_html(data: bytes) -> bool:
    """Whether the bytes open with an HTML element, after white space, comments and an XML declaration."""
    return _HTML.match(data, 0, 1 << 14) is not None


def looks_like_svg(data: bytes) -> bool:
    """Whether the root element is `svg`."""
    return _SVG.match(data, 0, 1 << 14) is not None


def looks_binary(data: bytes) -> bool:
    """Whether the bytes open as a PDF, archive, video or program, so that they cannot be a page."""
    return data.startswith(_BINARY) or data[4:8] == b"ftyp"
