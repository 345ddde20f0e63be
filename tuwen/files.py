"""Paths that people give: what lies there is read only where reading comes to an end."""

from __future__ import annotations

import errno
from pathlib import Path


def regular(path: str | Path) -> Path:
    """The path. `OSError` where reading it may wait, or go on, for ever: a FIFO, a device, a socket."""
    path = Path(path)
    if is_special(path) and path.exists():
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return path


def is_special(path: Path) -> bool:
    """Whether it is there and neither file nor folder: a FIFO, a device, a socket, a link that leads nowhere."""
    return not path.is_file() and not path.is_dir() and (path.is_symlink() or path.exists())
