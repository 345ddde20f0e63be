"""Append-only files of finished attempts, which survive the process that writes them.

A file is `NAME.open` while it grows and `NAME.sealed` when it is complete. Every attempt is written to the file before
the next one is looked at, so a killed run loses only what was in flight. There is no fsync: a crash of the machine may
cut the end of a file, which the checksums show, and the attempts lost there are simply made again.

Format: `MAGIC`, then records of `HEADER` (CRC-32 of all that follows, length of the JSON, length of the image, whether
there is an image), the row as JSON in ASCII, the image's bytes.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tuwen.errors import TuwenError
from tuwen.fetching.attempt import Attempt

MAGIC = b"tuwen spool 1\n"
_HEADER = struct.Struct("<IIQ?")
_AFTER_CRC = struct.Struct("<IQ?")
_COLUMNS = tuple(name for name in Attempt.__slots__ if name != "image")
_COUNTER = itertools.count()


class Spool:
    """Takes attempts and seals a file when it is large or old enough. Use as a context manager.

    Sealed files are never touched again; `on_seal` hears of each at once, amid the fetching: it should be quick.
    Raises TuwenError if the disk takes no more; all attempts added before that are safe.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_attempts: int = 4096,
        max_bytes: int = 64 << 20,
        max_age_s: float = 30.0,
        on_seal: Callable[[Path], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._max_attempts, self._max_bytes, self._max_age_s = max_attempts, max_bytes, max_age_s
        self._on_seal = on_seal
        self._clock = clock
        self._path: Path | None = None
        self._file = -1
        self._num_attempts = self._num_bytes = 0
        self._opened_at = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seal()

    def add(self, attempt: Attempt) -> None:
        """Append one attempt; it is with the operating system when this returns."""
        try:
            if self._path is None:
                self._open()
            self._write(encode(attempt))
        except OSError as error:
            self._give_up(error)
        self._num_attempts += 1
        self.seal_if_due()

    def seal_if_due(self) -> None:
        """Seal the file if it is full or old: call it now and then while nothing is added."""
        if self._path is not None and (
            self._num_attempts >= self._max_attempts
            or self._num_bytes >= self._max_bytes
            or self._clock() - self._opened_at >= self._max_age_s
        ):
            self.seal()

    def seal(self) -> None:
        """Complete the current file, if there is one."""
        if self._path is None:
            return
        path, self._path = self._path, None
        try:
            os.close(self._file)
            sealed = _seal(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        if self._on_seal is not None:
            self._on_seal(sealed)

    def _open(self) -> None:
        # Names sort by time; process and counter keep those of one nanosecond apart, and O_EXCL has the last word.
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_COUNTER)}.open"
        self._file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._path = self.folder / name
        self._num_attempts = self._num_bytes = 0
        self._opened_at = self._clock()
        self._write([MAGIC])

    def _write(self, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        written = os.writev(self._file, pieces)
        if written < size:  # a full disk takes a part first, and says so at the next try
            rest = memoryview(b"".join(pieces))
            while written < size:
                written += os.write(self._file, rest[written:])
        self._num_bytes += size

    def _give_up(self, error: OSError) -> None:
        place = self._path or self.folder
        if self._path is not None:
            os.ftruncate(self._file, self._num_bytes)  # back to the last whole record
            self.seal()
        raise _unwritable(place, error) from error


def _unwritable(place: Path, error: OSError) -> TuwenError:
    return TuwenError(
        f"{place}: cannot be written: {error.strerror or error}. Make room or choose another disk, and run the same "
        "command again: what has been fetched so far is kept"
    )


def encode(attempt: Attempt) -> list[bytes]:
    """One record, in pieces that need not be copied together."""
    row = json.dumps([getattr(attempt, name) for name in _COLUMNS], separators=(",", ":")).encode("ascii")
    image = attempt.image
    sizes = _AFTER_CRC.pack(len(row), len(image or b""), image is not None)
    crc = zlib.crc32(image or b"", zlib.crc32(row, zlib.crc32(sizes)))
    return [crc.to_bytes(4, "little"), sizes, row, image or b""]


def read(path: Path) -> Iterator[Attempt]:
    """All whole records of a sealed, open or killed file, in their order; stops without a word at a torn end."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        left = path.stat().st_size - len(MAGIC)
        while (record := _read_record(file, left)) is not None:
            attempt, size = record
            left -= size
            yield attempt


def _read_record(file: BinaryIO, left: int) -> tuple[Attempt, int] | None:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    crc, row_size, image_size, has_image = _HEADER.unpack(header)
    size = _HEADER.size + row_size + image_size
    if size > left:  # before any memory is taken for it
        return None
    row, image = file.read(row_size), file.read(image_size)
    if zlib.crc32(image, zlib.crc32(row, zlib.crc32(header[4:]))) != crc:
        return None
    attempt = Attempt(**dict(zip(_COLUMNS, json.loads(row), strict=True)), image=image if has_image else None)
    if attempt.rights is not None:
        attempt.rights = tuple((kind, value) for kind, value in attempt.rights)
    return attempt, size


def sealed_files(folder: Path) -> list[Path]:
    """Complete files, oldest first."""
    return sorted(folder.glob("*.sealed"))


def seal_left_over(folder: Path) -> list[Path]:
    """Seal what a killed run left open. Only for whoever holds the lock: no other run may be writing there."""
    return [_seal(path) for path in sorted(folder.glob("*.open"))]


def rewrite_left_over(folder: Path, keep: Callable[[Attempt], bool]) -> None:
    """Take attempts out of the files that a killed run left. Only for whoever holds the lock."""
    for path in [*seal_left_over(folder), *sealed_files(folder)]:
        if all(keep(attempt) for attempt in read(path)):
            continue
        partial = path.with_suffix(".rewritten")
        with partial.open("wb") as file:
            file.write(MAGIC)
            for attempt in read(path):
                if keep(attempt):
                    file.writelines(encode(attempt))
        partial.replace(path)


def _seal(path: Path) -> Path:
    return path.rename(path.with_suffix(".sealed"))
