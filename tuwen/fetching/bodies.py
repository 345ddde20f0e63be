"""Bodies of answers: read and decoded within bounds, and never on the host's time what is our own doing."""

from __future__ import annotations

import asyncio
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from tuwen.fetching.answer import Answer
from tuwen.fetching.guard import origin_of
from tuwen.fetching.room import Room
from tuwen.fetching.wire import TooMuch
from tuwen.sources.http import Decoded, decode_body

_LENGTH = re.compile(r"[0-9]{1,18}")
_ROOM_BYTES = 256 << 20  # for bodies in all, beyond the first quarter megabyte of each
_SHARES = 8  # an origin holds at most one of so many
_SMALL_BYTES = 256 << 10
_DECODED_HERE = 64 << 10  # as sent; what unpacks to more than a quarter megabyte is decoded beside the event loop too
_DECODERS = 2


class Bodies:
    """Reads the bodies of a run. Large ones share memory: each waits for all it can need before it is read on, and
    holds it until it is decoded, so none waits while it holds; an origin gets an eighth at most.
    """

    def __init__(self, max_bytes: int) -> None:
        room = max(_ROOM_BYTES, 2 * max_bytes)
        self._room = Room(room, max(max_bytes, room // _SHARES))
        self._decoders = ThreadPoolExecutor(_DECODERS, "decode")

    def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def read(
        self, answer: Answer, response: aiohttp.ClientResponse, max_bytes: int, prefix: bool, limit: asyncio.Timeout
    ) -> float:
        """The body, decoded; `error` becomes what is wrong with it, or None. Returns seconds that were not the host's.

        `limit`, within which this runs, is put off by the seconds that are spent waiting for memory, and is off once
        the body is there.
        """
        length = answer.headers.get("content-length", "")
        announced = int(length) if _LENGTH.fullmatch(length) else None
        if not prefix and announced is not None and announced > max_bytes:
            answer.error = "too_large"
            return 0.0
        hold = _Hold(self._room, origin_of(answer.url), limit)
        is_encoded = "content-encoding" in answer.headers
        needed = max_bytes if announced is None or is_encoded else min(announced, max_bytes)
        try:
            error = await _collect(answer, response, max_bytes, needed, hold)
            limit.reschedule(None)
            if error == "too_large" and not prefix:
                answer.body = b""
            elif is_encoded:
                answer.body, wrong = await self._decoded(answer, max_bytes, hold)
                error = error or wrong
            answer.error = error
        finally:
            hold.end()
        return hold.waited_s

    async def _decoded(self, answer: Answer, max_bytes: int, hold: _Hold) -> Decoded:
        """The body without its content encoding; its framing has been undone already."""
        headers = {"content-encoding": answer.headers["content-encoding"]}
        if len(answer.body) <= _DECODED_HERE:
            decoded = decode_body(answer.body, headers, min(max_bytes, _SMALL_BYTES))
            if decoded.error != "too_large" or max_bytes <= _SMALL_BYTES:
                return decoded
        started = time.monotonic()
        await hold.take(max_bytes)
        loop = asyncio.get_running_loop()
        decoded = await loop.run_in_executor(self._decoders, decode_body, answer.body, headers, max_bytes)
        hold.waited_s += time.monotonic() - started
        return decoded


class _Hold:
    """Room for one body, and the seconds that were spent waiting for it, by which `limit` is put off."""

    def __init__(self, room: Room, taker: str, limit: asyncio.Timeout) -> None:
        self._room, self._taker, self._limit = room, taker, limit
        self._num = 0
        self.waited_s = 0.0

    async def take(self, num: int) -> None:
        """Wait for room, once."""
        if self._num:
            return
        started, ends_at = time.monotonic(), self._limit.when()
        self._limit.reschedule(None)
        await self._room.take(self._taker, num)
        self._num = num
        waited_s = time.monotonic() - started
        if ends_at is not None:
            self._limit.reschedule(ends_at + waited_s)
            self.waited_s += waited_s

    def end(self) -> None:
        """Give back what was taken."""
        self._room.give_back(self._taker, self._num)


async def _collect(
    answer: Answer, response: aiohttp.ClientResponse, max_bytes: int, needed: int, hold: _Hold
) -> str | None:
    """Read the body as it is sent, as far as `max_bytes`. Returns what is wrong with it."""
    body = io.BytesIO()
    error: str | None = None
    try:
        async for piece in response.content.iter_any():
            body.write(piece)
            if body.tell() > max_bytes:
                body.truncate(max_bytes)
                error = "too_large"
                break
            if body.tell() > _SMALL_BYTES:
                await hold.take(needed)
    except Exception as failure:  # aiohttp raises much; it is all the other side's doing
        error = _failure(failure)
    answer.body = body.getvalue()
    return error


def _failure(error: Exception) -> str:
    """The class of what went wrong after the headers."""
    if isinstance(error, TooMuch):
        return "too_large"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "truncated_body"
    return "bad_http" if isinstance(error, HttpProcessingError) else "disconnected"
