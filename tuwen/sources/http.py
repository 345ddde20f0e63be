"""HTTP responses as crawlers store them: heads parsed leniently, bodies decoded with a limit on their size.

Archives hold what servers sent and what crawlers made of it: bare line feeds, no status line, header junk, bodies that
were decoded already although the header still names the encoding. <https://www.rfc-editor.org/rfc/rfc9112>
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import brotli
from fastwarc.stream_io import ZstdReader

from tuwen.sources.sniffing import image_format, looks_like_html

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/\S*\s+(\d{3})(?!\d)")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_SINGLE = ("content-type", "content-length", "location")  # the first one counts; others are joined
_MOST_ENCODINGS = 5
_LENGTH = re.compile(r"[0-9]{1,18}")
_BLOCK = 1 << 20
_SHORT_MEMBER = 1 << 12
_MOST_MEMBERS = 10_000


class Response(NamedTuple):
    """Status (None where there was none to read), headers with names in lower case, body as sent."""

    status: int | None
    headers: dict[str, str]
    body: bytes


class Decoded(NamedTuple):
    """A body without transfer and content encodings; `error` is None, truncated_body, bad_encoding or too_large."""

    body: bytes
    error: str | None


def parse_response(block: bytes) -> Response:
    """Split an `application/http` block. What has neither status line nor headers is all body."""
    blank = _BLANK_LINE.search(block)
    head, body = (block[: blank.start()], block[blank.end() :]) if blank else (block, b"")
    first, *lines = _text(head).replace("\r\n", "\n").split("\n")
    if not first.startswith("HTTP/"):
        if blank is None or not _HEADER.match(first):
            return Response(None, {}, block)
        lines.insert(0, first)
    match = _STATUS.match(first)
    status = int(match[1]) if match else None
    if status is not None and status < 200 and body.startswith(b"HTTP/"):
        return parse_response(body)  # 100 Continue, 103 Early Hints
    return Response(status, _headers(lines), body)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        match = _HEADER.match(line)
        if match is None:
            continue
        name, value = match[1].lower(), line[match.end() :].strip()
        if name not in headers:
            headers[name] = value
        elif name not in _SINGLE:
            headers[name] += ", " + value
    return headers


def _text(head: bytes) -> str:
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError:
        return head.decode("latin-1")


def media_type(content_type: str | None) -> str:
    """`Text/HTML; charset=x` → `text/html`; empty where there is none."""
    return (content_type or "").partition(";")[0].partition(",")[0].strip().lower()


def charset_of(content_type: str | None) -> str | None:
    """The charset parameter of a Content-Type."""
    match = _CHARSET.search(content_type or "")
    return match[1] if match else None


def decode_body(body: bytes, headers: dict[str, str], limit: int) -> Decoded:
    """Undo Transfer-Encoding, then Content-Encoding. More than `limit` bytes come back as none, and too_large.

    A truncated body comes back as far as it goes. An encoding that does not fit a body which is plainly an image or
    HTML was undone by the crawler, so the body is taken as it is.
    """
    encodings = [*_encodings(headers.get("content-encoding")), *_encodings(headers.get("transfer-encoding"))]
    if len(encodings) > _MOST_ENCODINGS:
        return Decoded(body, "bad_encoding")
    length = headers.get("content-length", "")
    cut = not encodings and bool(_LENGTH.fullmatch(length)) and len(body) < int(length)
    for encoding in reversed(encodings if body else []):
        try:
            body, whole = _DECODERS[encoding](body, limit)
        except (KeyError, ValueError, OSError, zlib.error, brotli.error):
            if encoding == "chunked" or image_format(body) or looks_like_html(body):
                continue
            return Decoded(body, "bad_encoding")
        cut = cut or not whole
        if len(body) > limit:
            break
    if len(body) > limit:
        return Decoded(b"", "too_large")
    return Decoded(body, "truncated_body" if cut else None)


def _encodings(value: str | None) -> list[str]:
    names = (name.strip().lower() for name in (value or "").split(","))
    return [name for name in names if name not in ("", "identity", "none", "binary", "utf-8")]


def _unchunk(body: bytes, limit: int) -> tuple[bytes, bool]:
    """ValueError if the body does not begin with a chunk: crawlers often store it joined."""
    pieces: list[bytes] = []
    position = 0
    while match := _CHUNK.match(body, position):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(pieces), True
        piece = body[match.end() : match.end() + size]
        pieces.append(piece)
        position = match.end() + size
        if len(piece) < size:
            break
        position += 2 if body[position : position + 2] == b"\r\n" else body[position : position + 1] == b"\n"
    if not pieces:
        raise ValueError("no chunk")
    return b"".join(pieces), False


def _gunzip(body: bytes, limit: int) -> tuple[bytes, bool]:
    """One gzip member after the other; what follows the last one is ignored, as browsers do."""
    output = bytearray()
    rest = memoryview(body)
    for _ in range(_MOST_MEMBERS):
        inflater = zlib.decompressobj(wbits=31)
        window = _SHORT_MEMBER  # zlib copies all that follows a member: in a body of tiny ones, again and again
        try:
            while not inflater.eof and rest and len(output) <= limit:
                piece = rest[:window]
                output += inflater.decompress(piece, limit + 1 - len(output))
                rest = rest[len(piece) - len(inflater.unused_data) :]
                window = _BLOCK
        except zlib.error:
            if not output:
                raise
            return bytes(output), False
        if not inflater.eof:
            return bytes(output), False
        if len(output) > limit or (output and bytes(rest[:2]) != b"\x1f\x8b") or not rest:
            return bytes(output), True
    return bytes(output), False


def _inflate(body: bytes, limit: int) -> tuple[bytes, bool]:
    """`deflate` is zlib by the standard and often raw in the wild."""
    try:
        inflater = zlib.decompressobj()
        output = inflater.decompress(body, limit + 1)
    except zlib.error:
        inflater = zlib.decompressobj(wbits=-15)
        output = inflater.decompress(body, limit + 1)
    return output, inflater.eof


def _unbrotli(body: bytes, limit: int) -> tuple[bytes, bool]:
    decompressor = brotli.Decompressor()
    output = bytearray(decompressor.process(body, output_buffer_limit=_BLOCK))
    while not decompressor.is_finished() and len(output) <= limit:
        piece = decompressor.process(b"", output_buffer_limit=_BLOCK)
        if not piece and decompressor.can_accept_more_data():
            break
        output += piece
    return bytes(output), decompressor.is_finished()


def _unzstd(body: bytes, limit: int) -> tuple[bytes, bool]:
    reader = ZstdReader(io.BytesIO(body))
    output = bytearray()
    try:
        while len(output) <= limit and (piece := reader.read(_BLOCK)):
            output += piece
    except OSError:
        if not output:
            raise
        return bytes(output), False
    return bytes(output), True


_DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "chunked": _unchunk,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
