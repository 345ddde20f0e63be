"""Folders and files of the cache that tell whether their bytes are still those that were written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

DIGESTS = "digests.json"
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


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
