"""Files that stay as they were opened, whatever is put in their place meanwhile.

A ledger lies at one path, where whoever judges next puts another. What reads it for hours (a release, a fetch) holds
it open and reads what it holds: the system keeps those bytes until the last holder closes them or is killed.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tuwen.files import is_special

FINGERPRINT = b"fingerprint"  # in the metadata of a ledger's Parquet; those of older tuwens bear none
# Where the system shows the files that a process holds open. As a path it has no letters that make a pattern, and no
# `a=b` that DuckDB would take for a column, whatever the corpus is called.
_OPEN_FILES = Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd")


class HeldFile:
    """A file held open until nothing refers to this object. `OSError` if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._number = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._number)

    @property
    def path(self) -> Path:
        """Where this process, and no other, reads it as long as this object lives."""
        return _OPEN_FILES / str(self._number)

    @property
    def sql(self) -> str:
        """Its rows, for DuckDB, where it is a Parquet."""
        return f"read_parquet('{self.path}')"


def held_ledger(path: Path) -> tuple[HeldFile, Mapping[str, Any]] | None:
    """The rows of the ledger at `path` and the description that is theirs.

    None: it was never judged, or what lies there is of a killed run, or of two that judged at once.
    """
    description = path.with_suffix(".json")
    if is_special(description) or is_special(path):  # a FIFO would wait
        return None
    try:  # the description first: a Parquet without a fingerprint is never newer
        described = json.loads(description.read_text(encoding="utf-8"))
        file = HeldFile(path)
    except (FileNotFoundError, ValueError):
        return None
    try:
        found = (pq.read_metadata(file.path).metadata or {}).get(FINGERPRINT)
    except (OSError, ValueError):  # damaged
        return None
    fingerprint = described.get("fingerprint") if isinstance(described, dict) else None
    return (file, described) if fingerprint and found in (None, str(fingerprint).encode()) else None
