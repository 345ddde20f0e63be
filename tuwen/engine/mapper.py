"""Mapping a work function over tasks with processes that may die: what local workers and Ray have in common.

An argument that has a field `deaths` is tried again when the process that works on it dies; the field then says how
often that has happened, and what follows from it is the work function's business. Without that field, a death ends
the run. Where one death ends what runs beside it, it counts for all of that; so an argument whose next death would be
held against it says `alone`, and is worked on while nothing else is. An argument with a `device` (cpu, cuda) holds
models: where a mapper can, it runs where they are loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from tuwen.errors import TuwenError

Argument = TypeVar("Argument")
Result = TypeVar("Result")
AHEAD = 2  # tasks that wait for a free worker; more would only hold memory and disk
DEATHS = 5  # of processes that worked on one task; then it is the machine


class WorkerDied(Exception):
    """The process that worked on a task is gone: killed, out of memory, crashed, or its machine was lost."""


class Mapper(ABC):
    """Runs `work(argument)` elsewhere. Results and their order never depend on how many workers there are.

    Used as a context manager; leaving it ends the processes.
    """

    number: int
    """Tasks that run at the same time."""

    @abstractmethod
    def __enter__(self) -> Mapper: ...

    @abstractmethod
    def __exit__(self, kind: object, error: object, trace: object) -> None: ...

    @abstractmethod
    def submit(self, work: Callable[[Argument], Result], argument: Argument) -> Any:
        """Start a task; returns a handle that is hashable."""

    @abstractmethod
    def finished(self, running: Collection[Any]) -> Collection[Any]:
        """Wait until at least one of the handles is done; returns those that are."""

    @abstractmethod
    def result(self, handle: Any) -> Any:
        """What the task returned or raised; `WorkerDied` when its process did not live to return anything."""

    def rest(self) -> None:  # noqa: B027 (most mappers have nothing to give back)
        """Nothing is left to do for now."""

    def alone(self, arguments: Iterable[object]) -> bool:
        """Whether this process does the work itself."""
        return False

    def here(self, work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """The work, done by this process."""
        return map(work, arguments)

    def unordered(self, work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """Results as they finish."""
        return self._results(work, arguments, in_order=False)

    def ordered(self, work: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """Results in the order of the arguments, a few tasks ahead of the reader."""
        return self._results(work, arguments, in_order=True)

    def _results(
        self, work: Callable[[Argument], Result], arguments: Iterable[Argument], *, in_order: bool
    ) -> Iterator[Result]:
        if self.alone(arguments):
            yield from self.here(work, arguments)
            return
        try:
            yield from self._elsewhere(work, arguments, in_order)
        finally:
            self.rest()

    def _elsewhere(
        self, work: Callable[[Argument], Result], arguments: Iterable[Argument], in_order: bool
    ) -> Iterator[Result]:
        waiting, again = iter(enumerate(arguments)), deque[tuple[int, Argument]]()
        running: dict[Any, tuple[int, Argument]] = {}
        done: dict[int, Result] = {}
        due = 0
        while True:
            while len(running) + len(done) < self.number + AHEAD:
                job = again.popleft() if again else next(waiting, None)
                if job is None:
                    break
                alone = getattr(job[1], "alone", False)
                if alone and running:
                    again.appendleft(job)
                    break
                running[self.submit(work, job[1])] = job
                if alone:
                    break
            if not running:
                return
            for handle in self.finished(running):
                number, argument = running.pop(handle)
                try:
                    done[number] = self.result(handle)
                except WorkerDied as death:
                    again.append((number, _once_more(argument, death)))
            while done and (due in done or not in_order):
                yield done.pop(due if in_order else next(iter(done)))
                due += 1


def _once_more(argument: Argument, death: WorkerDied) -> Argument:
    deaths = getattr(argument, "deaths", DEATHS) + 1
    if deaths > DEATHS:
        times = f"; it was tried {DEATHS} times" if hasattr(argument, "deaths") else ""
        raise TuwenError(
            f"a worker process died ({death}){times}. Finished work is kept: run the same command again, with fewer "
            "workers if the memory is short"
        ) from death
    return cast(Argument, replace(cast(Any, argument), deaths=deaths))


def is_single(arguments: Iterable[object]) -> bool:
    """Whether there is one task that another process would only delay, and that cannot be tried again there."""
    return isinstance(arguments, Sequence) and len(arguments) == 1 and not hasattr(arguments[0], "deaths")
