"""One HTTP request with every limit on: whatever the other side does becomes an Answer, in time and within bounds."""

from __future__ import annotations

import asyncio
import datetime
import errno
import io
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urljoin

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from tuwen.fetching.answer import Answer
from tuwen.fetching.guard import AddressError, Guard, checked_url
from tuwen.fetching.resolver import Resolver
from tuwen.fetching.room import Room
from tuwen.fetching.settings import Fetch
from tuwen.sources.http import Decoded, decode_body

Screen = Callable[[int, dict[str, str]], str | None]

_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_COUNTS = ("content-type", "content-length", "location")
_LENGTH = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_CHUNK_BYTES = 64 << 10
_LONGEST_HEADER = 16 << 10
_MOST_HEADERS = 200
_HEAD_BYTES = 1 << 20
"""Of one answer on the wire, interim answers (1xx) included."""
_DRAINED_BYTES = 64 << 10
_DRAINED_S = 0.4
_KEPT_ALIVE_S = 15.0
_ROOM_BYTES = 256 << 20  # for bodies in all, beyond the first quarter megabyte of each
_SMALL_BYTES = 256 << 10
_HEADERS = {
    # No preference among image formats: some hosts would make another file of the original to please it.
    "Accept": "image/*, */*;q=0.5",
    # Images gain nothing from compression; what comes compressed all the same is decoded.
    "Accept-Encoding": "identity",
}


class Network:
    """Asks for URLs over HTTP/1.1, one request each, connections kept alive. An async context manager.

    Never follows redirects; never sends cookies, credentials or a referrer; knows no proxies. Connects to public
    addresses only, and to those in `settings.allow_addresses`: the address that was checked is the one connected to.
    Certificates are verified against what the system trusts, or SSL_CERT_FILE. How many requests run at once, and how
    fast they follow each other, is for the caller to say.
    """

    def __init__(self, settings: Fetch) -> None:
        self._settings = settings
        self._guard = Guard(settings.allow_addresses)
        self._room = Room(max(_ROOM_BYTES, 2 * settings.max_bytes))
        self.resolver: Resolver
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        settings = self._settings
        self.resolver = Resolver(settings)
        connector = aiohttp.TCPConnector(
            resolver=self.resolver,
            use_dns_cache=False,
            limit=0,
            keepalive_timeout=_KEPT_ALIVE_S,
            socket_factory=self._guarded_socket,
        )
        connector._factory = cast(Any, partial(_Metered, settings.max_bytes, loop=asyncio.get_running_loop()))
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": settings.user_agent, **_HEADERS},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_CHUNK_BYTES,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
            # `get` keeps the deadline; aiohttp would round these up to whole seconds but for the threshold.
            timeout=aiohttp.ClientTimeout(
                sock_connect=settings.connect_timeout_s,
                sock_read=settings.read_timeout_s,
                ceil_threshold=float("inf"),
            ),
        )
        # aiohttp would ask a server that hangs up a second time, at once. See _Stale for when that is right.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()
        await self.resolver.close()

    async def get(
        self, url: str, *, max_bytes: int, timeout_s: float, screen: Screen | None = None, prefix: bool = False
    ) -> Answer:
        """Ask once. Takes at most `timeout_s` (and half a second); holds at most `max_bytes` and one chunk of the body,
        and as much again while it undoes a content encoding.

        `screen(status, headers)` may end it before the body is read: what it returns becomes `error`. With `prefix`,
        a body that is too large is read as far as `max_bytes` and kept; otherwise it is left as soon as that is clear.
        Raises nothing but CancelledError, and what `screen` raises.
        """
        started = time.monotonic()
        answer = Answer(url)
        checked = checked_url(url)
        if checked is None:
            answer.error = "bad_url"
            return answer
        answer.url = checked
        answer.error = "dns_failure"  # if time runs out now
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._open(URL(checked, encoded=True), answer)
                if response is not None:
                    _begin(answer, response)
                    answer.error = screen(response.status, answer.headers) if screen is not None else None
                    if answer.error is None and 200 <= response.status < 300:
                        answer.error = "timeout"
                        await _read(answer, response, max_bytes, prefix, self._room)
            if response is not None:
                await _drain(response)
        except TimeoutError:
            pass  # `error` says what was being waited for
        finally:
            if response is not None:
                response.close()  # nothing happens to a connection whose answer has been read to its end
        answer.elapsed_ms = (time.monotonic() - started) * 1000
        return answer

    async def _open(self, target: URL, answer: Answer) -> aiohttp.ClientResponse | None:
        """Everything until the headers are there."""
        host = target.raw_host or ""
        try:
            if not (host.rpartition(".")[2].isdigit() or ":" in host):  # tells names from addresses in a checked URL
                await self.resolver.addresses(host)
            answer.error = "timeout"
            response: aiohttp.ClientResponse | None = None
            while response is None:
                with suppress(_Stale):
                    response = await self._session.get(target, allow_redirects=False)
        except Exception as error:  # aiohttp raises much; it is all the other side's doing
            answer.error = _failure_to_answer(error)
            return None
        answer.error = None
        return response

    def _guarded_socket(self, place: tuple[Any, ...]) -> socket.socket:
        """The one gate to the outside: all connections, to names and to literal addresses, begin here."""
        family, kind, protocol, _, address = place
        if not self._guard.allows(address[0]):
            raise AddressError("blocked_address", f"{address[0]} is not a public address")
        return socket.socket(family, kind, protocol)


class _TooMuch(aiohttp.ClientPayloadError):
    """More bytes for one answer than its headers and its body can need."""


class _Stale(aiohttp.ServerDisconnectedError):
    """A connection that was kept alive had been closed by the server when it was used again.

    Most likely nobody read the request, so it is sent over another one. <https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1>
    """


class _Metered(ResponseHandler):
    """Counts what comes over the wire for one answer: interim answers, chunk extensions and trailers are in no body."""

    def __init__(self, max_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._body_bytes = max_bytes + max_bytes // 4  # chunk sizes, and what was on its way when reading stopped
        self._bytes_left = 0
        self._num_requests = 0

    def set_response_params(self, **params: Any) -> None:
        """aiohttp calls it before each request."""
        self._bytes_left = _HEAD_BYTES
        self._num_requests += 1
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The parser calls it with each head: (message, body)."""
        if data[0].code >= 200:
            self._bytes_left += self._body_bytes
        super().feed_data(data, size)

    def set_exception(self, error: BaseException, *cause: BaseException) -> None:
        """Among others, that the connection was lost."""
        unanswered = self._num_requests > 1 and self._bytes_left == _HEAD_BYTES
        if unanswered and isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            error = _Stale()
        super().set_exception(error, *cause)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left >= 0:
            super().data_received(data)
            return
        error = _TooMuch("too many bytes for one answer")
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


def _begin(answer: Answer, response: aiohttp.ClientResponse) -> None:
    """Status and headers."""
    headers = answer.headers
    for raw_name, raw_value in response.raw_headers:
        name, value = _text(raw_name).lower(), _text(raw_value)
        if name not in headers:
            headers[name] = value
        elif name == "x-robots-tag" and ":" not in value:  # behind one for an agent it would be taken for that agent's
            headers[name] = f"{value}, {headers[name]}"
        elif name not in _FIRST_COUNTS:
            headers[name] += ", " + value
    answer.status = response.status
    if response.status in _REDIRECTS:
        answer.location = _redirect_target(answer.url, headers.get("location"))
    if "retry-after" in headers:
        answer.retry_after_s = _seconds_until(headers["retry-after"])


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _redirect_target(url: str, location: str | None) -> str | None:
    if not location:
        return None
    try:
        return checked_url(urljoin(url, location.strip()))
    except ValueError:
        return None


def _seconds_until(retry_after: str) -> float | None:
    """Of a number of seconds or an HTTP date. <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>"""
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, when.timestamp() - time.time())


async def _read(answer: Answer, response: aiohttp.ClientResponse, max_bytes: int, prefix: bool, room: Room) -> None:
    """The body, decoded. `error` becomes what is wrong with it, or None."""
    length = answer.headers.get("content-length", "")
    if not prefix and _LENGTH.fullmatch(length) and int(length) > max_bytes:
        answer.error = "too_large"
        return
    body = io.BytesIO()
    error: str | None = None
    taken = 0
    try:
        async for piece in response.content.iter_any():
            body.write(piece)
            if body.tell() > max_bytes:
                body.truncate(max_bytes)
                error = "too_large"
                break
            if not taken and body.tell() > _SMALL_BYTES:  # all at once: two half-read bodies never wait for each other
                wanted = int(length) if _LENGTH.fullmatch(length) and int(length) <= max_bytes else max_bytes
                await room.take(wanted)
                taken = wanted
    except Exception as failure:  # aiohttp raises much; it is all the other side's doing
        error = _failure_of_body(failure)
    finally:
        room.give_back(taken)
    if error == "too_large" and not prefix:
        answer.error = error
        return
    answer.body = body.getvalue()
    decoded = _decoded(answer, max_bytes)
    answer.body = decoded.body
    answer.error = error or decoded.error


def _decoded(answer: Answer, max_bytes: int) -> Decoded:
    """The body without its content encoding; its framing has been undone already."""
    encoding = answer.headers.get("content-encoding")
    if encoding is None:
        return Decoded(answer.body, None)
    return decode_body(answer.body, {"content-encoding": encoding}, max_bytes)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads on if little is left, so that the connection serves again: an error page is cheaper than a handshake."""
    length = response.content_length
    if response.closed or (length is not None and length > _DRAINED_BYTES):
        return
    drained = 0
    try:
        async with asyncio.timeout(_DRAINED_S):
            async for piece in response.content.iter_any():
                drained += len(piece)
                if drained > _DRAINED_BYTES:
                    return
    except Exception:
        return  # the answer is known; the connection is closed


def _failure_to_answer(error: Exception) -> str:
    """The class of what went wrong before the headers were there."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, AddressError):
        return cause.error
    if isinstance(cause, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return "tls"
    if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
        return "refused"
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return "unreachable"
    return "bad_http"


def _failure_of_body(error: Exception) -> str:
    """The class of what went wrong after the headers."""
    if isinstance(error, _TooMuch):
        return "too_large"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "truncated_body"
    return "bad_http" if isinstance(error, HttpProcessingError) else "disconnected"
