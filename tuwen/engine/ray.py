"""Running tasks on Ray: on this machine, or on a cluster whose machines all see the corpus under the same path.

The work function is that of local workers and the driver alone commits, so the result is the same, byte for byte.
Tasks run in processes that Ray keeps, where models stay loaded; those whose stages ask for `cuda` run in actors that
hold a GPU each. Retries are ours, not Ray's: a task has to know how often its process has died.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import sys
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuwen.engine.limits import WORKER_VARIABLE, limit_own_memory
from tuwen.engine.local import THREAD_VARIABLES
from tuwen.engine.mapper import Argument, Mapper, Result, WorkerDied
from tuwen.engine.memory import return_freed_memory
from tuwen.errors import TuwenError, UsageError, missing_extra

GPU = "cuda"
STORE_BYTES = 128 << 20  # of Ray's object store, which holds nothing but tasks and what they say of their files
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


@dataclass(frozen=True, eq=False)
class _Running:
    """A submitted task: Ray's reference to its result, and the actor that runs it, if one does."""

    reference: Any
    actor: Any = None


class RayWorkers(Mapper):
    """Ray tasks, one CPU each: `number` at a time on this machine, or as many as the cluster at `address` has CPUs."""

    def __init__(self, number: int, address: str | None = None) -> None:
        self.number = max(1, number)
        self._address = address
        self._ray: Any = None
        self._remote: Any = None
        self._actors: Counter[Any] = Counter()  # tasks that each has in hand or waiting
        self._running: dict[Any, _Running] = {}

    def __enter__(self) -> RayWorkers:
        for name, value in QUIET.items():  # before the import, which reads them
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError:
            raise missing_extra("ray", "ray") from None
        variables = {name: os.environ.get(name, "1") for name in THREAD_VARIABLES}
        variables |= {name: os.environ[name] for name in (WORKER_VARIABLE,) if name in os.environ}
        options: dict[str, Any] = {"runtime_env": {"env_vars": variables}, "log_to_driver": False}
        if self._address is None:
            options |= {"num_cpus": self.number, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        try:
            if self._address is not None:
                _knock(self._address)
            ray.init(address=self._address or "local", configure_logging=False, **options)
        except Exception as error:  # among them a bare Exception: "the current node timed out during startup"
            ray.shutdown()
            place = f"cluster at {self._address}" if self._address else "engine on this machine"
            raise TuwenError(f"Ray: no {place}: {_first_line(error)}; try --engine local") from error
        self._ray = ray
        self._remote = ray.remote(num_cpus=1, max_retries=0)(_call)
        self._count_cpus()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._ray.shutdown()  # of a cluster: leaves it, and ends what this driver has started there

    def submit(self, work: Callable[[Argument], Result], argument: Argument) -> _Running:
        """Start a task, or give it to an actor if it needs a GPU."""
        place = (str(Path.cwd()), sys.path, pickle.dumps((work, argument)))
        if str(getattr(argument, "device", None)).startswith(GPU):
            actor = self._actor()
            self._actors[actor] += 1
            running = _Running(actor.call.remote(*place), actor)
        else:
            running = _Running(self._remote.remote(*place))
        self._running[running.reference] = running
        return running

    def finished(self, running: Collection[Any]) -> Collection[Any]:
        """At least one that is done."""
        done, _ = self._ray.wait([each.reference for each in running], num_returns=1)
        return [self._running[reference] for reference in done]

    def result(self, handle: Any) -> Any:
        """The task's result; its own exception, as a local worker raises it."""
        errors = self._ray.exceptions
        del self._running[handle.reference]
        if handle.actor in self._actors:
            self._actors[handle.actor] -= 1
        try:
            return self._ray.get(handle.reference)
        except errors.RayTaskError as error:
            raise error.cause or TuwenError(_first_line(error)) from None
        except errors.RayError as error:  # the process or its machine is gone, or Ray ended it for want of memory
            self._actors.pop(handle.actor, None)
            self._count_cpus()
            raise WorkerDied(_first_line(error)) from error

    def rest(self) -> None:
        """Give the GPUs and what is loaded on them back."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors.clear()

    def _actor(self) -> Any:
        """The actor with the least to do; a new one while a GPU is free."""
        num_gpus = int(self._ray.cluster_resources().get("GPU", 0))
        if not num_gpus:
            raise UsageError(
                "a stage asks for device cuda, but no machine of the Ray cluster has a GPU: set its device to cpu, "
                "or start Ray where there is one"
            )
        if len(self._actors) < num_gpus:
            return self._ray.remote(num_gpus=1, num_cpus=0, max_restarts=0, max_task_retries=0)(_Holder).remote()
        return min(self._actors, key=lambda actor: self._actors[actor])

    def _count_cpus(self) -> None:
        """Machines of a cluster come and go."""
        if self._address is not None:
            self.number = max(1, int(self._ray.cluster_resources().get("CPU", 1)))


class _Holder:
    """An actor: one process that holds a GPU, and the models that stages load in it."""

    def call(self, folder: str, paths: list[str], job: bytes) -> Any:
        return _call(folder, paths, job)


def _call(folder: str, paths: list[str], job: bytes) -> Any:
    """What a Ray process does: relative paths, and modules of the user's own, are what they are to the driver."""
    if not _started:
        _started.append(True)
        return_freed_memory()
        limit_own_memory()
    with contextlib.suppress(OSError):  # not there: then only absolute paths can work
        os.chdir(folder)
    sys.path += [path for path in paths if path not in sys.path]
    work, argument = pickle.loads(job)
    return work(argument)


_started: list[bool] = []  # per process


def _knock(address: str) -> None:
    """`OSError` at once where nobody answers; Ray itself would wait for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
