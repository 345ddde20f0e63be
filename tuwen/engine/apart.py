"""Calling a stage in a process of its own: what is left when a call has killed the process it ran in.

A segmentation fault or the kernel's out-of-memory killer cannot be caught. So a fragment whose workers have died is
run once more with its stages apart: the worker hands each batch to a child and lives on when the child does not.
Which rows are at fault is then found as for exceptions, by cutting the batch; a row is at fault when it has killed two
fresh children on its own. A child that does not even come up speaks of the machine, and nothing is recorded.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from tuwen.engine.local import start_worker
from tuwen.errors import TuwenError
from tuwen.parts import name_of
from tuwen.stages import Stage, option

IN_A_ROW, IN_ALL = 12, 400  # deaths of one stage on one fragment, from which on it is not the rows
PIECES = 16  # that a batch is cut into after a death: starting a child costs more than rows do
_LENGTH = struct.Struct("<Q")


class Failed(Exception):
    """A stage's exception, told from another process. `kind` is what the error column gets."""

    def __init__(self, kind: str, told: str, pieces: int = 2) -> None:
        super().__init__(kind, told, pieces)
        self.kind, self.told, self.pieces = kind, told, pieces

    def __str__(self) -> str:
        return self.told


class StageProcess:
    """A stage that is called as the stage itself, in a child process that is started again when it dies."""

    def __init__(self, stage: Stage, state: Path | None) -> None:
        self.stage, self._state = stage, state
        self._child: subprocess.Popen[bytes] | None = None
        self._in_a_row = self._in_all = 0

    def __call__(self, batch: pa.RecordBatch, extras: Mapping[str, Any]) -> pa.RecordBatch:
        """The stage's result; `Failed` where it raises, or dies of these rows (`SIGSEGV`, `MemoryError`, `exit 3`).

        `TuwenError` once it has died of everything for a while.
        """
        try:
            return self._counted(batch, extras)
        except Failed as death:
            if death.pieces != PIECES or batch.num_rows > 1:
                raise
        self.close()
        return self._counted(batch, extras)  # one row, and it killed: once more, alone in a fresh process

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _counted(self, batch: pa.RecordBatch, extras: Mapping[str, Any]) -> pa.RecordBatch:
        try:
            result = self._call(batch, extras)
        except Failed as death:
            if death.pieces == PIECES:
                self._in_a_row, self._in_all = self._in_a_row + 1, self._in_all + 1
                if self._in_a_row > IN_A_ROW or self._in_all > IN_ALL:
                    raise TuwenError(
                        f"{name_of(self.stage)}: {self._in_all} processes that ran it have ended with {death.kind} on "
                        "one fragment: mend it, take it out of the recipe, or give it more memory (fewer --workers)"
                    ) from death
            raise
        self._in_a_row = 0
        return result

    def _call(self, batch: pa.RecordBatch, extras: Mapping[str, Any]) -> pa.RecordBatch:
        child = self._child = self._child or self._start()
        assert child.stdin is not None and child.stdout is not None
        try:
            _send(child.stdin, (batch, dict(extras)))
            answer = _receive(child.stdout)
        except (EOFError, OSError):
            code = child.wait()
            self.close()
            raise Failed(_word(code), f"the process that ran it ended with {_word(code)}", PIECES) from None
        if isinstance(answer, TuwenError):
            raise answer
        if isinstance(answer, Failed):
            raise answer
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-c", "from tuwen.engine.apart import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            _send(child.stdin, (self.stage, self._state))
            ready = _receive(child.stdout)
        except (EOFError, OSError) as error:
            raise TuwenError(
                f"{name_of(self.stage)}: a process for it cannot be started ({_word(child.wait())}); is memory short?"
            ) from error
        if isinstance(ready, TuwenError):
            child.kill()
            child.wait()
            raise ready
        return child


def serve() -> None:
    """The child's side: a stage, then batches come in; `True`, then results go out. Prints go to stderr."""
    start_worker(first_to_go=900)
    receiving, sending = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        stage, place = _receive(receiving)
        state = pa.ipc.open_file(pa.memory_map(str(place))).read_all() if place else None  # without Lance: starts fast
    except Exception as error:  # for instance a class of the user's script, which this process cannot import
        return _send(sending, TuwenError(f"a stage cannot be run in a process of its own: {error}"))
    _send(sending, True)
    with contextlib.suppress(EOFError):
        while True:
            _send(sending, _answer(stage, state, *_receive(receiving)))


def _answer(stage: Any, state: pa.Table | None, batch: pa.RecordBatch, extras: dict[str, Any]) -> object:
    try:
        if state is not None:
            extras["state"] = state
        if (short_side := option(stage, "pixels")) is not None:
            from tuwen.stages.image.pixels import decode

            extras["pixels"] = [decode(data.as_py(), short_side) for data in batch["bytes"]]
        return stage(batch, **extras)
    except TuwenError as error:
        return error
    except MemoryError as error:
        return Failed("MemoryError", str(error), PIECES)
    except Exception as error:
        if is_of_the_machine(error):
            return TuwenError(f"{name_of(stage)}: {type(error).__name__}: {error}")
        return Failed(type(error).__name__, "".join(traceback.format_exception(error, limit=-4)))


def is_of_the_machine(error: Exception) -> bool:
    """Whether an error speaks of this machine (memory, disk, files, a missing library) and not of a row.

    Pillow and others raise OSError for bad data; those have no error number.
    """
    return isinstance(error, MemoryError | ImportError) or (isinstance(error, OSError) and error.errno is not None)


def _word(code: int) -> str:
    """`SIGKILL` or `exit 3`."""
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name if code < 0 else f"exit {code}"
    return f"signal {-code}"


def _send(stream: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, protocol=5)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)
