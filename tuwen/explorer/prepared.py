"""Answers that take long: made once, in the background, while pages say what they wait for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from contextvars import ContextVar
from typing import Any

WAIT_S = 1.5  # what a page waits for before it says that something is still being made
MOST = 24  # values in memory, and those of the last minutes: at ten million rows each may take 20 MB
MINUTES_S = 300.0
WAITED: ContextVar[list[float] | None] = ContextVar("waited", default=None)  # seconds that a request has waited so far


class NotReadyError(Exception):
    """Something is being made and will be there soon; `what` says what, in words for people."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Prepared:
    """Values by key, each computed once; one at a time, so that two large ones never need memory together.

    What takes minutes and little memory (`slow`) has a thread of its own, so that nobody waits behind it.
    A value that could not be made raises what its making raised, and is tried again at the next call. Of more than
    `MOST` values, those that nobody asked for in the last minutes are forgotten, and made again when somebody asks.
    """

    def __init__(self, wait_s: float = WAIT_S, pools: dict[bool, ThreadPoolExecutor] | None = None) -> None:
        self._wait_s = wait_s
        self._futures: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._asked: dict[Hashable, float] = {}
        self._lock = threading.Lock()
        self._pools = pools or {slow: ThreadPoolExecutor(1, "tuwen-prepare") for slow in (False, True)}
        self._working = threading.local()

    def get(self, key: Hashable, what: str, make: Callable[[], Any], *, slow: bool = False) -> Any:
        """The value; `NotReadyError` if it is not there within the time to wait."""
        if getattr(self._working, "yes", False):
            return self._inner(key, make)
        with self._lock:
            future = self._futures.get(key)
            if future is None or _is_lost(future):
                future = self._pools[slow].submit(self._work, make)
            self._keep(key, future)
        waited, started = WAITED.get(), time.monotonic()
        try:
            return future.result(max(self._wait_s - waited[0], 0.0) if waited else self._wait_s)
        except CancelledError:
            raise NotReadyError(what) from None
        except NotInTime:
            if future.done():
                raise
            raise NotReadyError(what) from None
        finally:
            if waited:
                waited[0] += time.monotonic() - started

    def _work(self, make: Callable[[], Any]) -> Any:
        self._working.yes = True
        return make()

    def _inner(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """A value that another one needs: made in the same thread, since the pool has no other."""
        with self._lock:
            future = self._futures.get(key)
        if future is None or not future.done() or _is_lost(future):
            future = Future()
            future.set_result(make())
            with self._lock:
                self._keep(key, future)
        return future.result()

    def _keep(self, key: Hashable, future: Future[Any]) -> None:
        """Note a value as the last that was asked for. Only under the lock."""
        self._futures[key], self._asked[key] = future, time.monotonic()
        self._futures.move_to_end(key)
        for oldest in list(self._futures)[:-MOST]:  # a page may need more than these, so none of the last minutes goes
            if self._futures[oldest].done() and self._asked[key] - self._asked[oldest] > MINUTES_S:
                del self._futures[oldest], self._asked[oldest]

    def renewed(self) -> Prepared:
        """One without values, in the same threads. What nobody has begun to make for this one is not made any more;
        what is being made stays with this one, so that nothing old is ever found in the new one."""
        with self._lock:
            for future in self._futures.values():
                future.cancel()
        return Prepared(self._wait_s, self._pools)

    def close(self) -> None:
        """End when what is being made is made."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _is_lost(future: Future[Any]) -> bool:
    """Whether it has ended without a value."""
    return future.done() and (future.cancelled() or future.exception() is not None)
