from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from hostile_server import NODATA, NXDOMAIN, REFUSED, SERVFAIL, SILENT, HostileServer, Slow

from tuwen.errors import UsageError
from tuwen.fetching.guard import AddressError
from tuwen.fetching.resolver import Resolver
from tuwen.fetching.settings import Fetch

T = TypeVar("T")


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


def run(server: HostileServer, work: Callable[[Resolver], Awaitable[T]], **settings: object) -> T:
    async def main() -> T:
        resolver = Resolver(Fetch(contact="x", **{**server.reachable, **settings}))  # type: ignore[arg-type]
        try:
            return await work(resolver)
        finally:
            await resolver.close()

    return asyncio.run(main())


async def outcome(resolver: Resolver, name: str) -> str | tuple[str, ...]:
    try:
        return await resolver.addresses(name)
    except AddressError as error:
        assert name in str(error)
        return error.error


def test_every_answer_has_its_class(server: HostileServer) -> None:
    server.names |= {
        "one.test": "127.0.0.1",
        "two.test": ("127.0.0.1", "127.0.0.2"),
        "gone.test": NXDOMAIN,
        "mail-only.test": NODATA,
        "broken.test": SERVFAIL,
        "closed.test": REFUSED,
        "silent.test": SILENT,
        "private.test": ("10.0.0.1", "fd00::1"),
        "mapped.test": "::ffff:127.0.0.1",
        "mixed.test": ("127.0.0.1", "10.0.0.1"),
    }

    async def work(resolver: Resolver) -> dict[str, str | tuple[str, ...]]:
        names = [*server.names, "unknown.test", "localhost"]
        results = await asyncio.gather(*(outcome(resolver, name) for name in names))
        return dict(zip(names, results, strict=True))

    results = run(server, work, dns_timeout_s=0.6)
    assert set(results.pop("two.test")) == {"127.0.0.1", "127.0.0.2"}
    assert results == {
        "one.test": ("127.0.0.1",),
        "gone.test": "dns_not_found",
        "mail-only.test": "dns_not_found",
        "broken.test": "dns_failure",
        "closed.test": "dns_failure",
        "silent.test": "dns_failure",
        "private.test": "blocked_address",
        "mapped.test": "blocked_address",
        "mixed.test": ("127.0.0.1",),
        "unknown.test": "dns_not_found",
        "localhost": ("127.0.0.1",),  # of the hosts file; ::1 is not allowed
    }
    assert "localhost" not in {name for _, name, _ in server.asked}


def test_a_name_is_asked_for_once(server: HostileServer) -> None:
    server.names["slow.test"] = Slow(0.1, "127.0.0.1")

    async def work(resolver: Resolver) -> None:
        together = await asyncio.gather(*(outcome(resolver, "slow.test") for _ in range(50)))
        assert set(together) == {("127.0.0.1",)}
        assert await outcome(resolver, "none.test") == await outcome(resolver, "none.test") == "dns_not_found"
        server.names["slow.test"] = "10.0.0.1"
        assert await outcome(resolver, "slow.test") == ("127.0.0.1",)

    run(server, work)
    assert Counter(server.asked_for()) == {"slow.test": 1, "none.test": 1}


def test_a_failure_is_forgotten_soon(server: HostileServer) -> None:
    server.names["flaky.test"] = SERVFAIL

    async def work(resolver: Resolver) -> None:
        assert await outcome(resolver, "flaky.test") == "dns_failure"
        server.names["flaky.test"] = "127.0.0.1"
        assert await outcome(resolver, "flaky.test") == "dns_failure"
        await asyncio.sleep(1.1)
        assert await outcome(resolver, "flaky.test") == ("127.0.0.1",)

    run(server, work)


def test_few_names_are_in_flight_at_a_time(server: HostileServer) -> None:
    server.unknown_names = Slow(0.1, "127.0.0.1")

    async def work(resolver: Resolver) -> None:
        await asyncio.gather(*(outcome(resolver, f"n{number}.test") for number in range(12)))

    started = time.monotonic()
    run(server, work, dns_concurrency=3)
    assert time.monotonic() - started >= 0.4
    times = sorted(asked for asked, _, kind in server.asked if kind == "A")
    assert len(times) == 12
    assert all(later - earlier > 0.08 for earlier, later in zip(times, times[3:], strict=False))


def test_who_gives_up_takes_nobody_along(server: HostileServer) -> None:
    server.names["slow.test"] = Slow(0.3, "127.0.0.1")

    async def work(resolver: Resolver) -> None:
        patient = asyncio.create_task(outcome(resolver, "slow.test"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.addresses("slow.test"), 0.05)
        assert await patient == ("127.0.0.1",)

    run(server, work)


def test_the_answer_has_the_shape_that_aiohttp_wants(server: HostileServer) -> None:
    server.names["both.test"] = ("127.0.0.1", "fd00::1")

    async def work(resolver: Resolver) -> None:
        found = await resolver.resolve("both.test", 8080, socket.AF_UNSPEC)
        assert {(place["host"], place["port"], place["family"]) for place in found} == {
            ("127.0.0.1", 8080, socket.AF_INET),
            ("fd00::1", 8080, socket.AF_INET6),
        }
        only = await resolver.resolve("both.test", 80, socket.AF_INET)
        assert [place["host"] for place in only] == ["127.0.0.1"]

    run(server, work, allow_addresses=("127.0.0.0/8", "fd00::/8"))


def test_nobody_at_the_nameserver(server: HostileServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    async def work(resolver: Resolver) -> None:
        assert await outcome(resolver, "one.test") == "dns_failure"
        assert await outcome(resolver, "localhost") == ("127.0.0.1",)

    run(server, work, nameservers=(f"127.0.0.1:{port}",), dns_timeout_s=0.5)


def test_a_nameserver_must_be_an_address(server: HostileServer) -> None:
    async def work(resolver: Resolver) -> None: ...

    with pytest.raises(UsageError, match=r"dns\.google.*ADDRESS:PORT"):
        run(server, work, nameservers=("dns.google",))
