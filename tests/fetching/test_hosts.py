"""Turns: spaced, counted, fair, and none where a host rests or is closed. A clock that tests turn by hand."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.fetching.answer import Answer
from tuwen.fetching.hosts import LEFT, Host, Hosts
from tuwen.fetching.settings import Fetch

A, B = "http://a.test:80", "http://b.test:80"
FINE = Answer("", 200)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Hosts that hold strings as jobs, driven by hand."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = Clock()
        more = {name: settings.pop(name) for name in ("on_rest", "not_before") if name in settings}
        self.hosts: Hosts[str] = Hosts(Fetch(contact="me@example.org", **settings), folder, clock=self.clock, **more)
        self.started: list[tuple[float, str, str]] = []

    def go(self) -> list[tuple[Host[str], str]]:
        """All that may go now; site files are found to be fine at once."""
        gone = []
        self.hosts.advance()
        while (granted := self.hosts.grant()) is not None:
            host, job = granted
            if job is None:
                self.hosts.prepared(host)
                continue
            if host.closed is None:
                self.started.append((self.clock.now, host.origin, job))
            gone.append((host, job))
        return gone

    def end(self, host: Host[str], answer: Answer = FINE) -> None:
        self.hosts.record(host, answer, host.asked_at)
        self.hosts.release(host)

    def run(self, answer: Answer = FINE, seconds: float = 1e9, took_s: float = 0.0) -> None:
        """Until nothing is left or the time is over; each request takes `took_s`."""
        until = self.clock.now + seconds
        flights: list[tuple[float, Host[str]]] = []
        while self.clock.now < until:
            for host, _ in self.go():
                if host.closed is None:
                    flights.append((self.clock.now + took_s, host))
            landed = [flight for flight in flights if flight[0] <= self.clock.now]
            for flight in landed:
                flights.remove(flight)
                self.end(flight[1], answer)
            if landed:
                continue
            times = [at for at, _ in flights] + ([] if (at := self.hosts.next_at()) is None else [at])
            if not times:
                return
            self.clock.now = max(self.clock.now, min(times))


@given(
    rate=st.sampled_from([0.5, 3.0, 10.0, 100.0]),
    at_once=st.integers(1, 8),
    took_s=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    seed=st.integers(0, 1000),
)
def test_never_more_than_the_rate_in_any_second(
    tmp_path_factory: pytest.TempPathFactory, rate: float, at_once: int, took_s: float, seed: int
) -> None:
    bench = Bench(tmp_path_factory.mktemp("hosts"), host_requests_per_s=rate, host_concurrency=at_once)
    rng = random.Random(seed)
    for number in range(60):
        bench.hosts.put(rng.choice([A, A, B]), str(number))
    bench.run(took_s=took_s)
    assert len(bench.started) == 60
    for origin in (A, B):
        times = [at for at, where, _ in bench.started if where == origin]
        assert all(later - earlier >= 1 / rate for earlier, later in itertools.pairwise(times))
        for start in times:  # in flight at once
            assert sum(start - took_s < at <= start for at in times) <= at_once


def test_origins_take_turns(tmp_path: Path) -> None:
    bench = Bench(tmp_path, host_requests_per_s=1e9, host_concurrency=1000)
    for number in range(50):
        bench.hosts.put(A, f"a{number}")
    for number in range(3):
        bench.hosts.put(B, f"b{number}")
    bench.run()
    jobs = [job for _, _, job in bench.started]
    assert len(jobs) == 53 and set(jobs[:6]) == {"a0", "a1", "a2", "b0", "b1", "b2"}
    assert [job for job in jobs if job[0] == "a"] == [f"a{number}" for number in range(50)]


def test_site_files_come_first_and_once(tmp_path: Path) -> None:
    hosts = Bench(tmp_path).hosts
    hosts.put(A, "1")
    hosts.put(A, "2")
    granted = hosts.grant()
    assert granted is not None and granted[1] is None
    assert hosts.grant() is None
    hosts.put(A, "3")
    assert hosts.grant() is None
    hosts.prepared(granted[0])
    after = hosts.grant()
    assert after is not None and after[1] == "1"


def test_a_crawl_delay_spaces_and_makes_single(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    hosts = bench.hosts
    for number in range(3):
        hosts.put(A, str(number))
    granted = hosts.grant()
    assert granted is not None
    hosts.slow_down(granted[0], 7.0)
    hosts.prepared(granted[0])
    bench.run(took_s=1.0)
    assert [at - 1000 for at, _, _ in bench.started] == [0, 7, 14]


def test_crawl_delay_beyond_max_wait_leaves_the_rest(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_wait_s=100)
    for number in range(3):
        bench.hosts.put(A, str(number))
    granted = bench.hosts.grant()
    assert granted is not None
    bench.hosts.slow_down(granted[0], 500.0)
    bench.hosts.prepared(granted[0])
    bench.run()
    assert len(bench.started) == 1 and bench.hosts.closed == {A: LEFT}
    assert bench.hosts.num_queued == 0


def test_our_own_interval_closes_nobody_but_what_hosts_ask_for_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_wait_s=100, host_requests_per_s=1 / 300)
    for number in range(3):
        bench.hosts.put(A, str(number))
        bench.hosts.put(B, str(number))
    for _ in range(2):
        granted = bench.hosts.grant()
        assert granted is not None
        bench.hosts.slow_down(granted[0], 900.0 if granted[0].origin == B else 200.0)
        bench.hosts.prepared(granted[0])
    bench.run()
    assert [round(at - 1000) for at, origin, _ in bench.started if origin == A] == [0, 306, 612]
    assert bench.hosts.closed == {B: LEFT}


def test_rests_are_told_for_the_next_run_and_kept_by_it(tmp_path: Path) -> None:
    rests: dict[str, float] = {}
    bench = Bench(tmp_path, on_rest=rests.__setitem__, max_wait_s=60, host_concurrency=1)
    short = "http://short.test:80"
    for origin, answer in ((A, Answer("", 429, retry_after_s=500)), (short, Answer("", 503, retry_after_s=50))):
        bench.hosts.put(origin, "1")
        [(host, _)] = bench.go()
        bench.end(host, answer)
    bench.hosts.put(B, "1")
    [(host, _)] = bench.go()
    bench.end(host)
    assert rests == {A: 500}
    bench.clock.now += 10
    bench.hosts.close()
    assert rests == {A: 490, short: 40}
    later = Bench(tmp_path, not_before=rests, max_wait_s=60)
    for origin in (A, B, short):
        later.hosts.put(origin, "2")
    later.run()
    assert later.hosts.closed == {A: LEFT}
    assert [(at - 1000, origin) for at, origin, _ in later.started] == [(0, B), (40, short)]


def test_who_waits_for_a_turn_gets_it_while_no_job_does(tmp_path: Path) -> None:
    """Site files that are looked at once more, while a job of the same origin was ready to go."""

    async def main() -> None:
        bench = Bench(tmp_path, host_requests_per_s=1000)
        for number in range(3):
            bench.hosts.put(A, str(number))
        granted = bench.hosts.grant()
        assert granted is not None
        bench.hosts.prepared(granted[0])
        host = granted[0]
        assert host.scheduled
        bench.hosts.unprepared(host)
        turn = asyncio.create_task(bench.hosts.turn(A))
        await asyncio.sleep(0)
        assert bench.go() == []
        assert await asyncio.wait_for(turn, 1) is host
        bench.end(host)
        bench.clock.now += 1
        assert bench.go() == []
        bench.hosts.prepared(host)
        assert [job for _, job in bench.go()] == ["0"]

    asyncio.run(main())


def test_retry_after_holds_for_the_whole_origin(tmp_path: Path) -> None:
    bench = Bench(tmp_path, host_requests_per_s=100)
    for number in range(4):
        bench.hosts.put(A, str(number))
        bench.hosts.put(B, str(number))
    first = next(host for host, _ in bench.go() if host.origin == A)
    bench.end(first, Answer("", 429, retry_after_s=30))
    bench.run()
    times = [at - 1000 for at, origin, _ in bench.started if origin == A]
    assert times[0] == 0 and times[1] == 30 and len(times) == 4
    assert max(at - 1000 for at, origin, _ in bench.started if origin == B) < 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_beyond_max_wait_leaves_the_rest(tmp_path: Path, status: int) -> None:
    bench = Bench(tmp_path, host_concurrency=1, max_wait_s=60)
    for number in range(4):
        bench.hosts.put(A, str(number))
    [(host, _)] = bench.go()
    bench.end(host, Answer("", status, retry_after_s=61))
    assert host.closed == LEFT
    assert [job for _, job in bench.go()] == ["1", "2", "3"]
    assert len(bench.started) == 1


def test_a_storm_without_retry_after_makes_longer_and_longer_rests(tmp_path: Path) -> None:
    bench = Bench(tmp_path, backoff_s=1, host_failures=4, host_requests_per_s=1000)
    for number in range(50):
        bench.hosts.put(A, str(number))
    bench.run(Answer("", 503), took_s=0.1)
    # Four may be under way when a rest begins; after the fourth rest the host is left for the next run.
    assert bench.hosts.closed == {A: LEFT} and bench.hosts.num_queued == 0
    rounds = sorted({round(at - 1000) for at, _, _ in bench.started})
    assert rounds == [0, 1, 3, 7, 15]


def test_an_answer_ends_the_growing_of_rests(tmp_path: Path) -> None:
    bench = Bench(tmp_path, backoff_s=1, host_failures=2)
    for number in range(20):
        bench.hosts.put(A, str(number))
    for _ in range(6):
        for answer in (Answer("", 503), FINE):
            [(host, _)] = bench.go()
            bench.end(host, answer)
            bench.clock.now += 1.1
    assert not bench.hosts.closed


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        ("refused", "host_down"),
        ("unreachable", "host_down"),
        ("timeout", "host_down"),
        ("dns_not_found", "dns_not_found"),
        ("dns_failure", "dns_failure"),
        ("tls", "tls"),
    ],
)
def test_failures_in_a_row_close_the_origin(tmp_path: Path, error: str, closed: str) -> None:
    bench = Bench(tmp_path, host_failures=3, host_concurrency=1, host_requests_per_s=1000)
    for number in range(2500):
        bench.hosts.put(A, str(number))
    gone: list[str] = []
    for _ in range(2):
        for host, job in bench.go():
            gone.append(job)
            bench.end(host, Answer("", error=error))
        bench.clock.now += 1
    [(host, job)] = bench.go()
    gone.append(job)
    bench.end(host, FINE)  # twice is not in a row
    for _ in range(3):
        bench.clock.now += 1
        for host, job in bench.go():
            gone.append(job)
            bench.end(host, Answer("", error=error))
    assert host.closed == closed and len(bench.started) == 6
    gone += [job for _, job in bench.go()]
    assert gone == [str(number) for number in range(2500)]  # also those that lay aside, at once and in order
    assert bench.hosts.num_queued == bench.hosts.num_aside == 0


def test_turns_that_nobody_used_do_not_count(tmp_path: Path) -> None:
    """A million URLs that robots.txt forbids take no time."""
    bench = Bench(tmp_path, host_requests_per_s=1)
    for number in range(100):
        bench.hosts.put(A, str(number))
    seen = 0
    while gone := bench.go():
        for host, _ in gone:
            seen += 1
            bench.hosts.unused(host, host.asked_at)
            bench.hosts.release(host)
    assert seen == 100 and bench.clock.now == 1000


def test_what_is_too_much_lies_aside_and_comes_back_in_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path, host_requests_per_s=1e9)
    for number in range(5000):
        bench.hosts.put(A, f"a{number}")
        if number % 5 == 0:
            bench.hosts.put(B, f"b{number}")
    assert bench.hosts.num_queued <= 1000 + 64 + 1000 and bench.hosts.num_aside >= 3900
    bench.run()
    assert [job for _, origin, job in bench.started if origin == A] == [f"a{number}" for number in range(5000)]
    assert Counter(origin for _, origin, _ in bench.started) == {A: 5000, B: 1000}
    assert bench.hosts.num_queued == bench.hosts.num_aside == 0


def test_jobs_for_later_come_when_it_is_later_and_before_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path, host_requests_per_s=1)
    for number in range(10):
        bench.hosts.put(A, str(number))
    bench.hosts.put_later(2.5, A, "again")
    bench.run()
    assert [job for _, _, job in bench.started][:5] == ["0", "1", "2", "again", "3"]


def test_origins_that_are_done_are_forgotten_and_closed_ones_are_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path, host_failures=1)
    bench.hosts.put("http://dead.test:80", "x")
    bench.run(Answer("", error="refused"))
    for number in range(25_000):
        bench.hosts.put(f"http://{number}.test:80", "x")
        if number % 1000 == 0:
            bench.run()
            bench.clock.now += 1
    bench.run()
    assert len(bench.hosts._hosts) < 15_000
    assert bench.hosts.host("http://dead.test:80").closed == "host_down"


def test_site_files_wait_their_turn_before_the_queue(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path, host_requests_per_s=1, host_concurrency=1)
        for number in range(3):
            bench.hosts.put(A, str(number))
        [(host, _)] = bench.go()
        turn = asyncio.create_task(bench.hosts.turn(A))
        given_up = asyncio.create_task(bench.hosts.turn(A))
        await asyncio.sleep(0)
        given_up.cancel()
        bench.end(host)
        bench.clock.now += 0.9
        assert bench.go() == [] and not turn.done()
        bench.clock.now += 0.2
        assert bench.go() == []
        assert await turn is host and host.in_flight == 1
        bench.end(host)
        bench.clock.now += 1.1
        assert [job for _, job in bench.go()] == ["1"]
        waiting = asyncio.create_task(bench.hosts.turn(A))
        await asyncio.sleep(0)
        bench.hosts.halt()
        assert await waiting is None and await bench.hosts.turn(B) is None

    asyncio.run(main())
