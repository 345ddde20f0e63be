"""Who may ask which origin when: queues, turns, rests and the circuit breaker, one object for all requests of a run.

A *turn* is the right to make one request at one origin. Images, every hop of a redirect and site files all need one.
Turns of an origin are spaced, never more than `host_concurrency` at once, and there are none while it rests
(Retry-After, or growing pauses after answers 429 and 503). Origins with work take turns one after the other.

An origin is *closed* for the rest of the run when it has failed to connect `host_failures` times in a row (its URLs end
as the class in `Host.closed`) or when it asks for a longer wait than `max_wait_s` (they are left for a later run).

Politeness is kept per origin, not per address: many names on one machine are many origins here.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import pickle
import tempfile
import time
import types
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from tuwen.fetching.answer import Answer
from tuwen.fetching.settings import Fetch

LEFT = "left"
_ROUNDING_S = 0.001
"""`Host.closed` of an origin whose URLs stay pending."""
CONNECTION_FAILURES = frozenset({"dns_not_found", "dns_failure", "refused", "unreachable", "tls", "timeout"})
_SAME_FOR_ALL = frozenset({"dns_not_found", "dns_failure", "tls"})  # what holds for the name holds for all its URLs
_BUSY = (429, 503)
_QUEUED_PER_ORIGIN = 1000
_BATCH = 64
_KNOWN_ORIGINS = 10_000
_HEADROOM = 1.02  # so that a host which counts per second does not see one more when packets bunch up

Job = TypeVar("Job")


class Host(Generic[Job]):
    """What is known of one origin in this run."""

    __slots__ = (
        "answered",
        "asked_at",
        "asked_before",
        "batches",
        "closed",
        "error",
        "failures",
        "in_flight",
        "interval_s",
        "jobs",
        "origin",
        "prepared",
        "rested_at",
        "rests",
        "rests_until",
        "scheduled",
        "tail",
        "waiters",
    )

    def __init__(self, origin: str, interval_s: float) -> None:
        self.origin = origin
        self.interval_s = interval_s
        self.jobs: deque[Job] = deque()
        self.tail: list[Job] = []
        self.batches: list[tuple[int, int]] = []  # lists, for most hosts need none and a deque takes 0.7 kB
        self.waiters: list[asyncio.Future[bool]] = []
        self.in_flight = 0
        self.asked_at = self.asked_before = float("-inf")
        self.scheduled = False
        self.prepared: bool | None = False
        """Whether its site files have been looked at; None: that is being done."""
        self.answered = False
        self.error: str | None = None
        """The connection failure of the last request; None after an answer."""
        self.failures = self.rests = 0
        self.rested_at = self.rests_until = float("-inf")
        self.closed: str | None = None

    @property
    def num_queued(self) -> int:
        """Jobs in memory."""
        return len(self.jobs) + len(self.tail)


class Hosts(Generic[Job]):
    """All origins of a run. Times are those of `clock`, in seconds.

    `on_rest` is told which origins want to be left alone for so many seconds, when they are closed for it and when the
    run ends; `not_before` is what an earlier run was told.
    """

    def __init__(
        self,
        settings: Fetch,
        folder: Path,
        *,
        on_change: Callable[[], None] = lambda: None,
        on_rest: Callable[[str, float], None] = lambda origin, seconds: None,
        not_before: Mapping[str, float] = types.MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._on_change = on_change  # something may go now, or `next_at` has changed
        self._on_rest = on_rest
        self._clock = clock
        self._not_before = {origin: clock() + seconds for origin, seconds in not_before.items()}
        self._interval_s = _HEADROOM / settings.host_requests_per_s
        # Our own slowness closes nobody, and neither does the rounding of clock readings that are added and subtracted.
        self._longest_s = max(settings.max_wait_s, self._interval_s + _ROUNDING_S)
        self._hosts: dict[str, Host[Job]] = {}
        self._sweep_at = _KNOWN_ORIGINS
        self._ready: deque[Host[Job]] = deque()
        self._timers: list[tuple[float, int, Host[Job]]] = []
        self._later: list[tuple[float, int, str, Job]] = []
        self._order = itertools.count()
        self._aside = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)
        self.num_queued = 0
        """Jobs in memory that wait for a turn, or for their time."""
        self.num_aside = 0
        """Jobs in the temporary file."""
        self.halted = False

    def halt(self) -> None:
        """No turns any more: the run is ending. Whoever waits for one is told that there is none."""
        self.halted = True
        for host in self._hosts.values():
            _refuse(host)

    @property
    def closed(self) -> dict[str, str]:
        """Origins that were given up, and how: see `Host.closed`."""
        return {origin: host.closed for origin, host in self._hosts.items() if host.closed is not None}

    def close(self) -> None:
        """Forget everything that was queued."""
        self.halt()
        now = self._clock()
        for host in self._hosts.values():
            asks_for_it = host.rests_until > now or host.interval_s > self._interval_s
            if asks_for_it and (seconds := self._due(host) - now) > 0:
                self._on_rest(host.origin, seconds)
        self._aside.close()

    def host(self, origin: str) -> Host[Job]:
        """The origin's state; made if it is new."""
        host = self._hosts.get(origin)
        if host is None:
            if len(self._hosts) >= self._sweep_at:
                self._sweep()
            host = self._hosts[origin] = Host(origin, self._interval_s)
            if self._not_before and origin in self._not_before:
                host.rests_until = self._not_before[origin]
                if host.rests_until - self._clock() > self._longest_s:
                    host.closed = LEFT
        return host

    def put(self, origin: str, job: Job, at_most: int = _QUEUED_PER_ORIGIN) -> None:
        """Queue a job. Where `at_most` are queued already, it goes to a file until the others are done."""
        host = self.host(origin)
        self.num_queued += 1
        if host.tail or host.batches or len(host.jobs) >= at_most:
            host.tail.append(job)
            if len(host.tail) >= _BATCH:
                self._set_aside(host)
        else:
            host.jobs.append(job)
        self._schedule(host, self._clock())

    def put_later(self, wait_s: float, origin: str, job: Job) -> None:
        """Queue a job before the others, but not before `wait_s` have passed."""
        self.num_queued += 1
        heapq.heappush(self._later, (self._clock() + wait_s, next(self._order), origin, job))
        self._on_change()

    def grant(self) -> tuple[Host[Job], Job | None] | None:
        """The next job that may go, with its turn taken; `release` the host when its request is over.

        A host without a job: look at its site files first, then say `prepared`. A job of a closed host comes at once
        and without a turn. None: nothing may go; `advance` at `next_at` may change that.
        """
        now = self._clock()
        while self._ready:
            host = self._ready.popleft()
            host.scheduled = False
            if not host.jobs or (host.closed is None and host.prepared is None):
                self._schedule(host, now)  # for those who wait for a turn
                continue
            if host.closed is None and not host.prepared:
                host.prepared = None
                return host, None
            if host.closed is None and (host.in_flight >= self._most_at_once(host) or self._due(host) > now):
                self._schedule(host, now)
                continue
            job = host.jobs.popleft()
            self.num_queued -= 1
            if len(host.jobs) < _QUEUED_PER_ORIGIN // 2:
                self._refill(host)
            if host.closed is None:
                self._take_turn(host, now)
            self._schedule(host, now)
            return host, job
        return None

    def next_at(self) -> float | None:
        """When `grant` may have something again, if nothing is released or put before."""
        times = [heap[0][0] for heap in (self._timers, self._later) if heap]
        return min(times) if times else None

    async def turn(self, origin: str) -> Host[Job] | None:
        """Wait for a turn at an origin, before all queued jobs; None if the origin is closed or the run ends."""
        host = self.host(origin)
        if self.halted:
            return None
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        host.waiters.append(waiter)
        self._schedule(host, self._clock())
        try:
            return host if await waiter else None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.release(host)
            raise

    def prepared(self, host: Host[Job]) -> None:
        """The origin's site files have been looked at: its jobs may go."""
        host.prepared = True
        self._schedule(host, self._clock())

    def unprepared(self, host: Host[Job]) -> None:
        """The origin's site files are being looked at once more: until it is `prepared`, no job gets a turn."""
        host.prepared = None

    def slow_down(self, host: Host[Job], crawl_delay_s: float | None) -> None:
        """Keep to a crawl-delay; None: none is known."""
        host.interval_s = max(host.interval_s, crawl_delay_s or 0.0)

    def asking(self, host: Host[Job]) -> None:
        """The request of a turn goes out now: the next turn is counted from here."""
        host.asked_at = self._clock()

    def release(self, host: Host[Job]) -> None:
        """A turn is over."""
        host.in_flight -= 1
        self._schedule(host, self._clock())

    def unused(self, host: Host[Job], taken_at: float) -> None:
        """Nothing was asked in the turn that began at `taken_at`: as if it had not been, unless another has been."""
        if host.asked_at == taken_at:
            host.asked_at = host.asked_before
            host.scheduled = False  # earlier than it was; `grant` can bear to find a host twice

    def record(self, host: Host[Job], answer: Answer, asked_at: float) -> None:
        """Learn from an answer: failures in a row close the origin, 429 and 503 make it rest."""
        if answer.error in CONNECTION_FAILURES:
            host.failures += 1
            host.error = answer.error
            if host.failures >= self._settings.host_failures and host.closed is None:
                self._close(host, answer.error if answer.error in _SAME_FOR_ALL else "host_down")
        elif answer.status is not None:
            host.failures = 0
            host.error = None
            host.answered = True
        if answer.status in _BUSY:
            self._rest(host, answer.retry_after_s, asked_at)
        elif answer.status is not None:
            host.rests = 0

    def _rest(self, host: Host[Job], retry_after_s: float | None, asked_at: float) -> None:
        now = self._clock()
        if asked_at >= host.rested_at:  # else it was under way when the rest began, and tells nothing new
            host.rests += 1
            host.rested_at = now
            growing = min(self._settings.backoff_s * 2.0 ** (host.rests - 1), self._settings.max_wait_s)
            host.rests_until = max(host.rests_until, now + max(growing, retry_after_s or 0.0))
        elif retry_after_s:
            host.rests_until = max(host.rests_until, now + retry_after_s)
        if host.closed is None and (
            host.rests_until - now > self._longest_s or host.rests > self._settings.host_failures
        ):
            self._close(host, LEFT)

    def _close(self, host: Host[Job], reason: str) -> None:
        host.closed = reason
        if reason == LEFT:
            self._on_rest(host.origin, self._due(host) - self._clock())
        self._schedule(host, self._clock())

    def _most_at_once(self, host: Host[Job]) -> int:
        return 1 if host.interval_s > self._interval_s else self._settings.host_concurrency  # a crawl-delay means one

    def _due(self, host: Host[Job]) -> float:
        return max(host.asked_at + host.interval_s, host.rests_until)

    def _take_turn(self, host: Host[Job], now: float) -> None:
        host.in_flight += 1
        host.asked_before, host.asked_at = host.asked_at, now

    def _schedule(self, host: Host[Job], now: float) -> None:
        """Put a host where `grant` or `advance` will find it as soon as something of it may go."""
        if host.closed is not None:
            _refuse(host)
            if not host.jobs:
                self._refill(host)
            if host.jobs and not host.scheduled:
                self._make_ready(host)
            return
        while host.waiters and host.waiters[0].done():
            host.waiters.pop(0)
        if host.scheduled or not (host.waiters or (host.jobs and host.prepared is not None)):
            return
        if not host.prepared and not host.waiters:
            self._make_ready(host)
            return
        if host.in_flight >= self._most_at_once(host):
            return
        due = self._due(host)
        if due - now > self._longest_s:
            self._close(host, LEFT)
        elif due > now:
            host.scheduled = True
            heapq.heappush(self._timers, (due, next(self._order), host))
            self._on_change()
        elif host.waiters:
            self._take_turn(host, now)
            host.waiters.pop(0).set_result(True)
            self._schedule(host, now)
        else:
            self._make_ready(host)

    def _make_ready(self, host: Host[Job]) -> None:
        host.scheduled = True
        self._ready.append(host)
        self._on_change()

    def advance(self) -> None:
        """Give out the turns of site files, and make ready whose time has come. Call it at `next_at`."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            _, _, origin, job = heapq.heappop(self._later)
            host = self.host(origin)
            host.jobs.appendleft(job)
            self._schedule(host, now)
        while self._timers and self._timers[0][0] <= now:
            host = heapq.heappop(self._timers)[2]
            host.scheduled = False
            self._schedule(host, now)

    def _set_aside(self, host: Host[Job]) -> None:
        # Pickle is fine for a nameless file that only this process ever sees.
        offset = self._aside.seek(0, 2)
        size = self._aside.write(pickle.dumps(host.tail, pickle.HIGHEST_PROTOCOL))
        host.batches.append((offset, size))
        self.num_queued -= len(host.tail)
        self.num_aside += len(host.tail)
        host.tail = []

    def _refill(self, host: Host[Job]) -> None:
        if host.batches:
            offset, size = host.batches.pop(0)
            self._aside.seek(offset)
            jobs: list[Job] = pickle.loads(self._aside.read(size))
            host.jobs.extend(jobs)
            self.num_queued += len(jobs)
            self.num_aside -= len(jobs)
        elif host.tail:
            host.jobs.extend(host.tail)
            host.tail = []

    def _sweep(self) -> None:
        """Forget origins that have nothing to do and nothing to be remembered for."""
        now = self._clock()
        self._hosts = {
            origin: host
            for origin, host in self._hosts.items()
            if host.scheduled
            or host.in_flight
            or host.jobs
            or host.waiters
            or host.prepared is None
            or host.closed is not None
            or self._due(host) > now
        }
        self._sweep_at = max(_KNOWN_ORIGINS, 2 * len(self._hosts))


def _refuse(host: Host[Job]) -> None:
    while host.waiters:
        waiter = host.waiters.pop(0)
        if not waiter.done():
            waiter.set_result(False)
