"""Folders of benchmarks: which files they hold and what is in them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from tuwen.errors import UsageError


def benchmark_files(folder: str, suffixes: tuple[str, ...], stage: str) -> dict[str, Path]:
    """Files of the folder, by their path in it, sorted; names with a leading dot are left out.

    `UsageError` where there is no such folder, or no file in it ends in one of the `suffixes` (case aside).
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{stage}: folder {folder!r} is not a folder; name the one that holds the benchmarks")
    found = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.name.lower().endswith(suffixes)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    if not found:
        raise UsageError(f"{stage}: no file in folder {folder!r} ends in {', '.join(suffixes)}")
    return dict(sorted(found.items()))


def content_hash(folder: str, suffixes: tuple[str, ...], stage: str) -> str:
    """Digest of the names and bytes of the folder's files; computed once while sizes and times stay."""
    files = benchmark_files(folder, suffixes, stage)
    return _content_hash(tuple((name, str(path), _stamp(path)) for name, path in files.items()))


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=8)
def _content_hash(files: tuple[tuple[str, str, tuple[int, int]], ...]) -> str:
    whole = hashlib.sha256()
    for name, path, _ in files:
        try:
            with Path(path).open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise UsageError(
                f"cannot read {path!r} of the benchmarks: {error.strerror}; repair or remove it"
            ) from error
        whole.update(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() + content)
    return whole.hexdigest()
