"""Files that a source names: on this machine or wherever fsspec reaches, found, fingerprinted and opened.

A location is a path or a URL (`s3://bucket/key`, `https://host/file`, `memory://name`). Credentials come from the
environment, as each protocol's own tools expect. https://filesystem-spec.readthedocs.io/
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from tuwen.errors import TuwenError, UsageError
from tuwen.files import is_special, regular
from tuwen.sources import Unit, file_unit

_EDGE_BYTES = 1 << 16
_PACKAGES = {
    "abfs": "adlfs",
    "az": "adlfs",
    "gcs": "gcsfs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "oss": "ossfs",
    "s3": "s3fs",
    "s3a": "s3fs",
    "sftp": "paramiko",
    "smb": "smbprotocol",
    "ssh": "paramiko",
    "webhdfs": "requests",
}


def find_files(paths: Iterable[str], suffixes: tuple[str, ...], source: str) -> list[str]:
    """Locations of the files that files, folders (searched for `suffixes`), globs and URLs name, sorted.

    `UsageError`, which `source` opens, where one names nothing.
    """
    found: set[str] = set()
    for path in paths:
        files, what = _remote_files(path, suffixes) if is_url(path) else local_files(path, suffixes)
        if not files:
            hint = "" if is_url(path) else f"; relative paths start at {str(Path.cwd())!r}"
            raise UsageError(f"{source}: {what}{hint}")
        found |= files
    if not found:
        raise UsageError(f"{source}: paths is empty; name at least one file, folder, glob or URL")
    return sorted(found)


def unit_of(location: str, source: str) -> Unit:
    """A unit for a file, named as `file_unit` does it.

    A file behind a URL goes by its base name, size, first and last 64 KiB: reading it all would be to download it.
    """
    try:
        if not is_url(location):
            return file_unit(Path(location))
        with open_binary(location) as stream:
            size = stream.seek(0, io.SEEK_END)
            hasher = hashlib.sha256(str(size).encode())
            for offset in (0, max(0, size - _EDGE_BYTES)):
                stream.seek(offset)
                hasher.update(stream.read(_EDGE_BYTES))
    except OSError as error:
        raise UsageError(f"{source}: cannot read {location!r}: {error}; check that it is there and readable") from error
    return Unit(f"{location.rpartition('/')[2]}:{hasher.hexdigest()[:12]}", location, None, size)


def open_binary(location: str) -> BinaryIO:
    """Open for reading, seekable. `OSError` if it is not there; failures of a network later on are `TuwenError`s."""
    if not is_url(location):
        return regular(location).open("rb")
    system, path = _file_system(location)
    try:
        return io.BufferedReader(_Remote(system.open(path, "rb"), location), 1 << 20)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise _failure(location, error) from error


def is_url(location: str) -> bool:
    """Whether fsspec is asked for it."""
    return "://" in location or "::" in location


class _Remote(io.RawIOBase):
    """A file of fsspec whose failures can be told from damaged content: a rerun may succeed, so they end the run."""

    def __init__(self, stream: Any, location: str) -> None:
        self._stream, self._location = stream, location

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except Exception as error:
            raise _failure(self._location, error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _failure(location: str, error: Exception) -> TuwenError:
    return TuwenError(f"cannot read {location}: {type(error).__name__}: {error}; run again once it can be reached")


def local_files(path: str, suffixes: tuple[str, ...]) -> tuple[set[str], str]:
    """Files that a path, folder (searched for `suffixes`) or glob names, and what to say if there are none.

    `UsageError` where something that it names leads nowhere, or is a FIFO, a device or a socket: passed over in
    silence, its rows would be missed by nobody.
    """
    here = Path(path).expanduser()
    if here.is_dir():
        named = [file for file in here.rglob("*") if file.name.endswith(suffixes)]
        what = f"the folder {path!r} holds no {', '.join(suffixes)}"
    else:
        matches = glob.glob(str(here), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)
        named = [here] if os.path.lexists(here) else [Path(name) for name in matches]
        what = f"{path!r} matches no file" if glob.has_magic(path) else f"{path!r} does not exist"
    for file in sorted(named):
        if is_special(file):
            problem = "no regular file" if file.exists() else "a link that leads nowhere"
            raise UsageError(f"{str(file)!r} is {problem}; put a file in its place, or take it away")
    return {str(file) for file in named if file.is_file()}, what


def _remote_files(url: str, suffixes: tuple[str, ...]) -> tuple[set[str], str]:
    system, path = _file_system(url)
    try:
        if url.startswith(("http://", "https://")):  # a `?` there is no glob, and a server lists no folders
            return ({url} if system.exists(path) else set()), f"{url!r} does not exist"
        if system.isfile(path):
            return {url}, ""
        if system.isdir(path):
            names = [name for name in system.find(path) if name.endswith(suffixes)]
            what = f"{url!r} holds no {', '.join(suffixes)}"
        else:
            names = [name for name in system.glob(path) if system.isfile(name)] if glob.has_magic(path) else []
            what = f"{url!r} names no file"
        return {system.unstrip_protocol(name) for name in names}, what
    except Exception as error:
        raise _failure(url, error) from error


def _file_system(location: str) -> tuple[Any, str]:
    import fsspec

    protocol = location.partition("::")[0].partition("://")[0]
    try:
        system, path = fsspec.core.url_to_fs(location)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        advice = f"pip install {package}" if package else str(error)
        raise UsageError(f"{location!r} needs a package that is not installed: {advice}") from error
    except ValueError as error:
        raise UsageError(f"{location!r}: {error}; see fsspec for the protocols there are") from error
    return system, str(path)
