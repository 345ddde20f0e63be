"""WARC files: what wget, Heritrix, browsertrix, Common Crawl and others write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.sources import Report, Unit, file_unit
from tuwen.sources.archive import MAX_HEAD_BYTES, Record, records
from tuwen.sources.captures import MAX_IMAGE_BYTES, MAX_PAGE_BYTES, Capture, CaptureRows
from tuwen.sources.datasets.files import local_files
from tuwen.sources.extraction.links import Resolver
from tuwen.sources.http import decode_body, parse_response

_SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".warc.lz4")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# WARC 1.1 allows any prefix down to the year, and up to nine digits of a second.
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|\+00:?00)?)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Warc:
    """WARC 1.0 and 1.1, plain and gzip (zstd and lz4 as far as they are whole), one unit per file.

    Every response, resource and revisit record becomes a row of `fetches`. Pages (text/html, XHTML) and images (by
    their bytes, whatever they were served as) become rows of the other tables if nothing is wrong with them and the
    HTTP status, where there is one, is 200. Errors of fetches: http_STATUS, redirect, revisit, truncated_body,
    damaged_body, bad_encoding, bad_http, too_large, empty_body, not_an_image, not_a_page, vector_image,
    unreadable_page.
    """

    paths: list[str]
    """Files, folders (searched for .warc, .warc.gz, .warc.zst, .warc.lz4) and globs (`**` crosses folders)."""
    max_page_bytes: int = MAX_PAGE_BYTES
    max_image_bytes: int = MAX_IMAGE_BYTES

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths",)

    def units(self) -> list[Unit]:
        """One unit per file, sorted by path; of files with the same base name and bytes, one."""
        if not self.paths:
            raise UsageError("warc: paths is empty; name at least one file, folder or glob")
        files = sorted({file for path in self.paths for file in _files(path)})
        units: dict[str, Unit] = {}
        for file in files:
            try:
                unit = file_unit(file)
            except OSError as error:
                raise UsageError(f"warc: cannot read {str(file)!r}: {error.strerror}; check its permissions") from error
            units.setdefault(unit.name, unit)
        return list(units.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of one file, in the order of its records."""
        limit = max(self.max_page_bytes, self.max_image_bytes)
        rows = CaptureRows(report, max_page_bytes=self.max_page_bytes, max_image_bytes=self.max_image_bytes)
        for record in records(Path(unit.location), report, max_bytes=limit + MAX_HEAD_BYTES):
            url = target_url(record.header(b"WARC-Target-URI"))
            if url is None:
                report.num_bad_records += 1
                report.messages.append(f"offset {record.offset}: {record.kind} record without WARC-Target-URI")
                continue
            rows.add(_capture(record, url, limit))
            yield from rows.batches()
        yield from rows.batches(last=True)


def target_url(value: str | None) -> str | None:
    """A target URI without the angle brackets that some writers add, spelled as pages' links are resolved."""
    if value is None:
        return None
    value = value.strip().removeprefix("<").removesuffix(">").strip()
    return Resolver("").resolve(value) or value or None


def microseconds(date: str | None) -> int | None:
    """A WARC-Date in microseconds since the epoch; None if there is none or it is no date."""
    match = _DATE.fullmatch((date or "").strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    try:
        moment = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1) + int((match[7] or "").ljust(6, "0")[:6])


def _capture(record: Record, url: str, limit: int) -> Capture:
    captured_at = microseconds(record.header(b"WARC-Date"))
    served_as = record.header(b"Content-Type") or ""
    cut = {"truncated": "truncated_body", "damaged": "damaged_body"}.get(record.error or "", record.error)
    if record.kind == "resource" or not served_as.startswith("application/http"):
        error = cut or ("truncated_body" if record.header(b"WARC-Truncated") else None)
        return Capture(url, captured_at, record.block, headers={"content-type": served_as}, error=error)
    status, headers, sent = parse_response(record.block)
    body, body_error = decode_body(sent, headers, limit)
    error = cut or _http_error(status, headers, record) or body_error
    redirect_url = None
    if record.kind == "revisit":
        error = cut or "revisit"
        redirect_url = target_url(record.header(b"WARC-Refers-To-Target-URI"))
    elif status is not None and 300 <= status < 400 and "location" in headers:
        redirect_url = Resolver(url).resolve(headers["location"])
    if error is None and record.header(b"WARC-Truncated"):
        error = "truncated_body"
    return Capture(url, captured_at, body, status, headers, error, redirect_url)


def _http_error(status: int | None, headers: dict[str, str], record: Record) -> str | None:
    if status is None:
        # Without a status line it was HTTP 0.9 or a careless writer; one that cannot be read may be any failure.
        return "bad_http" if record.block.startswith(b"HTTP/") else None
    if status == 200:
        return None
    return "redirect" if 300 <= status < 400 and "location" in headers else f"http_{status}"


def _files(path: str) -> list[Path]:
    """The files that a path of the configuration names; `UsageError` if there is none."""
    found, what = local_files(path, _SUFFIXES)
    if not found:
        raise UsageError(f"warc: {what}; relative paths start at {str(Path.cwd())!r}")
    return [Path(name) for name in found]
