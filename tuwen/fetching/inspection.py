"""What came for an image URL: is it an image, the promised one, a permitted one, and of a sane size?

Cheap, because every body passes here: nothing is decoded unless a perceptual blocklist or re-encoding asks for it.
Whether an image can be decoded to its end is for the stage `image.properties` to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tuwen.fetching.blocklists import Blocklists
from tuwen.fetching.room import Room
from tuwen.fetching.settings import Fetch
from tuwen.sources.sniffing import image_format, looks_like_svg

MAX_SIDE = 65_535  # no format of the web has a reason to go beyond
PIXELS_AT_ONCE = 100_000_000
"""Declared by all images that are being decoded, some 1 GB; a larger one is decoded alone."""
_LARGE_BODY = 1 << 20
_HASH = re.compile(r"(sha256):([0-9a-f]{32,64})|(md5):([0-9a-f]{32})")


@dataclass(frozen=True)
class Inspected:
    """`error`: a key of OUTCOMES, None: good. `sha256`: hexadecimal, of the body as it came, whatever it is.

    `stored`: what to keep, the body or its re-encoded form; None exactly when there is an error.
    """

    error: str | None
    sha256: str
    stored: bytes | None


class Inspector:
    """Judges bodies by the limits, blocklists and re-encoding of `settings`. Blocklists are read once, here.

    Raises `UsageError` for blocklists that cannot be read.
    """

    def __init__(self, settings: Fetch) -> None:
        self._max_pixels = settings.max_pixels
        self._reencode = settings.reencode
        self._blocklists = Blocklists(settings.blocklists, settings.blocklist_distance)

    @property
    def decodes(self) -> bool:
        """Whether pixels are looked at."""
        return self._reencode is not None or self._blocklists.has_perceptual

    def __call__(self, body: bytes, expected: tuple[str, ...] = ()) -> Inspected:
        """The first of these that is true: empty, blocklisted by its bytes, no (readable) image, too large, another
        image than expected, blocklisted as a picture, not decodable where it has to be decoded.

        `expected`: hashes of which one has to match, `sha256:` with 32 to 64 digits or `md5:` with 32; anything else
        matches nothing. Empty: any bytes will do.
        """
        digest = hashlib.sha256(body)
        error = self._error(body, digest.digest(), expected)
        stored = None if error else body
        if stored and self._reencode:
            from tuwen.fetching.reencode import reencode  # with Pillow, which is not needed otherwise

            stored = reencode(stored, self._reencode, self._max_pixels)
            error = None if stored else "undecodable"
        return Inspected(error, digest.hexdigest(), stored)

    def _error(self, body: bytes, sha256: bytes, expected: tuple[str, ...]) -> str | None:
        if not body:
            return "empty_body"
        if self._blocklists.hold_sha256(sha256) or (self._blocklists.has_md5 and self._blocklists.hold_md5(_md5(body))):
            return "blocklisted"
        error = self._size_error(body)
        if error is None and expected and not any(_matches(body, sha256, one) for one in expected):
            return "hash_mismatch"
        if error is None and self._blocklists.has_perceptual:
            return self._picture_error(body)
        return error

    def _size_error(self, body: bytes) -> str | None:
        kind = image_format(body)
        if kind is None:
            return "vector_image" if looks_like_svg(body) else "not_an_image"
        size = declared_size(body, kind)
        if size is None or min(size) < 1:
            return "undecodable"
        if math.prod(size) > self._max_pixels or max(size) > MAX_SIDE:
            return "too_many_pixels"
        return None

    def _picture_error(self, body: bytes) -> str | None:
        """What cannot be looked at does not pass."""
        from tuwen.stages.image.perceptual_hash import PerceptualHash, perceptual_hashes
        from tuwen.stages.image.pixels import decode

        decoded = decode(body, PerceptualHash.pixels, self._max_pixels)
        if decoded.gray is None:
            return "too_many_pixels" if decoded.error == "too_many_pixels" else "undecodable"
        return "blocklisted" if self._blocklists.hold_picture(perceptual_hashes([decoded.gray])[0]) else None


class Inspections:
    """Inspections beside an event loop, where they take long: as many threads as processors, and so many pixels."""

    def __init__(self, settings: Fetch) -> None:
        self._inspect = Inspector(settings)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "inspect")
        self._pixels = Room(PIXELS_AT_ONCE)

    def close(self) -> None:
        """End the threads; who still waits for one is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, body: bytes, expected: tuple[str, ...] = ()) -> Inspected:
        """See `Inspector`."""
        if not self._inspect.decodes and len(body) <= _LARGE_BODY:  # too quick to be worth a thread
            return self._inspect(body, expected)
        pixels = min(_declared_pixels(body), PIXELS_AT_ONCE) if self._inspect.decodes else 0
        await self._pixels.take("", pixels)
        work = self._threads.submit(self._inspect, body, expected)
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the run and its loop may have ended meanwhile
                loop.call_soon_threadsafe(self._pixels.give_back, "", pixels)

        work.add_done_callback(done)  # not when this is cancelled: the thread goes on
        return await asyncio.wrap_future(work)


def _declared_pixels(body: bytes) -> int:
    kind = image_format(body)
    size = declared_size(body, kind) if kind is not None else None
    return math.prod(size) if size is not None else 0


def declared_size(body: bytes, kind: str) -> tuple[int, int] | None:
    """Width and height in pixels as the header of an image of that kind says; None where it cannot be read."""
    try:
        if kind == "jpeg":
            return _jpeg_size(body)
        if kind == "png" and body[12:16] == b"IHDR" and len(body) >= 24:
            return int.from_bytes(body[16:20]), int.from_bytes(body[20:24])
        if kind == "webp":  # before Pillow, which makes room for the whole canvas
            return _webp_size(body)
        return _pillow_size(body)
    except MemoryError:
        raise
    except Exception:  # Pillow raises nearly every built-in exception on damaged files
        return None


def _jpeg_size(body: bytes) -> tuple[int, int]:
    import simplejpeg

    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(body, strict=False)
    except ValueError:  # of a rarer kind, or broken
        return _pillow_size(body)
    return int(width), int(height)


def _webp_size(body: bytes) -> tuple[int, int] | None:
    """<https://developers.google.com/speed/webp/docs/riff_container>"""
    chunk, data = body[12:16], body[20:30]
    if len(data) < 10:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if chunk == b"VP8L" and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    return None


def _pillow_size(body: bytes) -> tuple[int, int]:
    from tuwen.stages.image.pixels import open_image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_image(body) as image:
            return image.size


def _matches(body: bytes, sha256: bytes, expected: str) -> bool:
    match = _HASH.fullmatch(expected.strip().lower())
    if match is None:
        return False
    return sha256.hex().startswith(match[2]) if match[1] else _md5(body).hex() == match[4]


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
