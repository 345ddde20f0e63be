"""Captures become rows: every one a fetch, good images and pages also images, documents and pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tuwen.corpus.tables import ID_CHARACTERS, digest, source_schema
from tuwen.sources import Report
from tuwen.sources.extraction.page import extract
from tuwen.sources.extraction.rights import header_evidence
from tuwen.sources.extraction.rows import DocumentRows
from tuwen.sources.http import charset_of, media_type
from tuwen.sources.sniffing import image_format, looks_binary, looks_like_html, looks_like_svg

MAX_PAGE_BYTES = 16 << 20
MAX_IMAGE_BYTES = 64 << 20
PAGE_TYPES = ("text/html", "application/xhtml+xml")

_BATCH_BYTES = 8 << 20
_ROW_BYTES = 400  # about what a row of `fetches` takes


@dataclass(frozen=True)
class Capture:
    """What one attempt at a URL brought."""

    url: str
    captured_at: int | None  # microseconds since the epoch, UTC
    body: bytes  # without transfer and content encodings
    status: int | None = None  # None where there was no HTTP
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    error: str | None = None  # known before the body was looked at
    redirect_url: str | None = None


class CaptureRows:
    """Collects captures until `batches` hands them over as rows. Rows of equal id are handed over once."""

    def __init__(self, report: Report, *, max_page_bytes: int, max_image_bytes: int) -> None:
        self._report = report
        self._max_page_bytes = max_page_bytes
        self._max_image_bytes = max_image_bytes
        self._seen: set[str] = set()
        self._documents = DocumentRows()
        self._clear()

    def _clear(self) -> None:
        self._images: dict[str, bytes] = {}
        self._image_bytes = 0
        self._fetches: list[dict[str, Any]] = []

    def add(self, capture: Capture) -> None:
        """Add the rows of one capture, unless it is an exact repetition: same URL, time, outcome and bytes."""
        sha256 = hashlib.sha256(capture.body).hexdigest()
        payload = sha256[:ID_CHARACTERS]
        kind, error = ("other", capture.error) if capture.error else self._judge(capture)
        fetch_id = _fetch_id(capture, error, payload)
        if fetch_id in self._seen:
            return
        self._seen.add(fetch_id)
        image_id = None
        if kind == "image":
            image_id = self._add_image(capture.body, payload)
        elif kind == "page" and not self._add_page(capture, payload):
            error = "unreadable_page"
            fetch_id = _fetch_id(capture, error, payload)
        self._fetches.append(
            {
                "fetch_id": fetch_id,
                "url": capture.url,
                "captured_at": capture.captured_at,
                "status": capture.status,
                "error": error,
                "content_type": capture.headers.get("content-type"),
                "rights": _evidence(capture.headers) if capture.status is not None else None,
                "redirect_url": capture.redirect_url,
                "num_bytes": None if error == "too_large" else len(capture.body),
                "sha256": sha256 if capture.body else None,
                "elapsed_ms": None,
                "image_id": image_id,
            }
        )

    def batches(self, *, last: bool = False) -> Iterator[tuple[str, pa.RecordBatch]]:
        """All rows so far once they come to about 8 MB, or at the `last` call."""
        size = self._image_bytes + self._documents.num_bytes + _ROW_BYTES * len(self._fetches)
        if size < _BATCH_BYTES and not last:
            return
        if self._images:
            columns = {"image_id": list(self._images), "bytes": list(self._images.values())}
            yield "images", pa.RecordBatch.from_pydict(columns, schema=source_schema("images"))
        if self._fetches:
            yield "fetches", pa.RecordBatch.from_pylist(self._fetches, schema=source_schema("fetches"))
        self._clear()
        yield from self._documents.flush()

    def _judge(self, capture: Capture) -> tuple[str, str | None]:
        """What the body is (image, page, other), whatever it was served as, and what is wrong with it."""
        body = capture.body
        served_as = media_type(capture.headers.get("content-type"))
        if not body:
            return "other", "empty_body"
        if image_format(body):
            return ("image", None) if len(body) <= self._max_image_bytes else ("other", "too_large")
        if served_as in PAGE_TYPES or (not served_as and looks_like_html(body)):
            if looks_binary(body):
                return "other", "not_a_page"
            return ("page", None) if len(body) <= self._max_page_bytes else ("other", "too_large")
        if served_as.startswith("image/svg") or looks_like_svg(body):
            return "other", "vector_image"
        return "other", "not_an_image" if served_as.startswith("image/") else None

    def _add_image(self, data: bytes, image_id: str) -> str:
        if image_id not in self._seen:
            self._seen.add(image_id)
            self._images[image_id] = data
            self._image_bytes += len(data)
        return image_id

    def _add_page(self, capture: Capture, payload: str) -> bool:
        headers = capture.headers
        try:
            page = extract(capture.body, capture.url, charset=charset_of(headers.get("content-type")), headers=headers)
        except Exception as error:  # one page must never end a run
            self._report.num_bad_records += 1
            self._report.messages.append(f"{capture.url}: {type(error).__name__}: {error}")
            return False
        for data in page.embedded.values():
            if image_format(data) and len(data) <= self._max_image_bytes:
                self._add_image(data, digest(data))
        self._documents.add(page, url=capture.url, captured_at=capture.captured_at, payload=payload)
        return True


def _evidence(headers: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"kind": kind, "value": value} for kind, value in header_evidence(headers)]


def _fetch_id(capture: Capture, error: str | None, payload: str) -> str:
    return digest(capture.url, capture.captured_at, capture.status, error, payload)
