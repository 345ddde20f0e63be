"""A web server and a name server that do everything wrong that servers on the Internet do; and some things right.

    with HostileServer() as server:
        server.url("/ok/1.jpg")                              # http://127.0.0.1:PORT/ok/1.jpg
        server.names["shop.test"] = "127.0.0.1"              # what its name server says; see hostile_names.py
        server.url("/drip/1.jpg", host="shop.test")
        server.site_files["shop.test", "/robots.txt"] = (200, {}, b"User-agent: *\\nDisallow: /", 0.0)
        Fetch(contact="mailto:me@shop.test", **server.reachable)   # settings with which it can be reached
        server.log                                           # every request: time, host, path, headers
        server.behaviours["/mine"] = my_behaviour            # async def my_behaviour(exchange: Exchange) -> None

The longest prefix of the path in BEHAVIOURS decides. Parameters stand in the query and have defaults.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import hashlib
import io
import json
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from hostile_names import NODATA, NXDOMAIN, REFUSED, SERVFAIL, SILENT, Name, NameServer, Query, Slow
from PIL import Image

HTML = b"<!doctype html><html><body><h1>Sorry, this picture has moved.</h1></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>'
__all__ = ["NODATA", "NXDOMAIN", "REFUSED", "SERVFAIL", "SILENT", "Slow"]
__all__ += ["BEHAVIOURS", "HTML", "NO_OPENSSL", "REMOVED", "SVG", "Behaviour", "Exchange", "Hangup", "HostileServer"]
__all__ += ["Request", "image_bytes"]
NO_OPENSSL = None if shutil.which("openssl") else "the openssl command is not there to make a certificate"
_REASONS = {200: "OK", 301: "Moved Permanently", 404: "Not Found", 429: "Too Many Requests", 503: "Busy"}
_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP"}
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp"}


def _format(path: str) -> str:
    return _FORMATS.get(path.rpartition(".")[2].lower(), "JPEG")


@functools.lru_cache(4096)
def image_bytes(path: str, side: int = 64) -> bytes:
    """The picture at a path: its bytes depend on the path alone, its format on the extension (JPEG where none)."""
    seed = hashlib.sha256(path.encode()).digest()
    tiles = Image.frombytes("RGB", (3, 3), seed[:27]).resize((side, side), Image.Resampling.BICUBIC)
    output = io.BytesIO()
    tiles.save(output, _format(path), quality=90)
    return output.getvalue()


REMOVED = image_bytes("removed.png", 48)


class Request(NamedTuple):
    """One line of the log."""

    time: float
    """`time.monotonic()` when its headers had come."""
    host: str
    """Of the Host header, without the port."""
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case."""


class Hangup(Exception):
    """Raised by a behaviour: the connection is closed."""


@dataclass
class Exchange:
    """What a behaviour works with."""

    server: HostileServer
    request: Request
    writer: asyncio.StreamWriter
    path: str
    query: dict[str, str]

    async def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """A well-formed answer; Content-Length is added unless the headers say how long the body is."""
        headers = dict(headers or {})
        if not {"content-length", "transfer-encoding", "connection"} & {name.lower() for name in headers}:
            headers["Content-Length"] = str(len(body))
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Other')}", *(f"{n}: {v}" for n, v in headers.items())]
        await self.send("\r\n".join([*lines, "", ""]).encode("utf-8") + body)

    async def image(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """The picture of this path."""
        body = image_bytes(self.path, int(self.query.get("side", "64")))
        await self.answer(status, {"Content-Type": _TYPES[_format(self.path)], **(headers or {})}, body)

    def reset(self) -> None:
        """RST instead of FIN."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Hangup

    def number(self, name: str, default: float) -> float:
        """A parameter of the query."""
        return float(self.query.get(name, default))


Behaviour = Callable[[Exchange], Awaitable[None]]


async def _tagged(exchange: Exchange) -> None:
    await exchange.image(headers=exchange.query)


async def _slow(exchange: Exchange) -> None:
    await asyncio.sleep(exchange.number("seconds", 30))
    await exchange.image()


async def _drip(exchange: Exchange) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n"
    await exchange.send(head + (b"X-Slow: " if "headers" in exchange.path else b"\r\n\xff\xd8\xff"))
    while True:
        await exchange.send(b"a")
        await asyncio.sleep(exchange.number("seconds", 0.05))


async def _stall(exchange: Exchange) -> None:
    body = image_bytes(exchange.path)
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:100])
    await asyncio.sleep(exchange.number("seconds", 30))


async def _endless(exchange: Exchange) -> None:
    """chunked · close (no length) · extension (of a chunk) · headers · interim (100 Continue) · trailers."""
    kind = exchange.path.split("/")[2]
    starts = {
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        "headers": b"HTTP/1.1 200 OK\r\n",
        "interim": b"",
        "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
    }
    block = b"a" * 65536
    pieces = {
        "chunked": b"10000\r\n" + block + b"\r\n",
        "headers": b"".join(b"X-%d: b\r\n" % number for number in range(1000)),
        "interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        "trailers": b"X-Trailer: b\r\n" * 1000,
    }
    await exchange.send(starts[kind])
    while True:
        await exchange.send(pieces.get(kind, block))


async def _bomb(exchange: Exchange) -> None:
    """gzip: `?mb=` of zeros · members: as many empty gzip members as fit in `?mb=` · pixels: a PNG of 10^10."""
    kind, size = exchange.path.split("/")[2], int(exchange.number("mb", 64)) << 20
    if kind == "pixels":
        head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
        body = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + b"\0" * 4
        return await exchange.answer(200, {"Content-Type": "image/png"}, body)
    empty = gzip.compress(b"", mtime=0)
    body = empty * (size // len(empty)) if kind == "members" else _zeros(size)
    await exchange.answer(200, {"Content-Type": "image/png", "Content-Encoding": "gzip"}, body)


@functools.lru_cache(4)
def _zeros(size: int) -> bytes:
    return gzip.compress(bytes(size), mtime=0)


async def _encoded(exchange: Exchange) -> None:
    """gzip: properly · wrong: gzip in name only, around HTML that is none · cut: half of it."""
    kind, body = exchange.path.split("/")[2], gzip.compress(image_bytes(exchange.path), mtime=0)
    body = {"wrong": b"\x00not gzip at all", "cut": body[: len(body) // 2]}.get(kind, body)
    await exchange.answer(200, {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}, body)


async def _length(exchange: Exchange) -> None:
    """short: less is announced than comes · long: more is announced than comes."""
    body = image_bytes(exchange.path)
    if "/short" in exchange.path:
        return await exchange.answer(200, {"Content-Length": str(len(body) // 2)}, body)
    await exchange.answer(200, {"Content-Length": str(len(body) * 2)}, body)
    raise Hangup


async def _cut(exchange: Exchange) -> None:
    """In the middle of the body: length · chunked · reset."""
    body = image_bytes(exchange.path)
    if "/chunked" in exchange.path:
        await exchange.answer(200, {"Transfer-Encoding": "chunked"}, b"%x\r\n" % len(body) + body[: len(body) // 2])
    else:
        await exchange.answer(200, {"Content-Length": str(len(body))}, body[: len(body) // 2])
    if "/reset" in exchange.path:
        await asyncio.sleep(0.05)
        exchange.reset()
    raise Hangup


async def _hangup(exchange: Exchange) -> None:
    if "/reset" in exchange.path:
        exchange.reset()
    raise Hangup


async def _closing(exchange: Exchange) -> None:
    """A picture, and the connection closed without a word about it."""
    await exchange.image()
    raise Hangup


async def _garbage(exchange: Exchange) -> None:
    """Not HTTP; `/garbage/chunk`: HTTP, and then chunks that are none."""
    if "/chunk" in exchange.path:
        await exchange.answer(200, {"Transfer-Encoding": "chunked"}, b"5\r\nabcde\r\nzzzz\r\nhello\r\n")
    else:
        await exchange.send(b"SSH-2.0-OpenSSH_9.7\r\n\x00\x01\x02\xff\xfe\r\n\r\n")
    raise Hangup


async def _headers(exchange: Exchange) -> None:
    """huge: one of 1 MB · many: 10,000 · odd: bytes that are no UTF-8, repeated names, Set-Cookie."""
    if "/odd" in exchange.path:
        head = b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nX-Robots-Tag: noai\r\nX-Robots-Tag: bot: noindex\r\n"
        head += "X-Utf: 图文\r\nSet-Cookie: id=1\r\nContent-Type: image/png\r\nContent-Type: text/html\r\n".encode()
        return await exchange.send(head + b"Content-Length: 1\r\n\r\na")
    if "/huge" in exchange.path:
        return await exchange.image(headers={"X-Huge": "h" * 1_000_000})
    await exchange.image(headers={f"X-{number}": "many" for number in range(10_000)})


async def _loop(exchange: Exchange) -> None:
    await exchange.answer(302, {"Location": exchange.request.path})


async def _redirect(exchange: Exchange) -> None:
    """`?to=URL`, `?status=`, `?body=BYTES`; or /redirect/private, /redirect/file, /redirect/nowhere."""
    places = {"private": "http://10.0.0.1/1.jpg", "file": "file:///etc/passwd"}
    target = exchange.query.get("to") or places.get(exchange.path.split("/")[-1])
    headers = {} if target is None else {"Location": target}
    await exchange.answer(int(exchange.number("status", 301)), headers, b"m" * int(exchange.number("body", 0)))


async def _status(exchange: Exchange) -> None:
    """/status/404; `?after=` becomes Retry-After; `?endless=1` a body without end."""
    status = int(exchange.path.split("/")[2])
    headers = {"Retry-After": exchange.query["after"]} if "after" in exchange.query else {}
    if "endless" in exchange.query:
        await exchange.answer(status, {**headers, "Connection": "close"})
        while True:
            await exchange.send(HTML * 100)
    await exchange.answer(status, {**headers, "Content-Type": "text/html"}, HTML)


async def _storm(exchange: Exchange) -> None:
    """`?status=` (503) to the first `?n=` (3) requests of a path, then the picture."""
    exchange.server.visits[exchange.path] += 1
    if exchange.server.visits[exchange.path] > exchange.number("n", 3):
        return await exchange.image()
    headers = {"Retry-After": exchange.query["after"]} if "after" in exchange.query else {}
    await exchange.answer(int(exchange.number("status", 503)), headers, b"busy")


async def _echo(exchange: Exchange) -> None:
    body = json.dumps({"path": exchange.request.path, "headers": exchange.request.headers}).encode()
    await exchange.answer(200, {"Content-Type": "application/json", "Set-Cookie": "seen=1; Path=/"}, body)


def _always(content_type: str, body: bytes) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.answer(200, {"Content-Type": content_type}, body)

    return behaviour


BEHAVIOURS: dict[str, Behaviour] = {
    "/ok": Exchange.image,  # `?side=` pixels
    "/tagged": _tagged,  # a picture; the query's fields become headers: ?X-Robots-Tag=noai
    "/slow": _slow,  # first byte after `?seconds=` (30)
    "/stall": _stall,  # 100 bytes of the body, then nothing for `?seconds=` (30)
    "/drip": _drip,  # a byte each 50 ms (`?seconds=`) for ever; /drip/headers in the headers
    "/endless": _endless,
    "/bomb": _bomb,
    "/encoded": _encoded,
    "/length": _length,
    "/cut": _cut,
    "/hangup": _hangup,  # before an answer; /hangup/reset with RST
    "/closing": _closing,
    "/garbage": _garbage,
    "/headers": _headers,
    "/loop": _loop,
    "/redirect": _redirect,
    "/status": _status,
    "/storm": _storm,
    "/html": _always("text/html", HTML),  # with status 200
    "/sorry": _always("image/jpeg", HTML),  # HTML that says it is a picture
    "/wrong-type": _always("text/plain; charset=utf-8", image_bytes("/wrong-type.jpg")),
    "/svg": _always("image/svg+xml", SVG),
    "/empty": _always("image/jpeg", b""),
    "/broken": _always("image/jpeg", image_bytes("/broken.jpg")[:200]),  # a whole transfer of half a picture
    "/removed": _always("image/png", REMOVED),  # the same bytes for every path
    "/echo": _echo,  # path and headers of the request as JSON; sets a cookie
}


@dataclass
class HostileServer:
    """Both servers, in a thread of their own, on ephemeral ports of 127.0.0.1."""

    behaviours: dict[str, Behaviour] = field(default_factory=lambda: dict(BEHAVIOURS))
    site_files: dict[tuple[str, str], tuple[int, dict[str, str], bytes, float]] = field(default_factory=dict)
    """(host without port, path) → status, headers, body, seconds before the answer. Goes before `behaviours`."""
    names: dict[str, Name] = field(default_factory=dict)
    unknown_names: Name = NXDOMAIN
    tls: bool = False
    """Also serve HTTPS with a self-signed certificate for localhost, 127.0.0.1 and (*.)shop.test (needs openssl)."""
    log: list[Request] = field(default_factory=list)
    asked: list[Query] = field(default_factory=list)
    """The name server's log."""
    visits: Counter[str] = field(default_factory=Counter)
    num_connections: int = 0
    port: int = 0
    tls_port: int = 0
    dns_port: int = 0
    certificate: Path | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        context = self._tls_context() if self.tls else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._await(self._start(context))
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._folder.cleanup()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Where a path is served."""
        return f"http://{host}:{self.port}{path}"

    def https_url(self, path: str, host: str = "127.0.0.1") -> str:
        """The same over TLS."""
        return f"https://{host}:{self.tls_port}{path}"

    @property
    def nameserver(self) -> str:
        """For `fetch.nameservers`."""
        return f"127.0.0.1:{self.dns_port}"

    @property
    def reachable(self) -> dict[str, Any]:
        """Settings (of `Fetch`) with which this server's names resolve and its address is allowed."""
        return {"nameservers": (self.nameserver,), "allow_addresses": ("127.0.0.0/8",)}

    def requests(self, host: str | None = None, prefix: str = "/") -> list[Request]:
        """Lines of the log."""
        return [line for line in list(self.log) if host in (None, line.host) and line.path.startswith(prefix)]

    def asked_for(self) -> list[str]:
        """Names that the name server was asked for, once per A query."""
        return [query.name for query in list(self.asked) if query.kind == "A"]

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self, context: ssl.SSLContext | None) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        self._servers = [await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 20, backlog=1024)]
        self.port = self._servers[0].sockets[0].getsockname()[1]
        if context is not None:
            self._servers.append(await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=context))
            self.tls_port = self._servers[1].sockets[0].getsockname()[1]
        self._dns, _ = await self._loop.create_datagram_endpoint(
            lambda: NameServer(self.names, self.asked, lambda: self.unknown_names), ("127.0.0.1", 0)
        )
        self.dns_port = self._dns.get_extra_info("sockname")[1]

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        self._dns.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # transports close

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (Hangup, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        target = head[0].split(" ")[1]
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        request = Request(time.monotonic(), host, target, {n: v for n, v in headers.items() if n})
        self.log.append(request)
        parts = urlsplit("http://x" + target)
        exchange = Exchange(self, request, writer, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)))
        if site_file := self.site_files.get((host, parts.path)):
            status, more_headers, body, delay_s = site_file
            await asyncio.sleep(delay_s)
            await exchange.answer(status, more_headers, body)
            return True
        prefixes = [prefix for prefix in self.behaviours if parts.path.startswith(prefix)]
        if prefixes:
            await self.behaviours[max(prefixes, key=len)](exchange)
        else:
            await exchange.answer(404, {"Content-Type": "text/html"}, HTML)
        return True

    def _tls_context(self) -> ssl.SSLContext:
        folder = Path(self._folder.name)
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        )
        names = "subjectAltName=DNS:localhost,DNS:shop.test,DNS:*.shop.test,IP:127.0.0.1"
        files = ["-addext", names, "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        return context
