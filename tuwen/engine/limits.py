"""Limits that a user sets for a build: memory for all its processes together, bytes on disk of the corpus."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuwen.errors import TuwenError, UsageError

WORKER_VARIABLE = "TUWEN_WORKER_MEMORY"  # bytes; reaches worker processes through their environment
QUERY_VARIABLE = "TUWEN_MEMORY"  # what one query of the driver may hold before it spills
LEAST_BYTES = 1 << 29  # of a process that has Arrow, Lance and DuckDB loaded and a batch of images in hand
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(ki|mi|gi|k|m|g|t)?b?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes from `500MB`, `4GiB`, `12g` or a plain number."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"{text!r} is no size; write 500MB, 4GB or a number of bytes")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])


@dataclass(frozen=True)
class Limits:
    """`memory`: bytes for the driver and its workers on one machine; `disk`: bytes that the corpus may take."""

    memory: int | None = None
    disk: int | None = None

    @contextmanager
    def in_force(self, workers: int) -> Iterator[None]:
        """Tell queries of the driver (a third, before they spill) and workers (the rest, by equal shares).

        `UsageError` where a worker's share is less than it needs to start.
        """
        if self.memory is None:
            yield
            return
        query = self.memory // 3
        share = (self.memory - query) // workers
        if share < LEAST_BYTES:
            least = (LEAST_BYTES * 3 // 2 * workers) / 1e6
            raise UsageError(
                f"--memory {self.memory / 1e6:.0f}MB leaves {share / 1e6:.0f} MB for each of {workers} workers, which "
                f"need {LEAST_BYTES / 1e6:.0f} MB; give at least {least:.0f}MB, or fewer --workers"
            )
        before = {name: os.environ.get(name) for name in (WORKER_VARIABLE, QUERY_VARIABLE)}
        os.environ[WORKER_VARIABLE] = str(share)
        os.environ.setdefault(QUERY_VARIABLE, f"{query // 10**6}MB")
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def check_disk(self, path: Path) -> None:
        """`TuwenError` when the corpus has grown beyond `disk`. What is committed stays."""
        if self.disk is None:
            return
        size = folder_bytes(path)
        if size > self.disk:
            raise TuwenError(
                f"{path} takes {size / 1e6:,.1f} MB, more than the {self.disk / 1e6:,.1f} MB of --disk. "
                "Finished work is kept: run the same command again with a larger --disk, or free what no selection "
                "wants first"
            )


def folder_bytes(path: Path) -> int:
    """Bytes of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(folder) / name).lstat().st_size
    return total


def limit_own_memory() -> None:
    """Hold this process to its share, if there is one: an allocation beyond it fails here and nowhere else.

    Counts private writable memory (Linux' RLIMIT_DATA), not files that are mapped for reading.
    """
    share = os.environ.get(WORKER_VARIABLE)
    if share:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = int(share) if hard == resource.RLIM_INFINITY else min(int(share), hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
