from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from email.utils import formatdate
from typing import Any, TypeVar

import pytest
from hostile_server import NO_OPENSSL, SERVFAIL, SILENT, Exchange, Hangup, HostileServer, Slow, image_bytes
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tuwen.fetching import bodies
from tuwen.fetching.answer import Answer
from tuwen.fetching.network import Network
from tuwen.fetching.outcomes import OUTCOMES
from tuwen.fetching.settings import Fetch
from tuwen.sources.http import decode_body

MB = 1 << 20
T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer(tls=NO_OPENSSL is None) as server:
        yield server


def run(server: HostileServer, work: Callable[[Network], Awaitable[T]], **settings: object) -> T:
    async def main() -> T:
        merged = {"contact": "mailto:me@shop.test", **server.reachable, **settings}
        async with Network(Fetch(**merged)) as network:  # type: ignore[arg-type]
            return await work(network)

    return asyncio.run(main())


def get(server: HostileServer, url: str, max_bytes: int = MB, timeout_s: float = 5.0, **settings: object) -> Answer:
    async def work(network: Network) -> Answer:
        return await network.get(url, max_bytes=max_bytes, timeout_s=timeout_s)

    answer = run(server, work, **settings)
    assert answer.error is None or answer.error in OUTCOMES
    assert answer.elapsed_ms <= (timeout_s + 0.5) * 1000
    return answer


def test_an_image(server: HostileServer) -> None:
    answer = get(server, server.url("/ok/1.png"))
    assert (answer.status, answer.error, answer.body) == (200, None, image_bytes("/ok/1.png"))
    assert answer.headers["content-type"] == "image/png" and answer.location is None and answer.retry_after_s is None
    assert answer.url == server.url("/ok/1.png") and 0 < answer.elapsed_ms < 5000


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/endless/chunked", 200, "too_large"),
        ("/endless/close", 200, "too_large"),
        ("/endless/extension", 200, "too_large"),
        ("/endless/headers", None, "bad_http"),
        ("/endless/interim", None, "bad_http"),
        ("/bomb/gzip", 200, "too_large"),
        ("/bomb/members?mb=1", 200, "truncated_body"),
        ("/encoded/gzip/1.jpg", 200, None),
        ("/encoded/wrong", 200, "bad_encoding"),
        ("/encoded/cut", 200, "truncated_body"),
        ("/length/short", None, "bad_http"),
        ("/length/long", 200, "truncated_body"),
        ("/cut/length", 200, "truncated_body"),
        ("/cut/chunked", 200, "truncated_body"),
        ("/cut/reset", 200, "truncated_body"),
        ("/hangup", None, "unreachable"),
        ("/hangup/reset", None, "unreachable"),
        ("/garbage", None, "bad_http"),
        ("/garbage/chunk", None, "bad_http"),
        ("/headers/huge", None, "bad_http"),
        ("/headers/many", None, "bad_http"),
        ("/status/403", 403, None),
        ("/status/404?endless=1", 404, None),
        ("/status/500", 500, None),
        ("/empty", 200, None),
    ],
)
def test_every_misdeed_has_its_class(server: HostileServer, path: str, status: int | None, error: str | None) -> None:
    answer = get(server, server.url(path), timeout_s=20)
    assert (answer.status, answer.error) == (status, error)
    assert len(server.requests(prefix=path)) == 1, "one call is one request"
    assert answer.elapsed_ms < 5000


def test_nothing_takes_longer_than_its_time(server: HostileServer) -> None:
    paths = ["/slow", "/stall", "/drip", "/drip/headers", "/drip?seconds=0.3", "/status/404?endless=1"]
    server.behaviours["/drip-error"] = drip_error
    server.names["silent.test"] = SILENT

    async def work(network: Network) -> None:
        urls = [server.url(path) for path in [*paths, "/drip-error"]] + [server.url("/ok/1.jpg", "silent.test")]
        started = time.monotonic()
        answers = await asyncio.gather(*(network.get(url, max_bytes=MB, timeout_s=0.7) for url in urls))
        assert time.monotonic() - started < 0.7 + 0.5
        assert [answer.error for answer in answers] == ["timeout"] * 5 + [None, None, "dns_failure"]
        assert [answer.status for answer in answers] == [None, 200, 200, None, 200, 404, 404, None]

    run(server, work, read_timeout_s=0.5)


async def drip_error(exchange: Exchange) -> None:
    await exchange.answer(404, {"Content-Length": "1000"})
    while True:
        await exchange.send(b"a")
        await asyncio.sleep(0.05)


def test_no_byte_for_long_is_a_timeout_too(server: HostileServer) -> None:
    answer = get(server, server.url("/stall"), read_timeout_s=0.2, timeout_s=10)
    assert (answer.status, answer.error) == (200, "timeout") and answer.elapsed_ms < 1000


@pytest.mark.parametrize("prefix", [True, False])
def test_no_more_is_held_than_was_asked_for(server: HostileServer, prefix: bool) -> None:
    async def work(network: Network) -> tuple[Answer, int]:
        await network.get(server.url("/ok/1.jpg"), max_bytes=MB, timeout_s=5)  # what is imported and cached once
        tracemalloc.start()
        try:
            answer = await network.get(server.url("/endless/close"), max_bytes=16 * MB, timeout_s=20, prefix=prefix)
            return answer, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    answer, peak = run(server, work)
    assert answer.error == "too_large" and len(answer.body) == (16 * MB if prefix else 0)
    assert peak < 19 * MB  # the server's own buffers are in it


def test_a_declared_length_is_believed_before_it_is_read(server: HostileServer) -> None:
    big = server.url("/ok/1.png?side=1000")

    async def work(network: Network) -> list[Answer]:
        return [await network.get(big, max_bytes=1000, timeout_s=5, prefix=prefix) for prefix in (False, True)]

    left, cut = run(server, work)
    assert (left.error, left.body) == ("too_large", b"")
    assert (cut.error, cut.body) == ("too_large", image_bytes("/ok/1.png", 1000)[:1000])
    exact = len(image_bytes("/ok/1.png"))
    assert get(server, server.url("/ok/1.png"), max_bytes=exact).error is None
    assert get(server, server.url("/ok/1.png"), max_bytes=exact - 1).error == "too_large"


def test_content_encodings_are_undone_within_the_limit(server: HostileServer) -> None:
    assert get(server, server.url("/encoded/gzip/2.jpg")).body == image_bytes("/encoded/gzip/2.jpg")
    assert get(server, server.url("/bomb/gzip?mb=1"), max_bytes=MB).body == bytes(MB)
    assert get(server, server.url("/bomb/gzip?mb=1"), max_bytes=MB - 1).error == "too_large"
    members = get(server, server.url("/bomb/members?mb=8"), max_bytes=8 * MB)
    assert members.error == "truncated_body" and members.elapsed_ms < 2000


def test_what_unpacks_to_much_is_decoded_beside_the_event_loop(server: HostileServer) -> None:
    async def work(network: Network) -> list[Answer]:
        urls = [server.url(f"/bomb/gzip?mb=64&n={number}") for number in range(3)]
        return await asyncio.gather(*(network.get(url, max_bytes=64 * MB, timeout_s=20) for url in urls))

    threads: set[str] = set()

    def decoding(body: bytes, headers: dict[str, str], limit: int) -> Any:
        if limit > MB:
            threads.add(threading.current_thread().name.partition("_")[0])
        return decode_body(body, headers, limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "decode_body", decoding)
        answers = run(server, work, max_bytes=64 * MB)
    assert [(answer.error, len(answer.body)) for answer in answers] == [(None, 64 * MB)] * 3
    assert threads == {"decode"}


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/redirect?to=/ok/2.jpg", "/ok/2.jpg"),
        ("/redirect/x?to=../ok/%E5%9B%BE.jpg", "/ok/%E5%9B%BE.jpg"),
        ("/redirect?to=http://Other.test:80/a%20b", "http://other.test/a%20b"),
        ("/redirect?to=//other.test/a&status=302", "http://other.test/a"),
        ("/redirect?to=/ok/2.jpg&status=303&body=500000", "/ok/2.jpg"),
        ("/redirect?to=/ok/2.jpg&status=308", "/ok/2.jpg"),
        ("/redirect/private", "http://10.0.0.1/1.jpg"),
        ("/loop/1", "/loop/1"),
        ("/redirect/file", None),
        ("/redirect/nowhere", None),
        ("/redirect?to=", None),
        ("/redirect?to=http://user:secret@other.test/", None),
        ("/redirect?to=http://[::1/", None),
        ("/redirect?to=javascript:alert(1)", None),
        ("/redirect?to=http://2130706433/", None),
        ("/redirect?to=/ok/2.jpg&status=300", None),
    ],
)
def test_redirects_are_told_and_not_followed(server: HostileServer, path: str, location: str | None) -> None:
    before = len(server.log)
    answer = get(server, server.url(path))
    assert answer.error is None and answer.status is not None and 300 <= answer.status < 309
    assert answer.location == (server.url(location) if location and location.startswith("/") else location)
    assert len(server.log) == before + 1


def test_retry_after(server: HostileServer) -> None:
    assert get(server, server.url("/status/429?after=7")).retry_after_s == 7
    later = get(server, server.url(f"/status/503?after={formatdate(time.time() + 60, usegmt=True)}")).retry_after_s
    assert later is not None and 50 < later <= 61
    assert get(server, server.url("/status/429?after=Fri, 31 Dec 1999 23:59:59 GMT")).retry_after_s == 0
    for junk in ("soon", "-1", "1e9", "99999999999999999999", "Fri, 99 Dec 9999 99:99:99 GMT", "nan", ""):
        assert get(server, server.url(f"/status/429?after={junk}")).retry_after_s is None


def test_headers_are_text_in_lower_case(server: HostileServer) -> None:
    headers = get(server, server.url("/headers/odd")).headers
    assert headers["x-robots-tag"] == "noai, bot: noindex" and headers["content-type"] == "image/png"
    assert headers["x-latin"] == "café" and headers["x-utf"] == "图文"


def test_what_is_sent(server: HostileServer) -> None:
    async def work(network: Network) -> list[Answer]:
        urls = [server.url("/echo/1"), server.url("/echo/2#top"), server.url("/echo/%41?b=%2F|{c}", "shop.test")]
        return [await network.get(url, max_bytes=MB, timeout_s=5) for url in urls]

    server.names["shop.test"] = "127.0.0.1"
    sent = [json.loads(answer.body) for answer in run(server, work)]
    agent = Fetch(contact="mailto:me@shop.test").user_agent
    manners = {"user-agent": agent, "accept": "image/*, */*;q=0.5", "accept-encoding": "identity"}
    for request in sent:
        assert {name: value for name, value in request["headers"].items() if name != "host"} == manners
    assert [request["path"] for request in sent] == ["/echo/1", "/echo/2", "/echo/%41?b=%2F|{c}"]
    assert sent[2]["headers"]["host"] == f"shop.test:{server.port}"


def test_connections_are_kept_alive(server: HostileServer) -> None:
    paths = ["/ok/1.jpg", "/status/404", "/ok/2.jpg", "/redirect/file?body=9", "/status/503", "/empty", "/ok/3.jpg"]

    async def work(network: Network, screened: str | None = None) -> None:
        for path in paths:
            await network.get(server.url(path), max_bytes=MB, timeout_s=5, screen=lambda status, headers: screened)

    for screened in (None, "opted_out"):
        before = server.num_connections
        run(server, lambda network, screened=screened: work(network, screened))
        assert server.num_connections == before + 1


def test_a_connection_that_was_closed_meanwhile_is_told_and_not_asked_over_again(server: HostileServer) -> None:
    paths = [f"/hangup/again/{number}" for number in range(4)]

    async def work(network: Network) -> list[tuple[str | None, bool]]:
        found = []
        for path in paths:
            assert (await network.get(server.url("/ok/1.jpg"), max_bytes=MB, timeout_s=5)).error is None
            answer = await network.get(server.url(path), max_bytes=MB, timeout_s=5)
            found.append((answer.error, answer.is_stale))
        return found

    before = len(server.log)
    # After two such connections none are kept any more: then a host that hangs up is to blame itself.
    assert run(server, work) == [("unreachable", True)] * 2 + [("unreachable", False)] * 2
    assert [request.path for request in server.requests(prefix="/hangup/again")] == paths
    sent = [request.headers.get("connection") for request in server.log[before:]]
    assert sent == [None] * 4 + ["close"] * 4


def test_no_connection_is_kept_to_hosts_that_close_them_without_a_word(server: HostileServer) -> None:
    async def work(network: Network) -> int:
        for number in range(3):
            for path in (f"/ok/{number}.jpg", "/hangup/again/x"):
                await network.get(server.url(path), max_bytes=MB, timeout_s=5)
        connections = server.num_connections
        for number in range(3):
            assert (await network.get(server.url(f"/ok/{number}.jpg"), max_bytes=MB, timeout_s=5)).error is None
        return server.num_connections - connections

    assert run(server, work) == 3


def test_a_screen_ends_it_before_the_body(server: HostileServer) -> None:
    seen: list[tuple[int, str]] = []

    def screen(status: int, headers: dict[str, str]) -> str | None:
        seen.append((status, headers["x-robots-tag"]))
        return "opted_out" if "noai" in headers["x-robots-tag"] else None

    async def work(network: Network) -> list[Answer]:
        urls = [server.url(f"/tagged/1.jpg?X-Robots-Tag={tag}") for tag in ("noai", "all")]
        return [await network.get(url, max_bytes=MB, timeout_s=5, screen=screen) for url in urls]

    refused, fine = run(server, work)
    assert (refused.status, refused.error, refused.body) == (200, "opted_out", b"")
    assert (fine.error, fine.body) == (None, image_bytes("/tagged/1.jpg"))
    assert seen == [(200, "noai"), (200, "all")]


def test_an_error_of_ours_is_not_blamed_on_the_host(server: HostileServer) -> None:
    def screen(status: int, headers: dict[str, str]) -> str | None:
        raise KeyError("ours")

    async def work(network: Network) -> Answer:
        return await network.get(server.url("/ok/1.jpg"), max_bytes=MB, timeout_s=5, screen=screen)

    with pytest.raises(KeyError, match="ours"):
        run(server, work)


def test_cancelling_cancels(server: HostileServer) -> None:
    async def work(network: Network) -> None:
        task = asyncio.create_task(network.get(server.url("/slow"), max_bytes=MB, timeout_s=30))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(server, work)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "private.test", "mapped.test"])
def test_special_addresses_are_not_asked(server: HostileServer, host: str) -> None:
    server.names |= {"private.test": "127.0.0.1", "mapped.test": "::ffff:127.0.0.1"}
    before = server.num_connections
    assert get(server, server.url("/ok/1.jpg", host), allow_addresses=()).error == "blocked_address"
    assert server.num_connections == before


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "017700000001", "127.1", "１２７.０.０.0x1", "me:pw@127.0.0.1"]
)
def test_odd_hosts_are_bad_urls(server: HostileServer, host: str) -> None:
    before = server.num_connections
    assert get(server, server.url("/ok/1.jpg", host)).error == "bad_url"
    assert server.num_connections == before


def test_the_address_that_was_checked_is_connected_to(server: HostileServer) -> None:
    server.names["rebind.test"] = "127.0.0.1"
    server.behaviours["/rebind"] = rebind

    async def work(network: Network) -> None:
        for number in range(3):  # each on a connection of its own
            answer = await network.get(server.url(f"/rebind/{number}", "rebind.test"), max_bytes=MB, timeout_s=5)
            assert (answer.status, answer.body) == (200, b"a")

    run(server, work, allow_addresses=("127.0.0.1/32",))
    assert server.asked_for().count("rebind.test") == 1
    assert get(server, server.url("/rebind", "rebind.test")).error == "blocked_address"


async def rebind(exchange: Exchange) -> None:
    exchange.server.names["rebind.test"] = "10.0.0.1"
    await exchange.answer(200, {"Connection": "close"}, b"a")
    raise Hangup


def test_names_and_ports(server: HostileServer) -> None:
    server.names |= {
        "slow.test": Slow(0.2, "127.0.0.1"),
        "broken.test": SERVFAIL,
        "some.test": ("127.0.0.1", "10.0.0.1"),
    }
    assert get(server, server.url("/ok/1.jpg", "slow.test")).error is None
    assert get(server, server.url("/ok/1.jpg", "some.test")).error is None, "only the allowed one is tried"
    assert get(server, server.url("/ok/1.jpg", "broken.test")).error == "dns_failure"
    assert get(server, server.url("/ok/1.jpg", "none.test")).error == "dns_not_found"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert get(server, f"http://127.0.0.1:{port}/").error == "refused"


@pytest.mark.skipif(NO_OPENSSL is not None, reason=str(NO_OPENSSL))
def test_certificates_are_verified(server: HostileServer) -> None:
    server.names |= {"shop.test": "127.0.0.1", "other.example": "127.0.0.1"}
    urls = [server.https_url("/ok/1.jpg", host) for host in ("127.0.0.1", "shop.test", "other.example")]
    script = f"""
import asyncio
from tuwen.fetching.network import Network
from tuwen.fetching.settings import Fetch
async def main():
    async with Network(Fetch(contact="me@b.test", **{server.reachable!r})) as network:
        for url in {urls!r}:
            print((await network.get(url, max_bytes=100000, timeout_s=5)).error)
asyncio.run(main())
"""
    assert [get(server, url).error for url in urls] == ["tls"] * 3
    assert get(server, server.url("/ok/1.jpg").replace("http:", "https:"), timeout_s=1).error in ("tls", "timeout")
    trusting = {**os.environ, "SSL_CERT_FILE": str(server.certificate)}
    done = subprocess.run([sys.executable, "-c", script], env=trusting, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "None", "tls"]


HEADS = st.sampled_from(
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.0 404 \r\n\r\n"]
)
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"5\r\nabcde\r\n",
        b"0\r\n\r\n",
        b"a" * 70_000,
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Location: http://[\r\n",
        b"Set-Cookie: \xff=;;\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ]
)


def test_any_bytes_make_an_answer(server: HostileServer) -> None:
    sent = [b""]

    async def raw(exchange: Exchange) -> None:
        await exchange.send(sent[0])
        raise Hangup

    server.behaviours["/raw"] = raw
    settings = Fetch(contact="me@b.test", allow_addresses=("127.0.0.0/8",), read_timeout_s=2)
    with asyncio.Runner() as runner:
        network = Network(settings)
        runner.run(network.__aenter__())

        @budget(max_examples=150)
        @given(HEADS, st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=6))
        @example(b"HTTP/1.1 200 OK\r\n", [b"Content-Encoding: zstd\r\n\r\n", b"\x28\xb5\x2f\xfd\xff\xff"])
        def check(head: bytes, pieces: list[bytes]) -> None:
            sent[0] = head + b"".join(pieces)
            answer = runner.run(network.get(server.url("/raw"), max_bytes=100_000, timeout_s=5))
            assert answer.error is None or answer.error in OUTCOMES
            assert answer.error is not None or answer.status is not None
            assert answer.error != "timeout" and len(answer.body) <= 100_000

        check()
        runner.run(network.__aexit__(None, None, None))


def test_a_robots_tag_for_everybody_does_not_hide_behind_one_for_an_agent(server: HostileServer) -> None:
    async def two_tags(exchange: Exchange) -> None:
        tags = b"X-Robots-Tag: googlebot: noindex\r\nX-Robots-Tag: noai\r\n"
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + tags + b"\r\n")

    server.behaviours["/two-tags"] = two_tags
    assert get(server, server.url("/two-tags")).headers["x-robots-tag"] == "noai, googlebot: noindex"
