"""Folders and files of the cache that tell whether their bytes are still those that were written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuwen.errors import TuwenError

DIGESTS = "digests.json"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SIZE = hashlib.sha256().digest_size


def seal_folder(folder: Path) -> None:
    """Put the SHA-256 of every file beside them."""
    told = {path.name: _digest(path).hex() for path in sorted(folder.iterdir())}
    (folder / DIGESTS).write_text(json.dumps(told), encoding="utf-8")


def check_folder(folder: Path) -> None:
    """`ValueError` or `OSError` where a file is not what it was, or gone."""
    for name, known in json.loads((folder / DIGESTS).read_text(encoding="utf-8")).items():
        if _digest(folder / name).hex() != known:
            raise ValueError(f"{folder / name} is damaged")


def seal_file(path: Path) -> None:
    """Put the file's SHA-256 behind its end, where readers of zip archives do not look."""
    found = _digest(path)
    with path.open("ab") as stream:
        stream.write(found)


def is_whole(path: Path) -> bool:
    """Whether a sealed file is as it was."""
    found, left = hashlib.sha256(), path.stat().st_size - SIZE
    with path.open("rb") as stream:
        while left > 0:
            block = stream.read(min(left, 1 << 20))
            found.update(block)
            left -= len(block) or left
        return stream.read() == found.digest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of what writes `path` as `TuwenError`, which names it and says why."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or error.errno is None:  # numpy tells of bytes that were requested, with no number
            why = f"{os.strerror(error.errno or errno.ENOSPC)}; the disk may be full: free some space"
            raise TuwenError(f"{path} cannot be written: {why}, and run the same command") from error
        raise TuwenError(f"{path} cannot be written: {error.strerror or error}") from error


def write_whole(path: Path, data: str | bytes) -> None:
    """A file that has its old bytes or the new ones, never half of them; `TuwenError` where it cannot be written."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            new.write_bytes(data.encode() if isinstance(data, str) else data)
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
