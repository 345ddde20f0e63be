"""Running tasks on this machine: worker processes, results in whatever order they finish or strictly in order."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tuwen.engine.memory import return_freed_memory
from tuwen.errors import TuwenError

Argument = TypeVar("Argument")
Result = TypeVar("Result")
AHEAD = 2  # tasks that wait for a free worker; more would only hold memory and disk

# One thread a process: the processes are the parallelism, and a pinned thread count keeps timings readable.
THREAD_VARIABLES = ("LANCE_CPU_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS")


PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


def _start_worker() -> None:
    """A worker gives freed memory back, leaves Ctrl-C to the driver, and does not outlive it, not even kill -9."""
    return_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # the driver died before the line above
        os._exit(1)


class Workers:
    """A pool of worker processes; with one worker, or one task, everything runs in this process."""

    def __init__(self, number: int) -> None:
        self.number = max(1, number)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, cancel_futures=True)
            if error is not None:
                for process in multiprocessing.active_children():
                    process.terminate()
            self._pool = None

    def unordered(self, work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """Results as they finish."""
        if self._alone(arguments):
            yield from map(work, arguments)
            return
        running: set[Future[Result]] = set()
        for argument in arguments:
            running.add(self._submit(work, argument))
            if len(running) >= self.number + AHEAD:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (self._result(future) for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (self._result(future) for future in done)

    def ordered(self, work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """Results in the order of the arguments, a few tasks ahead of the reader."""
        if self._alone(arguments):
            yield from map(work, arguments)
            return
        running: deque[Future[Result]] = deque()
        for argument in arguments:
            running.append(self._submit(work, argument))
            if len(running) >= self.number + AHEAD:
                yield self._result(running.popleft())
        while running:
            yield self._result(running.popleft())

    def _alone(self, arguments: Iterable[object]) -> bool:
        """Whether this process does the work itself: one worker, or one task that another process would only delay."""
        return self.number == 1 or (isinstance(arguments, Sequence) and len(arguments) == 1)

    def _submit(self, work: Callable[[Argument], Result], argument: Argument) -> Future[Result]:
        if self._pool is None:
            for name in THREAD_VARIABLES:
                os.environ.setdefault(name, "1")
            # spawn: Lance and DuckDB run threads, which do not survive a fork
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.number, mp_context=context, initializer=_start_worker)
        try:
            return self._pool.submit(work, argument)
        except BrokenProcessPool as error:
            raise _died() from error

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise _died() from error


def _died() -> TuwenError:
    return TuwenError(
        "a worker process died (out of memory, or a crash in a native library). Finished work is kept: run the same "
        "command again, with --workers 1 if it happens at the same place"
    )
