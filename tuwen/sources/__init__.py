"""Sources: ways into a corpus, one file each.

A source is a frozen dataclass that lists its *units* (a WARC, a shard, a chunk of a folder) and reads one unit at a
time into batches of base rows. It knows nothing of the corpus: the engine adds `source` and `source_unit`, leaves out
rows that the corpus already has, and commits unit by unit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from tuwen.files import regular

_MOST_HASHED_BYTES = 64 << 20  # of a file that is hashed as a whole
_BLOCK_BYTES = 1 << 16
_NUM_BLOCKS = 66  # of a larger one: both ends and 64 between them


@dataclass(frozen=True)
class Unit:
    """A piece of a source that is read and committed as a whole.

    `name` identifies its content (the same file in another folder has the same name); `location` says where it lies.
    `payload` is whatever the source needs to read it, picklable.
    """

    name: str
    location: str
    payload: object = None
    num_bytes: int = 0
    stamps: tuple[tuple[str, int, int], ...] = field(default=(), compare=False)
    """(path, size, time of the last change in ns) of each file that the name was made of, when it was."""

    @property
    def problem(self) -> str | None:
        """What has become of its files since they were listed; None: they are as they were."""
        for path, *listed in self.stamps:
            try:
                with Path(path).open("rb") as stream:
                    found = os.fstat(stream.fileno())
            except OSError as error:
                return f"{path} cannot be opened any more ({error.strerror})"
            if [found.st_size, found.st_mtime_ns] != listed:
                return f"{path} has changed since it was listed"
        return None


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
    """A unit for one file, named by its base name and a fingerprint of its bytes.

    Up to 64 MB, of all of them: a moved file is the same unit, a changed one another. Of a larger file, of its size,
    its first and last 64 KiB and 64 blocks of 64 KiB evenly spaced between them, which costs 66 reads however large it
    is: a change that leaves the size and all of these as they were is not seen.
    """
    found = path.stat()
    size = found.st_size
    hasher = hashlib.sha256(str(size).encode())
    with regular(path).open("rb") as stream:
        if size <= _MOST_HASHED_BYTES:
            while block := stream.read(1 << 20):
                hasher.update(block)
        else:
            for number in range(_NUM_BLOCKS):
                stream.seek((size - _BLOCK_BYTES) * number // (_NUM_BLOCKS - 1))
                hasher.update(stream.read(_BLOCK_BYTES))
    stamp = (str(path), size, found.st_mtime_ns)
    return Unit(f"{path.name}:{hasher.hexdigest()[:12]}", str(path), payload, size, (stamp,))
