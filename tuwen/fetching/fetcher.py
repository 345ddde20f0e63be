"""Targets in, attempts out: every target ends in exactly one attempt, or stays pending.

A target is a *job* that is queued at the origin of the URL to be asked next. When it gets its turn, one request is
made; a redirect queues it at the next origin, a transient failure for later, anything else ends it. So nothing ever
waits while it holds a connection or a place among the requests in flight, and there are only as many tasks as
requests.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from tuwen.corpus.tables import ID_CHARACTERS, digest
from tuwen.fetching.answer import Answer
from tuwen.fetching.attempt import Attempt, Job, Summary, Target, each, joined
from tuwen.fetching.guard import checked_url, origin_of
from tuwen.fetching.hosts import LEFT, Host, Hosts
from tuwen.fetching.inspection import Inspections
from tuwen.fetching.network import Network
from tuwen.fetching.outcomes import OK, is_transient
from tuwen.fetching.pace import Pace
from tuwen.fetching.reservations import headers_evidence, refusal
from tuwen.fetching.settings import Fetch
from tuwen.fetching.sites import Sites
from tuwen.fetching.spool import Spool

_QUEUED = 20_000
_ASIDE = 100_000  # in the temporary file, while there is enough else to do
_QUEUED_WHEN_IDLE = 16  # per origin, when the queue is full and yet nothing may go
_BURST = 256  # jobs that one pass starts or reads before others get the processor
_LAST_S = 10.0  # for what is in flight when the run ends
_TICK_S = 0.1
_SITE_REDIRECTS = 5  # RFC 9309, 2.3.1.2
_REDIRECTS = (301, 302, 303, 307, 308)
_WITH_CONTENT = (200, 203)  # other 2xx are none, or a part that nobody asked for


async def fetch(
    targets: Iterable[Target] | AsyncIterable[Target],
    settings: Fetch,
    spool: Spool,
    *,
    cache: Path | None,
    stop: Callable[[], bool] = lambda: False,
    on_attempt: Callable[[Attempt], None] | None = None,
) -> Summary:
    """Fetch all targets politely and add each one's attempt to `spool`.

    `cache`: SQLite file that keeps site files across runs. `stop()` true, or `settings.deadline_s` over: no further
    requests; what is in flight gets up to ten seconds; the rest stays pending. Raises TuwenError if the spool cannot
    be written; what was added is kept.
    """
    async with Network(settings) as network:
        return await _Run(settings, spool, network, cache, stop, on_attempt).run(targets)


class _Run:
    """The state of one run."""

    def __init__(
        self,
        settings: Fetch,
        spool: Spool,
        network: Network,
        cache: Path | None,
        stop: Callable[[], bool],
        on_attempt: Callable[[Attempt], None] | None,
    ) -> None:
        self._settings = settings
        self._inspect = Inspections(settings)
        self._sites = Sites(settings, self._get_site_file, cache)
        self._spool = spool
        self._network = network
        self._stop = stop
        self._on_attempt = on_attempt
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._hosts: Hosts[Job] = Hosts(
            settings,
            spool.folder,
            on_change=self._woken.set,
            on_rest=self._sites.rest,
            not_before=self._sites.not_before(),
        )
        self._pace = Pace(settings.concurrency)
        self._summary = Summary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._num_taken = self._num_asleep = 0
        self._idle = self._stopping = False
        self._ends_at = float("inf")

    async def run(self, targets: Iterable[Target] | AsyncIterable[Target]) -> Summary:
        """Fetch all targets."""
        started = time.monotonic()
        if self._settings.deadline_s is not None:
            self._ends_at = started + self._settings.deadline_s
        reader = asyncio.create_task(self._read(targets))
        reader.add_done_callback(self._done)
        ticker = asyncio.create_task(self._tick())
        ticker.add_done_callback(self._done)
        try:
            await self._dispatch(reader)
            await self._finish_flights()
        finally:
            self._hosts.halt()
            await _cancel([reader, ticker, *self._tasks])
            self._hosts.close()
            self._sites.close()
            self._inspect.close()
        if self._failure is not None:
            raise self._failure
        summary = self._summary
        summary.num_pending = self._num_taken - summary.num_attempts
        summary.elapsed_s = time.monotonic() - started
        summary.closed = self._hosts.closed
        summary.changes, summary.concurrency = self._pace.changes, self._pace.limit
        return summary

    # What runs beside each other: a reader, a dispatcher, a ticker, and one task per request.

    async def _read(self, targets: Iterable[Target] | AsyncIterable[Target]) -> None:
        number = 0
        async for target in each(targets):
            if self._stopping:
                return
            self._take(target)
            number += 1
            if number % _BURST == 0:
                await asyncio.sleep(0)
            while not self._has_room():
                self._room.clear()
                await self._room.wait()
        self._summary.exhausted = True

    def _has_room(self) -> bool:
        if self._idle:  # whoever comes next may be able to go
            return self._hosts.num_queued < 2 * _QUEUED
        return self._hosts.num_queued < _QUEUED and self._hosts.num_aside < _ASIDE

    def _take(self, target: Target) -> None:
        self._num_taken += 1
        url = checked_url(target.url)
        if target.refused is not None or url is None:
            job = Job(target, target.url)
            self._end(job, job.attempt(None, target.refused or "bad_url"))
        elif self._hosts.num_queued < _QUEUED:
            self._hosts.put(origin_of(url), Job(target, url))
        else:  # many slow hosts fill the queue: look for others, and keep little of these in memory
            self._hosts.put(origin_of(url), Job(target, url), _QUEUED_WHEN_IDLE)

    async def _dispatch(self, reader: asyncio.Task[None]) -> None:
        while not self._stopping and time.monotonic() < self._ends_at:
            self._woken.clear()
            self._hosts.advance()
            self._start_jobs()
            if self._has_room():
                self._room.set()
            if reader.done() and not self._tasks and not self._hosts.num_queued and not self._hosts.num_aside:
                return
            due = self._hosts.next_at()
            handle = None
            if due is not None:
                handle = asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), self._woken.set)
            await self._woken.wait()
            if handle is not None:
                handle.cancel()

    def _start_jobs(self) -> None:
        for _ in range(_BURST):
            if self._num_in_flight >= self._pace.limit or self._stopping:
                self._idle = False
                return
            granted = self._hosts.grant()
            if granted is None:
                self._idle = True
                return
            host, job = granted
            if job is None:
                self._start(self._prepare(host))
            elif host.closed is None:
                self._start(self._ask(host, job, host.asked_at))
            else:
                self._end_unasked(host, job)
        self._woken.set()

    @property
    def _num_in_flight(self) -> int:
        return len(self._tasks) - self._num_asleep

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._stopping = True
        self._woken.set()

    async def _tick(self) -> None:
        expected = time.monotonic() + _TICK_S
        while True:
            await asyncio.sleep(max(0.0, expected - time.monotonic()))
            now = time.monotonic()
            self._pace.tick(now, self._num_in_flight, now - expected)
            self._spool.seal_if_due()
            self._stopping |= self._stop()
            self._woken.set()
            expected = now + _TICK_S

    async def _finish_flights(self) -> None:
        """The run ends early: what is in flight may still come in."""
        self._stopping = True
        self._hosts.halt()
        if self._tasks and self._failure is None:
            await asyncio.wait(self._tasks, timeout=min(_LAST_S, self._settings.timeout_s))

    # One request

    async def _prepare(self, host: Host[Job]) -> None:
        """Have the site files looked at before the first URL of an origin is asked for."""
        policy = await self._sites.of(host.origin + "/")
        self._hosts.slow_down(host, policy.crawl_delay_s)
        self._hosts.prepared(host)

    async def _look_again(self, host: Host[Job], job: Job) -> None:
        """Have the site files looked at once more for a job whose turn came. Without that turn: they take their own."""
        job.policy = await self._sites.of(job.url)
        self._hosts.slow_down(host, job.policy.crawl_delay_s)
        self._hosts.prepared(host)
        self._hosts.put_later(0.0, host.origin, job)

    async def _ask(self, host: Host[Job], job: Job, taken_at: float) -> None:
        """Use a turn: one request for one job, and what follows from it."""
        try:
            policy = job.policy or self._sites.known(job.url)
            if policy is None:
                self._hosts.unused(host, taken_at)
                self._hosts.unprepared(host)
                return self._start(self._look_again(host, job))
            job.evidence = joined(job.evidence, policy.evidence)
            if policy.error is not None:
                self._hosts.unused(host, taken_at)
                return self._end(job, job.attempt(None, policy.error))
            left_s = self._settings.timeout_s - job.spent_s
            answer = await self._request(host, job.url, self._settings.max_bytes, left_s)
        finally:
            self._hosts.release(host)
        job.spent_s += answer.elapsed_ms / 1000
        job.evidence = joined(job.evidence, headers_evidence(answer.headers))
        if answer.is_stale and not job.was_stale:
            job.was_stale = True
            self._hosts.put_later(0.0, host.origin, job)
        elif answer.status in _REDIRECTS and answer.error is None:
            self._follow(job, answer)
        else:
            self._settle(host, job, await self._judged(job, answer))

    async def _request(
        self, host: Host[Job], url: str, max_bytes: int, timeout_s: float, *, is_site_file: bool = False
    ) -> Answer:
        """Every request of the run goes through here, with a turn taken."""
        self._hosts.asking(host)
        asked_at, answered_before = host.asked_at, host.answered
        self._summary.num_requests += 1
        answer = await self._network.get(
            url,
            max_bytes=max_bytes,
            timeout_s=max(0.01, timeout_s),
            screen=None if is_site_file else self._screen,
            prefix=is_site_file,
        )
        if not answer.is_stale:  # else it says nothing about anybody
            self._pace.record(host.origin, answer.error, answered_before)
            self._hosts.record(host, answer, asked_at)
        return answer

    async def _get_site_file(self, url: str, max_bytes: int) -> Answer:
        """Fetch a site file: redirects followed, a turn taken for each request, tried again if it fails to connect."""
        answer = Answer(url, error="bad_url")
        for number in range(min(1, self._settings.retries) + 1):
            if number:
                await self._sleep(self._backoff_s(url, number))
            answer = await self._get_through_redirects(url, max_bytes)
            if answer.status is not None or not is_transient(answer.error) or answer.error == "host_down":
                break
        return answer

    async def _sleep(self, seconds: float) -> None:
        """Wait without taking up a place among the requests in flight."""
        self._num_asleep += 1
        self._woken.set()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._num_asleep -= 1

    async def _get_through_redirects(self, url: str, max_bytes: int) -> Answer:
        answer = Answer(url, error="bad_url")
        for _ in range(_SITE_REDIRECTS + 1):
            answer = await self._get_in_turn(url, max_bytes)
            if answer.is_stale:
                answer = await self._get_in_turn(url, max_bytes)
            if answer.status not in _REDIRECTS or answer.location is None:
                return answer
            url = answer.location
        answer.error = "too_many_redirects"
        return answer

    async def _get_in_turn(self, url: str, max_bytes: int) -> Answer:
        origin = origin_of(url)
        self._hosts.slow_down(self._hosts.host(origin), self._sites.crawl_delay(origin))
        host = await self._hosts.turn(origin)
        if self._hosts.halted:  # say nothing, so that nothing is remembered about this site
            if host is not None:
                self._hosts.release(host)
            raise asyncio.CancelledError
        if host is None:
            return Answer(url, error="host_down")
        try:
            return await self._request(host, url, max_bytes, self._settings.timeout_s, is_site_file=True)
        finally:
            self._hosts.release(host)

    def _screen(self, status: int, headers: dict[str, str]) -> str | None:
        return refusal(headers_evidence(headers), self._settings) if status < 400 else None

    # What follows from an answer

    def _follow(self, job: Job, answer: Answer) -> None:
        visited = (*job.visited, job.url)
        if answer.location is None:
            self._end(job, job.attempt(answer, "bad_redirect"))
        elif len(visited) > self._settings.max_redirects or answer.location in visited:
            self._end(job, job.attempt(answer, "too_many_redirects"))
        else:
            job.visited, job.url, job.policy = visited, answer.location, None
            self._hosts.put(origin_of(job.url), job)

    async def _judged(self, job: Job, answer: Answer) -> Attempt:
        """The attempt if this answer is the last word."""
        status = answer.status
        if status is not None and status >= 400:
            return job.attempt(answer, f"http_{status}")
        if answer.error is not None:
            return job.attempt(answer, answer.error)
        if status not in _WITH_CONTENT:
            return job.attempt(answer, f"http_{status}")
        attempt = job.attempt(answer, None)
        body = answer.body
        inspected = await self._inspect(body, job.target.expected)
        attempt.num_bytes, attempt.sha256, attempt.error = len(body), inspected.sha256, inspected.error
        if (stored := inspected.stored) is not None:
            attempt.image = stored
            attempt.image_id = inspected.sha256[:ID_CHARACTERS] if stored is body else digest(stored)
        return attempt

    def _settle(self, host: Host[Job], job: Job, attempt: Attempt) -> None:
        """End a job, or queue it for another try."""
        if not is_transient(attempt.error) or job.tries >= self._settings.retries or host.closed is not None:
            return self._end(job, attempt)
        job.tries += 1
        again = Job(job.target, checked_url(job.target.url) or job.url, tries=job.tries, last=attempt)
        self._hosts.put_later(self._backoff_s(job.url, job.tries), origin_of(again.url), again)

    def _backoff_s(self, url: str, tries: int) -> float:
        """Doubles with each try; the jitter (half to one and a half) is of the URL, so that a run can be explained."""
        jitter = 0.5 + zlib.crc32(f"{tries} {url}".encode("utf-8", "replace")) / 2**32
        return min(self._settings.backoff_s * 2.0 ** (tries - 1) * jitter, self._settings.max_wait_s)

    def _end_unasked(self, host: Host[Job], job: Job) -> None:
        """The host is closed: a job that has been tried ends as it did, others as the host says or not at all."""
        if job.last is not None:
            self._end(job, job.last)
        elif host.closed is not None and host.closed != LEFT:
            self._end(job, job.attempt(None, host.closed))

    def _end(self, job: Job, attempt: Attempt) -> None:
        self._spool.add(attempt)
        summary = self._summary
        summary.num_attempts += 1
        summary.num_images += attempt.error is None
        summary.num_bytes += attempt.num_bytes or 0
        summary.outcomes[attempt.error or OK] += 1
        if self._on_attempt is not None:
            self._on_attempt(attempt)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
