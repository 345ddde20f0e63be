"""Running tasks on this machine, in worker processes."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tuwen.engine.limits import limit_own_memory
from tuwen.engine.mapper import Argument, Mapper, Result, WorkerDied, is_single
from tuwen.engine.memory import return_freed_memory
from tuwen.files import regular

# One thread a process: the processes are the parallelism, and a pinned thread count keeps timings readable.
THREAD_VARIABLES = ("LANCE_CPU_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS")
PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


def start_worker(first_to_go: int = 500) -> None:
    """A worker gives freed memory back, leaves Ctrl-C to the driver, and does not outlive it, not even kill -9.

    When memory runs out, Linux ends it before others (`first_to_go`, at most 1000): its work can be done again.
    """
    parent = os.getppid()
    return_freed_memory()
    limit_own_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(first_to_go))
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:  # the driver died before the line above
        os._exit(1)


class Workers(Mapper):
    """A pool of worker processes; with one worker, everything runs in this process.

    A crash there takes this process with it. So a task that has a `key` is noted in the file `in_hand` while it runs;
    the next run finds the note and treats the task as one that has killed twice.
    """

    def __init__(self, number: int, in_hand: Path | None = None) -> None:
        self.number = max(1, number)
        self._in_hand = in_hand
        self._warned = _read(in_hand)
        self._pool: ProcessPoolExecutor | None = None
        self._pool_of: dict[Future[Any], ProcessPoolExecutor] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pool, self._pool = self._pool, None
        self._pool_of.clear()
        if pool is not None:
            if error is not None:
                for process in multiprocessing.active_children():
                    process.terminate()
            pool.shutdown(cancel_futures=True)

    def alone(self, arguments: Iterable[object]) -> bool:
        """With one worker, or one task that another process would only delay."""
        return self.number == 1 or is_single(arguments)

    def here(self, work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """The work, done by this process, with a note of what it is."""
        for argument in arguments:
            key: str | None = getattr(argument, "key", None)
            if self._in_hand is None or key is None:
                yield work(argument)
                continue
            if key == self._warned:
                argument = cast(Argument, replace(cast(Any, argument), deaths=2))
            self._in_hand.write_text(key, encoding="utf-8")
            result = work(argument)
            self._in_hand.unlink()
            yield result

    def submit(self, work: Callable[[Argument], Result], argument: Argument) -> Future[Result]:
        """Hand the task to the pool, which starts when it is first needed and anew after a death."""
        try:
            pool = self._pool = self._pool or self._start()
            future = pool.submit(work, argument)
        except BrokenProcessPool:  # it broke while nobody waited for it
            pool = self._pool = self._start()
            future = pool.submit(work, argument)
        self._pool_of[future] = pool
        return future

    def finished(self, running: Collection[Any]) -> Collection[Any]:
        """At least one future that is done."""
        return wait(running, return_when=FIRST_COMPLETED).done

    def result(self, handle: Any) -> Any:
        """The future's result. One death breaks the whole pool: whatever ran in it is tried again in a new one."""
        pool = self._pool_of.pop(handle)
        try:
            return handle.result()
        except BrokenProcessPool as error:
            pool.shutdown()
            if pool is self._pool:
                self._pool = None
            raise WorkerDied("out of memory, or a crash in a native library") from error

    def _start(self) -> ProcessPoolExecutor:
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, "1")
        # spawn: Lance and DuckDB run threads, which do not survive a fork
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.number, mp_context=context, initializer=start_worker)


def _read(path: Path | None) -> str | None:
    return regular(path).read_text(encoding="utf-8") if path is not None and path.exists() else None
