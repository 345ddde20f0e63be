"""Small pictures of images: made once, kept on disk, never larger than what a grid shows."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

from tuwen.explorer.snapshot import Snapshot
from tuwen.stages.image.pixels import decode

SIZES = (256, 1024)  # longest side: in a grid, on a page of its own
MAX_KEPT_BYTES = 512 << 20
QUALITY = 82
_DECODING = threading.BoundedSemaphore(2)  # a decoded picture may take hundreds of megabytes


class Thumbnails:
    """JPEGs of the images of a corpus by id and size, kept in a folder of bounded size."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: int | None = None
        self._lock = threading.Lock()

    def jpeg(self, snapshot: Snapshot, image_id: str, size: int) -> bytes | str:
        """The picture, its longest side at most `size` pixels; or, as text, why there is none."""
        file = self._folder / image_id[:2] / f"{image_id}-{size}.jpg"
        try:
            return file.read_bytes()
        except OSError:
            pass
        data = snapshot.picture(image_id)
        if data is None:
            return "missing"
        with _DECODING:
            made = thumbnail(data, size)
        if isinstance(made, bytes):
            self._keep(file, made)
        return made

    def _keep(self, file: Path, data: bytes) -> None:
        """A folder that cannot be written, or is full, costs time only."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
            temporary.write_bytes(data)
            temporary.replace(file)
        except OSError:
            return
        with self._lock:
            if self._kept is None:
                self._kept = sum(each.stat().st_size for each in self._folder.glob("*/*.jpg"))
            self._kept += len(data)
            if self._kept > MAX_KEPT_BYTES:
                self._trim()

    def _trim(self) -> None:
        """Let go of those that were made first, down to half."""
        files = sorted((each.stat().st_mtime, each.stat().st_size, each) for each in self._folder.glob("*/*.jpg"))
        for _, size, each in files:
            if self._kept is None or self._kept <= MAX_KEPT_BYTES // 2:
                return
            each.unlink(missing_ok=True)
            self._kept -= size


def thumbnail(data: bytes, size: int) -> bytes | str:
    """A JPEG of an image, its longest side at most `size` pixels, upright, transparency over white; or an error code.

    No more pixels are decoded than for a stage, and nothing but pixels is carried over.
    """
    from PIL.Image import Resampling

    decoded = decode(data, size)
    if decoded.image is None:
        return decoded.error or "broken"
    picture = decoded.image.copy()
    picture.thumbnail((size, size), Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=False)
    return stream.getvalue()
