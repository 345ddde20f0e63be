"""One HTTP request with every limit on: whatever the other side does becomes an Answer, in time and within bounds."""

from __future__ import annotations

import asyncio
import datetime
import errno
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from tuwen.fetching.answer import Answer
from tuwen.fetching.bodies import Bodies
from tuwen.fetching.guard import AddressError, Guard, checked_url, origin_of
from tuwen.fetching.resolver import Resolver
from tuwen.fetching.settings import Fetch
from tuwen.fetching.wire import Metered, Stale

Screen = Callable[[int, dict[str, str]], str | None]

_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_COUNTS = ("content-type", "content-length", "location")
_SECONDS = re.compile(r"[0-9]{1,9}")
_CHUNK_BYTES = 64 << 10
_LONGEST_HEADER = 16 << 10
_MOST_HEADERS = 200
_DRAINED_BYTES = 64 << 10
_DRAINED_S = 0.4
_KEPT_ALIVE_S = 15.0
_MOST_STALE = 2  # kept connections of an origin found closed before none are kept there any more
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
        self._bodies = Bodies(settings.max_bytes)
        self._num_stale: Counter[str] = Counter()
        self.resolver: Resolver
        self._session: aiohttp.ClientSession
        self._session_of_one: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self.resolver = Resolver(self._settings)
        self._session = self._opened()
        self._session_of_one = self._opened(keep_alive=False)
        return self

    def _opened(self, keep_alive: bool = True) -> aiohttp.ClientSession:
        settings = self._settings
        kept: dict[str, Any] = {"keepalive_timeout": _KEPT_ALIVE_S} if keep_alive else {"force_close": True}
        connector = aiohttp.TCPConnector(
            resolver=self.resolver,
            use_dns_cache=False,
            limit=0,
            socket_factory=self._guarded_socket,
            **kept,
        )
        connector._factory = cast(Any, partial(Metered, settings.max_bytes, loop=asyncio.get_running_loop()))
        session = aiohttp.ClientSession(
            connector=connector,
            headers={
                "User-Agent": settings.user_agent,
                **_HEADERS,
                **({} if keep_alive else {"Connection": "close"}),
            },
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
        session._retry_connection = False  # aiohttp would ask a server that hangs up a second time, at once
        return session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._session_of_one.close()
        await self.resolver.close()
        self._bodies.close()

    async def get(
        self, url: str, *, max_bytes: int, timeout_s: float, screen: Screen | None = None, prefix: bool = False
    ) -> Answer:
        """Ask once. Takes at most `timeout_s` (and half a second), apart from waiting for memory; holds at most
        `max_bytes` and one chunk of the body, and as much again while it undoes a content encoding.

        `screen(status, headers)` may end it before the body is read: what it returns becomes `error`. With `prefix`,
        a body that is too large is read as far as `max_bytes` and kept; otherwise it is left as soon as that is clear.
        Raises nothing but CancelledError, and what `screen` raises.
        """
        started, waited_s = time.monotonic(), 0.0
        answer = Answer(url)
        checked = checked_url(url)
        if checked is None:
            answer.error = "bad_url"
            return answer
        answer.url = checked
        answer.error = "dns_failure"  # if time runs out now
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(timeout_s) as limit:
                response = await self._open(URL(checked, encoded=True), answer)
                if response is not None:
                    _begin(answer, response)
                    answer.error = screen(response.status, answer.headers) if screen is not None else None
                    if answer.error is None and 200 <= response.status < 300:
                        answer.error = "timeout"
                        waited_s = await self._bodies.read(answer, response, max_bytes, prefix, limit)
            if response is not None:
                await _drain(response)
        except TimeoutError:
            pass  # `error` says what was being waited for
        finally:
            if response is not None:
                response.close()  # nothing happens to a connection whose answer has been read to its end
        answer.elapsed_ms = (time.monotonic() - started - waited_s) * 1000
        return answer

    async def _open(self, target: URL, answer: Answer) -> aiohttp.ClientResponse | None:
        """Everything until the headers are there."""
        host = target.raw_host or ""
        try:
            if not (host.rpartition(".")[2].isdigit() or ":" in host):  # tells names from addresses in a checked URL
                await self.resolver.addresses(host)
            answer.error = "timeout"
            is_kept = self._num_stale[origin_of(answer.url)] < _MOST_STALE
            session = self._session if is_kept else self._session_of_one
            response = await session.get(target, allow_redirects=False)
        except Stale:
            self._num_stale[origin_of(answer.url)] += 1
            answer.error, answer.is_stale = "unreachable", True
            return None
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


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads on if little is left, so that the connection serves again: an error page is cheaper than a handshake."""
    length = response.content_length
    if response.closed or response.content.at_eof() or (length is not None and length > _DRAINED_BYTES):
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
