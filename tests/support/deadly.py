"""Stages that take the process down on some rows, and one that waits: importable by workers, children and Ray."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Deadly:
    """Ends its process on texts that end in `fatal`: by a signal, `exit`, all `memory`. Or it lacks a `library`."""

    fatal: str = "17 1"
    how: str = "SIGSEGV"
    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("alive", pa.bool_())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if any(text.endswith(self.fatal) for text in batch["text"].to_pylist()):
            if self.how == "memory":
                bytearray(64 * GIGABYTE).find(b"x")
            elif self.how == "library":
                raise ImportError("libx")
            elif self.how == "exit":
                os._exit(3)
            else:
                os.kill(os.getpid(), signal.Signals[self.how])
        return pa.RecordBatch.from_arrays([pa.array([True] * batch.num_rows)], schema=self.writes)


@dataclass(frozen=True)
class DeadlyOnce:
    """Kills the first process that calls it, and never again: what chance does to a worker."""

    flag: str
    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("spared", pa.bool_())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            Path(self.flag).touch(exist_ok=False)
        except FileExistsError:
            return pa.RecordBatch.from_arrays([pa.array([True] * batch.num_rows)], schema=self.writes)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


@dataclass(frozen=True)
class DeadlyMarks:
    """Adds pairs, and dies of texts that end in `fatal`."""

    fatal: str = "17 1"
    table = "pairs"
    adds = "pairs"
    reads = ("text",)
    writes = pa.schema([("row", pa.int32()), ("text", pa.string()), ("derived_from", pa.list_(pa.string()))])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch["text"].to_pylist()
        if any(text.endswith(self.fatal) for text in texts):
            os.kill(os.getpid(), signal.SIGSEGV)
        from tuwen.stages import DERIVED

        rows = [{"row": row, "text": text + "!"} for row, text in enumerate(texts)]
        return pa.RecordBatch.from_pylist(rows, schema=DERIVED)


@dataclass(frozen=True)
class Slow:
    """Notes in `folder` that it runs, then waits. `device` cuda asks for a GPU, and `where` tells who ran it."""

    folder: str
    wait_s: float = 1.0
    device: str | None = None
    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("waited", pa.bool_())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        path = Path(self.folder) / f"{os.getpid()}-{time.monotonic_ns()}"
        path.write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        time.sleep(self.wait_s)
        return pa.RecordBatch.from_arrays([pa.array([True] * batch.num_rows)], schema=self.writes)


@dataclass(frozen=True)
class DeadlyPages:
    """A source of JSON units (see `tiny.Pages`) that dies of those whose name holds `fatal`."""

    folder: str
    fatal: str = "b"
    version = 1
    places = ("folder",)

    def units(self):  # type: ignore[no-untyped-def]
        from tiny import Pages

        return Pages(self.folder).units()

    def read(self, unit, report):  # type: ignore[no-untyped-def]
        from tiny import Pages

        if self.fatal in Path(unit.location).stem:
            os.kill(os.getpid(), signal.SIGSEGV)
        yield from Pages(self.folder).read(unit, report)
