"""Whole runs against a server that does everything wrong: every target ends once, in time, in the right class."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_server import SERVFAIL, Exchange, Hangup, HostileServer, image_bytes

from tuwen.corpus.tables import digest
from tuwen.errors import TuwenError
from tuwen.fetching.attempt import Attempt, Target
from tuwen.fetching.fetcher import Summary, fetch
from tuwen.fetching.outcomes import OUTCOMES
from tuwen.fetching.settings import Fetch
from tuwen.fetching.spool import Spool, read, seal_left_over, sealed_files

QUICK: dict[str, Any] = {
    "contact": "mailto:me@example.org",
    "host_requests_per_s": 1e6,
    "host_concurrency": 32,
    "timeout_s": 4.0,
    "connect_timeout_s": 1.0,
    "read_timeout_s": 1.0,
    "dns_timeout_s": 3.0,
    "backoff_s": 0.01,
    "retries": 0,
    "max_bytes": 1 << 20,
    "site_files": (),
}


@pytest.fixture
def server() -> Iterator[HostileServer]:
    """All names lead to it, unless a test says otherwise."""
    with HostileServer(unknown_names="127.0.0.1") as server:
        yield server


class Run:
    """What a fetch did."""

    def __init__(
        self, server: HostileServer, folder: Path, targets: Iterable[Any] | AsyncIterator[Target], **more: Any
    ):
        stop: Callable[[], bool] = more.pop("stop", lambda: False)
        cache = more.pop("cache", None)
        settings = Fetch(**{**QUICK, **server.reachable, **more})
        self.seen: list[Attempt] = []
        if not hasattr(targets, "__aiter__"):
            targets = [target if isinstance(target, Target) else Target(target) for target in targets]
        started = time.monotonic()
        with Spool(folder) as spool:
            work = fetch(targets, settings, spool, cache=cache, stop=stop, on_attempt=self.seen.append)
            self.summary: Summary = asyncio.run(work)
        self.elapsed_s = time.monotonic() - started
        self.attempts = [attempt for path in sealed_files(folder) for attempt in read(path)]

    @property
    def errors(self) -> dict[str, str | None]:
        return {attempt.url: attempt.error for attempt in self.attempts}


def test_an_image_comes_with_all_that_is_known(server: HostileServer, tmp_path: Path) -> None:
    server.site_files["a.test", "/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /private", 0.0)
    url = server.url("/tagged/1.png?X-Robots-Tag=nosnippet", "a.test")
    run = Run(server, tmp_path, [Target(url, evidence=(("meta_robots", "nosnippet"),))])
    body = image_bytes("/tagged/1.png")
    [attempt] = run.attempts
    assert run.seen == run.attempts
    assert attempt.image == body and attempt.image_id == digest(body) and attempt.num_bytes == len(body)
    assert (attempt.url, attempt.status, attempt.error, attempt.content_type) == (url, 200, None, "image/png")
    assert attempt.redirect_url is None and attempt.sha256 is not None and attempt.sha256.startswith(digest(body))
    assert attempt.rights == (
        ("meta_robots", "nosnippet"),
        ("robots_txt", "allowed"),
        ("x_robots_tag", "nosnippet"),
    )
    assert abs(attempt.captured_at / 1e6 - time.time()) < 60
    assert attempt.elapsed_ms is not None and 0 < attempt.elapsed_ms < 2000
    assert run.summary.num_images == 1 and run.summary.num_requests == 2 and run.summary.outcomes == {"ok": 1}
    [_, asked] = server.log
    assert asked.headers["user-agent"].startswith("tuwen/") and "mailto:me@example.org" in asked.headers["user-agent"]


# Path, and the class that it must end in. Each has a host of its own.
CLASSES = [
    ("/ok/1.jpg", "ok"),
    ("/ok/2.webp", "ok"),
    ("/wrong-type/1.jpg", "ok"),
    ("/encoded/gzip/1.jpg", "ok"),
    ("/status/401", "http_401"),
    ("/status/403", "http_403"),
    ("/status/404", "http_404"),
    ("/status/410?endless=1", "http_410"),
    ("/status/451", "http_451"),
    ("/status/418", "http_418"),
    ("/status/500", "http_500"),
    ("/status/503", "http_503"),
    ("/status/429", "http_429"),
    ("/missing", "http_404"),
    ("/slow/1.jpg", "timeout"),
    ("/stall/1.jpg", "timeout"),
    ("/drip/1.jpg", "timeout"),
    ("/drip/headers/1.jpg", "timeout"),
    ("/endless/chunked/1.jpg", "too_large"),
    ("/endless/close/1.jpg", "too_large"),
    ("/bomb/gzip/1.jpg", "too_large"),
    ("/bomb/pixels/1.png", "too_many_pixels"),
    ("/encoded/wrong/1.jpg", "bad_encoding"),
    ("/encoded/cut/1.jpg", "truncated_body"),
    ("/length/long/1.jpg", "truncated_body"),
    ("/cut/length/1.jpg", "truncated_body"),
    ("/hangup/1.jpg", "unreachable"),
    ("/hangup/reset/1.jpg", "unreachable"),
    ("/garbage/1.jpg", "bad_http"),
    ("/loop/1.jpg", "too_many_redirects"),
    ("/redirect/private", "blocked_address"),
    ("/redirect/file", "bad_redirect"),
    ("/redirect/nowhere", "bad_redirect"),
    ("/redirect/1?to=/ok/3.jpg", "ok"),
    ("/redirect/1?to=/status/404", "http_404"),
    ("/redirect/1?to=http://me:secret@a.test/1.jpg", "bad_redirect"),
    ("/html/1.jpg", "not_an_image"),
    ("/sorry/1.jpg", "not_an_image"),
    ("/svg/1.svg", "vector_image"),
    ("/empty/1.jpg", "empty_body"),
    ("/broken/1.jpg", "undecodable"),
    ("/tagged/1.jpg?X-Robots-Tag=noai", "opted_out"),
    ("/tagged/2.jpg?X-Robots-Tag=noindex", "opted_out"),
    ("/tagged/3.jpg?TDM-Reservation=1", "opted_out"),
]


def test_every_target_ends_once_and_in_its_class(server: HostileServer, tmp_path: Path) -> None:
    expected: dict[str, str] = {}
    for number, (path, error) in enumerate(CLASSES):
        for copy in range(3):
            expected[server.url(path + ("&" if "?" in path else "?") + f"copy={copy}", f"h{number}.test")] = error
    for number in range(1500):
        expected[server.url(f"/ok/{number}.jpg", f"many{number % 40}.test")] = "ok"
        expected[server.url(f"/status/404?x={number}", f"many{number % 40}.test")] = "http_404"
    for number in range(30):
        server.names[f"gone{number}.test"] = "NXDOMAIN"
        server.names[f"failing{number}.test"] = SERVFAIL
        expected[server.url("/ok/1.jpg", f"gone{number}.test")] = "dns_not_found"
        expected[server.url("/ok/1.jpg", f"failing{number}.test")] = "dns_failure"
    server.names["private.test"] = "10.1.2.3"
    expected[server.url("/ok/1.jpg", "private.test")] = "blocked_address"
    expected["http://127.0.0.1:1/1.jpg"] = "refused"
    expected |= dict.fromkeys(["ftp://a.test/1.jpg", "no url", "http://me:pw@a.test/", "http://[::1/1.jpg"], "bad_url")
    run = Run(server, tmp_path, expected, max_pixels=10**8)

    assert sorted(attempt.url for attempt in run.attempts) == sorted(expected)
    assert run.summary.num_attempts == len(expected)
    found = {url: error or "ok" for url, error in run.errors.items()}
    assert {url: (found[url], error) for url, error in expected.items() if found[url] != error} == {}
    assert run.summary.num_pending == 0 and run.summary.exhausted
    assert run.summary.outcomes == Counter(expected.values()) and set(expected.values()) <= set(OUTCOMES) | {
        "http_418",
        "http_500",
        "http_503",
    }
    assert all((attempt.image is not None) == (attempt.error is None) for attempt in run.attempts)
    assert run.elapsed_s < 30


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1 for at in times) for start in times)


def test_no_host_sees_more_than_the_rate_in_any_second(server: HostileServer, tmp_path: Path) -> None:
    """Images, redirects that lead there from elsewhere, and site files, by the server's own log."""
    targets = [server.url(f"/ok/{number}.jpg", host) for number in range(40) for host in ("a.test", "b.test")]
    targets += [
        server.url(f"/redirect/{n}?to={server.url(f'/ok/r{n}.jpg', 'a.test')}", f"r{n}.test") for n in range(10)
    ]
    run = Run(server, tmp_path, targets, host_requests_per_s=20, site_files=("tdmrep", "ai_txt"), retries=2)
    assert run.summary.outcomes == {"ok": 90}
    for host, number in (("a.test", 53), ("b.test", 43)):
        times = [line.time for line in server.requests(host)]
        assert len(times) == number and most_in_a_second(times) <= 20
    assert 2.4 < run.elapsed_s < 6


def test_no_host_sees_more_than_so_many_at_once(server: HostileServer, tmp_path: Path) -> None:
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def count(exchange: Exchange) -> None:
        host = exchange.request.host
        now[host] += 1
        most[host] = max(most[host], now[host])
        await asyncio.sleep(0.02)
        now[host] -= 1
        await exchange.image()

    server.behaviours["/count"] = count
    targets = [server.url(f"/count/{number}.jpg", host) for number in range(40) for host in ("a.test", "b.test")]
    run = Run(server, tmp_path, targets, host_concurrency=3)
    assert run.summary.outcomes == {"ok": 80} and most == {"a.test": 3, "b.test": 3}


def test_transient_failures_are_tried_again(server: HostileServer, tmp_path: Path) -> None:
    good, bad, gone = (
        server.url("/storm/1.jpg?n=2&status=500"),
        server.url("/storm/2.jpg?n=9&status=500"),
        "/status/404",
    )
    run = Run(server, tmp_path, [good, bad, server.url(gone)], retries=2)
    assert run.errors == {good: None, bad: "http_500", server.url(gone): "http_404"}
    assert server.visits == {"/storm/1.jpg": 3, "/storm/2.jpg": 3} and len(server.requests(prefix=gone)) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_by_the_whole_host(server: HostileServer, tmp_path: Path, status: int) -> None:
    server.behaviours["/first"] = server.behaviours["/storm"]
    first = server.url(f"/first/1.jpg?n=1&status={status}&after=1")
    targets = [first, *(server.url(f"/ok/{number}.jpg") for number in range(20))]
    run = Run(server, tmp_path, targets, retries=1, host_concurrency=1)
    assert run.summary.outcomes == {"ok": 21}
    times = [line.time for line in server.log]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) >= 1
    assert times[2] - times[1] >= 1  # after robots.txt and the first URL


def test_a_retry_after_that_is_too_long_leaves_the_host_for_the_next_run(server: HostileServer, tmp_path: Path) -> None:
    busy = [server.url("/status/429?after=600", "a.test"), *(server.url(f"/ok/{n}.jpg", "a.test") for n in range(9))]
    run = Run(server, tmp_path, [*busy, server.url("/ok/1.jpg", "b.test")], retries=2, host_concurrency=1)
    assert run.errors == {busy[0]: "http_429", server.url("/ok/1.jpg", "b.test"): None}
    assert run.summary.num_pending == 9 and run.elapsed_s < 5
    assert list(run.summary.closed.values()) == ["left"]


def test_a_host_that_fails_is_left_alone(server: HostileServer, tmp_path: Path) -> None:
    targets = [server.url(f"/hangup/{number}.jpg", "a.test") for number in range(1500)]
    run = Run(server, tmp_path, targets, host_failures=3, host_concurrency=1, retries=0)
    assert run.summary.outcomes == {"unreachable": 3, "host_down": 1497}
    # robots.txt, over its connection the first URL, that URL once more over another one, and two others
    assert len(server.log) == 1 + 1 + 3 and run.summary.num_pending == 0


def test_a_request_that_nobody_read_takes_another_turn(server: HostileServer, tmp_path: Path) -> None:
    """A server that reads the second request of each connection, and hangs up without a word."""
    served: list[object] = []

    async def second(exchange: Exchange) -> None:
        if exchange.writer in served:
            raise Hangup
        served.append(exchange.writer)
        await exchange.image()

    server.behaviours["/second"] = second
    targets = [server.url(f"/second/{number}.jpg", "a.test") for number in range(40)]
    run = Run(server, tmp_path, targets, host_requests_per_s=20, host_concurrency=1)
    assert run.summary.outcomes == {"ok": 40}
    times = [line.time for line in server.requests("a.test")]
    # robots.txt, forty images, two that were asked for twice: then no connections are kept any more
    assert len(times) == 1 + 40 + 2 == run.summary.num_requests
    # By the whole: a busy machine notes a single request later than it was sent.
    turns = (times[-1] - times[0]) / statistics.median(later - earlier for earlier, later in itertools.pairwise(times))
    assert turns > len(times) - 1.5 and times[-1] - times[0] > (len(times) - 1.5) / 20


def test_site_files_are_looked_at_once_more_without_the_turn_of_a_job(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crawl-delay gives one turn at a time; a job that kept it would wait for a file that waits for the turn."""
    monkeypatch.setattr("tuwen.fetching.site_cache.RETRY_S", 0.5)
    server.site_files["a.test", "/robots.txt"] = (200, {}, b"User-agent: *\nCrawl-delay: 0.2", 0.0)
    server.site_files["a.test", "/.well-known/tdmrep.json"] = (503, {"Retry-After": "0"}, b"", 0.0)
    targets = [server.url(f"/ok/{number}.jpg", "a.test") for number in range(6)]
    run = Run(server, tmp_path, targets, site_files=("tdmrep",), host_failures=100, backoff_s=0)
    assert run.summary.outcomes == {"ok": 6}
    assert len(server.requests("a.test", "/.well-known")) > 1
    times = [line.time for line in server.requests("a.test")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) > 0.1 and max(gaps) < 1  # of 0.2: a busy machine notes a request later than it was sent


@pytest.mark.parametrize(
    ("status", "headers", "robots"),
    [(429, {"Retry-After": "3600"}, b""), (200, {}, b"User-agent: *\nCrawl-delay: 3600")],
)
def test_what_a_host_asks_for_is_kept_by_the_next_run(
    server: HostileServer, tmp_path: Path, status: int, headers: dict[str, str], robots: bytes
) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.answer(status, headers, image_bytes("/ok/1.jpg"))

    server.behaviours["/busy"] = busy
    server.site_files["a.test", "/robots.txt"] = (200, {}, robots, 0.0)
    server.site_files["b.test", "/robots.txt"] = (404, {}, b"", 0.0)
    targets = [server.url(f"/busy/{number}.jpg", "a.test") for number in range(5)]
    cache = tmp_path / "sites.sqlite"
    first = Run(server, tmp_path / "1", targets, cache=cache, host_concurrency=1)
    asked = len(server.log)
    other = server.url("/ok/1.jpg", "b.test")
    second = Run(server, tmp_path / "2", [*targets, other], cache=cache)
    assert first.summary.num_pending >= 1 and list(first.summary.closed.values()) == ["left"]
    assert second.errors == {other: None} and second.summary.num_pending == 5
    assert list(second.summary.closed.values()) == ["left"]
    assert {line.host for line in server.log[asked:]} == {"b.test"}


def test_a_part_that_nobody_asked_for_is_no_image(server: HostileServer, tmp_path: Path) -> None:
    async def status(exchange: Exchange) -> None:
        await exchange.image(int(exchange.path.split("/")[2]))

    server.behaviours["/with"] = status
    errors = {200: None, 203: None, 206: "http_206", 201: "http_201"}
    expected = {server.url(f"/with/{number}"): error for number, error in errors.items()}
    run = Run(server, tmp_path, expected, retries=2)
    assert run.errors == expected and len(server.requests(prefix="/with")) == 4


def test_our_own_slowness_closes_no_host(server: HostileServer, tmp_path: Path) -> None:
    run = Run(server, tmp_path, [server.url(f"/ok/{n}.jpg") for n in range(3)], host_requests_per_s=2, max_wait_s=0.1)
    assert run.summary.outcomes == {"ok": 3} and run.summary.closed == {}


def test_a_certificate_that_fails_holds_for_all_its_urls(tmp_path: Path) -> None:
    with HostileServer(unknown_names="127.0.0.1", tls=True) as server:
        targets = [server.https_url(f"/ok/{number}.jpg", "a.test") for number in range(50)]
        run = Run(server, tmp_path, targets)
        assert run.summary.outcomes == {"tls": 50} and server.log == []


def test_robots_txt_is_obeyed_wherever_a_redirect_leads(server: HostileServer, tmp_path: Path) -> None:
    server.site_files |= {
        ("no.test", "/robots.txt"): (200, {}, b"User-agent: *\nDisallow: /", 0.0),
        ("sick.test", "/robots.txt"): (500, {}, b"", 0.0),
        ("silent.test", "/robots.txt"): (200, {}, b"", 9.0),
    }
    expected = {
        server.url("/ok/1.jpg", "no.test"): "robots_disallowed",
        server.url("/ok/1.jpg", "sick.test"): "robots_unreachable",
        server.url("/ok/1.jpg", "silent.test"): "timeout",
        server.url(f"/redirect/1?to={server.url('/ok/2.jpg', 'no.test')}", "yes.test"): "robots_disallowed",
        server.url("/ok/1.jpg", "yes.test"): None,
    }
    run = Run(server, tmp_path, expected)
    assert run.errors == expected
    assert not any(server.requests(host, "/ok") for host in ("no.test", "sick.test", "silent.test"))
    [moved] = [attempt for attempt in run.attempts if attempt.redirect_url]
    assert moved.redirect_url == server.url("/ok/2.jpg", "no.test")
    assert moved.rights == (("robots_txt", "none"), ("robots_txt", "disallowed")) and moved.status is None


def test_redirects_are_followed_so_far_and_no_further(server: HostileServer, tmp_path: Path) -> None:
    async def chain(exchange: Exchange) -> None:
        left = int(exchange.path.split("/")[2])
        place = exchange.server.url(f"/chain/{left - 1}", f"hop{left}.test") if left > 1 else "/ok/1.jpg"
        await exchange.answer(302, {"Location": place})

    server.behaviours["/chain"] = chain
    five, six = server.url("/chain/5"), server.url("/chain/6")
    run = Run(server, tmp_path, [five, six], max_redirects=5)
    assert run.errors == {five: None, six: "too_many_redirects"}
    assert {attempt.redirect_url for attempt in run.attempts} == {
        server.url("/ok/1.jpg", "hop2.test"),
        server.url("/chain/1", "hop2.test"),
    }
    assert len(server.requests(prefix="/ok")) == 1
    assert {line.host for line in server.requests(prefix="/robots.txt")} == {
        "127.0.0.1",
        *(f"hop{n}.test" for n in range(2, 7)),
    }


def test_what_robots_txt_forbids_takes_no_time(server: HostileServer, tmp_path: Path) -> None:
    server.site_files["no.test", "/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /ok", 0.0)
    targets = [server.url(f"/ok/{number}.jpg", "no.test") for number in range(2000)]
    run = Run(server, tmp_path, targets, host_requests_per_s=1)
    assert run.summary.outcomes == {"robots_disallowed": 2000} and run.elapsed_s < 5 and len(server.log) == 1


def test_a_crawl_delay_holds_for_everything(server: HostileServer, tmp_path: Path) -> None:
    server.site_files["a.test", "/robots.txt"] = (200, {}, b"User-agent: *\nCrawl-delay: 0.5", 0.0)
    targets = [server.url(f"/ok/{number}.jpg", "a.test") for number in range(3)]
    run = Run(server, tmp_path, targets, site_files=("tdmrep", "ai_txt"))
    assert run.summary.outcomes == {"ok": 3}
    times = [line.time for line in server.log]
    # A request that arrives late on a busy machine makes the next one look early; five waits together do not shrink.
    assert len(times) == 6 and min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.35
    assert times[-1] - times[0] > 2.4


def test_site_files_are_asked_for_once_and_kept_for_the_next_run(server: HostileServer, tmp_path: Path) -> None:
    for number in range(2):
        targets = [server.url(f"/ok/{number}-{n}.jpg", "a.test") for n in range(50)]
        run = Run(server, tmp_path / str(number), targets, cache=tmp_path / "sites.sqlite", site_files=("ai_txt",))
        assert run.summary.outcomes == {"ok": 50}
    assert sorted(line.path for line in server.log if "/ok" not in line.path) == ["/ai.txt", "/robots.txt"]


def test_a_deadline_ends_the_run_cleanly(server: HostileServer, tmp_path: Path) -> None:
    targets = [server.url(f"/slow/{n}.jpg?seconds=0.3", f"h{n % 7}.test") for n in range(3000)]
    started = time.monotonic()
    run = Run(server, tmp_path, iter(targets), deadline_s=1.5, host_concurrency=4, retries=2)
    assert 1.4 < run.elapsed_s < 3
    assert run.summary.num_attempts == len(run.attempts) > 20 and {attempt.error for attempt in run.attempts} == {None}
    assert run.summary.num_pending == 3000 - len(run.attempts) and run.summary.exhausted
    assert max(line.time for line in server.log) - started < 1.7
    assert len(server.requests(prefix="/slow")) == len(run.attempts)  # what was in flight came in


def test_what_hangs_beyond_the_end_stays_pending(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuwen.fetching.fetcher._LAST_S", 1.0)
    run = Run(server, tmp_path, [server.url("/slow/1.jpg")], deadline_s=0.5, timeout_s=20, read_timeout_s=20)
    assert run.summary.num_pending == 1 and run.attempts == [] and 1.4 < run.elapsed_s < 4


def test_stop_ends_the_run_cleanly(server: HostileServer, tmp_path: Path) -> None:
    seen = 0

    async def targets() -> AsyncIterator[Target]:
        nonlocal seen
        for number in range(1_000_000):
            seen += 1
            yield Target(server.url(f"/ok/{number}.jpg", f"h{number % 3}.test"))

    run = Run(server, tmp_path, targets(), stop=lambda: len(server.log) > 100, host_requests_per_s=200)
    assert not run.summary.exhausted and len(run.attempts) >= 90
    assert run.summary.num_pending + len(run.attempts) in (seen, seen - 1)
    assert run.elapsed_s < 10


def test_slow_hosts_do_not_hold_up_the_others(server: HostileServer, tmp_path: Path) -> None:
    """30 hosts with a thousand URLs each, more than fit into memory, and then a few that could be done at once."""
    for host in range(30):
        server.site_files[f"slow{host}.test", "/robots.txt"] = (200, {}, b"User-agent: *\nCrawl-delay: 60", 0.0)
    slow = [server.url(f"/ok/{number}.jpg", f"slow{host}.test") for host in range(30) for number in range(1000)]
    quick = [server.url(f"/ok/{number}.jpg", f"quick{number % 20}.test") for number in range(300)]
    run = Run(server, tmp_path, [*slow, *quick], deadline_s=8)
    assert set(quick) <= run.errors.keys()
    assert run.summary.num_pending + len(run.attempts) == 30_300


def test_what_is_decided_before_is_not_asked_for(server: HostileServer, tmp_path: Path) -> None:
    body = image_bytes("/ok/1.jpg")
    evidence = (("meta_robots", "noai"),)
    targets = [
        Target(server.url("/ok/1.jpg?refused"), evidence=evidence, refused="opted_out"),
        Target(server.url("/ok/1.jpg?right"), expected=("sha256:" + digest(body),)),
        Target(server.url("/ok/1.jpg?wrong"), expected=("md5:" + "0" * 32,)),
    ]
    run = Run(server, tmp_path, targets)
    errors = {url.partition("?")[2]: error for url, error in run.errors.items()}
    assert errors == {"refused": "opted_out", "right": None, "wrong": "hash_mismatch"}
    [refused] = [attempt for attempt in run.attempts if attempt.error == "opted_out"]
    assert refused.rights == evidence and refused.status is None and refused.elapsed_ms is None
    assert not [line for line in server.log if "refused" in line.path]


def test_one_url_twice_gives_two_attempts(server: HostileServer, tmp_path: Path) -> None:
    run = Run(server, tmp_path, [server.url("/ok/1.jpg")] * 2)
    assert len(run.attempts) == 2


def test_nothing_to_do(server: HostileServer, tmp_path: Path) -> None:
    run = Run(server, tmp_path, [])
    assert run.summary.exhausted and run.summary.num_attempts == run.summary.num_pending == 0 and run.elapsed_s < 1


def test_errors_of_this_side_end_the_run_and_keep_what_came(server: HostileServer, tmp_path: Path) -> None:
    def broken() -> Iterator[Target]:
        for number in range(600):
            yield Target(server.url(f"/ok/{number}.jpg"))
        raise ValueError("the list is damaged")

    async def main(folder: Path, targets: Any, on_attempt: Callable[[Attempt], None] | None) -> None:
        with Spool(folder) as spool:
            settings = Fetch(**{**QUICK, **server.reachable})
            await fetch(targets, settings, spool, cache=None, on_attempt=on_attempt)

    with pytest.raises(ValueError, match="damaged"):
        asyncio.run(main(tmp_path / "a", broken(), None))

    def full(_: Attempt) -> None:
        raise TuwenError("the disk is full")

    with pytest.raises(TuwenError, match="full"):
        asyncio.run(main(tmp_path / "b", [Target(server.url("/ok/1.jpg"))], full))
    assert [attempt.error for path in sealed_files(tmp_path / "b") for attempt in read(path)] == [None]


def test_a_resolver_that_fails_for_most_names(server: HostileServer, tmp_path: Path) -> None:
    """70 % of the names get no answer; the others lose nothing, and the run says what it did about it."""
    expected: dict[str, str | None] = {}
    for number in range(300):
        fails = number % 10 < 7
        server.names[f"h{number}.test"] = SERVFAIL if fails else "127.0.0.1"
        expected[server.url("/ok/1.jpg", f"h{number}.test")] = "dns_failure" if fails else None
    run = Run(server, tmp_path, expected, retries=1, backoff_s=2)
    assert run.errors == expected and run.elapsed_s < 30
    assert any("resolver" in change.reason for change in run.summary.changes)


KILLED = """
import asyncio, json, sys
from pathlib import Path
from tuwen.fetching.attempt import Target
from tuwen.fetching.fetcher import fetch
from tuwen.fetching.settings import Fetch
from tuwen.fetching.spool import Spool
folder, base, settings = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
with Spool(folder, max_attempts=60) as spool:
    targets = (Target(f"{base}/{number}.jpg") for number in range(100_000))
    work = fetch(targets, Fetch(**settings), spool, cache=None, on_attempt=lambda a: print(a.url, flush=True))
    asyncio.run(work)
"""


@pytest.mark.parametrize("after", [1, 59, 60, 200])
def test_kill_9_loses_only_what_was_in_flight(server: HostileServer, tmp_path: Path, after: int) -> None:
    command = [sys.executable, "-c", KILLED, tmp_path, server.url("/ok"), json.dumps({**QUICK, **server.reachable})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline().strip() for _ in range(after)]
        child.kill()
    seal_left_over(tmp_path)
    kept = [attempt for path in sealed_files(tmp_path) for attempt in read(path)]
    assert set(told) <= {attempt.url for attempt in kept} and len({attempt.url for attempt in kept}) == len(kept)
    assert all(attempt.image is not None and attempt.image_id == digest(attempt.image) for attempt in kept)
