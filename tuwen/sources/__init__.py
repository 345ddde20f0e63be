"""Sources: ways into a corpus, one file each.

A source is a frozen dataclass that lists its *units* (a WARC, a shard, a chunk of a folder) and reads one unit at a
time into batches of base rows. It knows nothing of the corpus: the engine adds `source` and `source_unit`, leaves out
rows that the corpus already has, and commits unit by unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa


@dataclass(frozen=True)
class Unit:
    """A piece of a source that is read and committed as a whole.

    `name` identifies its content (the same file elsewhere has the same name); `location` says where it lies.
    `payload` is whatever the source needs to read it, picklable.
    """

    name: str
    location: str
    payload: object = None
    num_bytes: int = 0


@dataclass
class Report:
    """What reading a unit came to; filled by `read` as it goes, so that it is right even when reading breaks off."""

    num_records: int = 0
    num_bad_records: int = 0
    error: str | None = None  # truncated, damaged, unreadable; None: read to its end
    messages: list[str] = field(default_factory=list)


@runtime_checkable
class Source(Protocol):
    """One way in. `version` is raised when the rows made from the same bytes change.

    Optional: `places` names the parameters that say where to read; all others say how, and are kept with each unit.
    `whole_documents = False`: the pairs of one document are spread over units (a shuffled data set).
    """

    version: ClassVar[int]

    def units(self) -> list[Unit]:
        """All units, in a fixed order. `UsageError` where the configuration names nothing readable."""
        ...

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Batches of (table name, rows with the table's base columns but `source` and `source_unit`).

        Batches stay small (about 8 MB), rows come in the unit's own order, a damaged unit yields what could be
        read and says so in `report`: it never raises for bad content.
        """
        ...


def file_unit(path: Path, payload: object = None) -> Unit:
    """A unit for one file, named by its base name and a fingerprint of size, first and last 64 KiB.

    The fingerprint costs two reads however large the file is: a moved file is the same unit, one that has grown or
    was cut is another.
    """
    size = path.stat().st_size
    hasher = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        hasher.update(stream.read(1 << 16))
        stream.seek(max(0, size - (1 << 16)))
        hasher.update(stream.read())
    return Unit(f"{path.name}:{hasher.hexdigest()[:12]}", str(path), payload, size)
