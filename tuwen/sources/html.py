"""A folder of saved pages with their images beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlsplit

import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.sources import Report, Unit, file_unit
from tuwen.sources.captures import MAX_IMAGE_BYTES, MAX_PAGE_BYTES, Capture, CaptureRows
from tuwen.sources.sniffing import image_format

DEFAULT_BASE_URL = "http://folder.invalid/"
"""`.invalid` never resolves (RFC 2606), so nobody is asked for these pages, and no path of this machine is shared."""

_PAGE_TYPES = {".html": "text/html", ".htm": "text/html", ".xhtml": "application/xhtml+xml"}
_IMAGE_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".ico": "image/x-icon",
    ".svg": "image/svg+xml",
}
_FILES_PER_UNIT = 1_000
_SAFE = "/!$&'()*+,;=:@~"


@dataclass(frozen=True)
class Html:
    """Pages (*.html, *.htm, *.xhtml) of a folder and the images in it, up to 1,000 files a unit, sorted by path.

    The URL of a file is `base_url` joined with its path in the folder, so relative links between pages and images
    work; set it to where the pages were published, and absolute links work too. Without one, the made-up host
    `folder.invalid` stands in. The content type is what the suffix says; times of capture are unknown. Hidden files
    and folders, links to folders, and links that lead out of the folder are left out; files that are neither pages
    nor images are only counted.
    """

    folder: str
    base_url: str | None = None
    max_page_bytes: int = MAX_PAGE_BYTES
    max_image_bytes: int = MAX_IMAGE_BYTES

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("folder",)

    def __post_init__(self) -> None:
        if self.base_url is not None and not (
            urlsplit(self.base_url).scheme in ("http", "https") and urlsplit(self.base_url).hostname
        ):
            raise ValueError(f"base_url = {self.base_url!r} must be an absolute http or https URL")

    def units(self) -> list[Unit]:
        """Units are named by the paths and contents of their files, as `file_unit` tells them."""
        root = Path(self.folder).expanduser()
        if not root.is_dir():
            raise UsageError(
                f"html: folder {self.folder!r} does not exist or is no folder; here is {str(Path.cwd())!r}"
            )
        files = _files(root)
        if not any(Path(file).suffix.lower() in _PAGE_TYPES for file in files):
            raise UsageError(f"html: folder {self.folder!r} holds no {', '.join(_PAGE_TYPES)}; name another folder")
        return [
            _unit(root, tuple(files[start : start + _FILES_PER_UNIT]))
            for start in range(0, len(files), _FILES_PER_UNIT)
        ]

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of the unit's files, in the order of their paths."""
        rows = CaptureRows(report, max_page_bytes=self.max_page_bytes, max_image_bytes=self.max_image_bytes)
        if not isinstance(unit.payload, tuple):
            raise TypeError(f"unit {unit.name!r} is not of the source html")
        for file in unit.payload:
            report.num_records += 1
            try:
                capture = self._capture(Path(unit.location), file)
            except OSError as error:
                report.num_bad_records += 1
                report.error = "damaged"
                report.messages.append(f"{_printable(file)}: {error.strerror}")
                continue
            if capture is not None:
                rows.add(capture)
            yield from rows.batches()
        yield from rows.batches(last=True)

    def _capture(self, root: Path, file: str) -> Capture | None:
        suffix = Path(file).suffix.lower()
        # Of names that are not UTF-8 the bytes are what a server would be asked for.
        url = (self.base_url or DEFAULT_BASE_URL).rstrip("/") + "/" + quote(os.fsencode(file), safe=_SAFE)
        content_type = _PAGE_TYPES.get(suffix) or _IMAGE_TYPES.get(suffix)
        limit = self.max_page_bytes if suffix in _PAGE_TYPES else self.max_image_bytes
        with (root / file).open("rb") as stream:
            start = stream.read(32)
            if content_type is None and image_format(start) is None:
                return None
            body = start + stream.read(limit + 1 - len(start))
        error = "too_large" if len(body) > limit else None
        return Capture(url, None, body, headers={"content-type": content_type} if content_type else {}, error=error)


def _files(root: Path) -> list[str]:
    """Paths of the regular files below `root`, relative to it, with forward slashes, sorted."""
    inside = root.resolve()
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file() and path.resolve().is_relative_to(inside):
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def _unit(root: Path, files: tuple[str, ...]) -> Unit:
    units = [file_unit(root / file) for file in files]
    parts = [part for file, unit in zip(files, units, strict=True) for part in (file, unit.name)]
    return Unit(
        f"folder:{digest(*parts)[:12]}",
        str(root),
        files,
        sum(unit.num_bytes for unit in units),
        tuple(stamp for unit in units for stamp in unit.stamps),
    )


def _printable(file: str) -> str:
    return os.fsencode(file).decode("utf-8", "replace")
