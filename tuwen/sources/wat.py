"""Common Crawl's WAT files: the links and metadata of pages, without their text."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.sources import Report, Unit
from tuwen.sources.archive import Record, records
from tuwen.sources.datasets.files import find_files, is_url, unit_of
from tuwen.sources.datasets.rows import complain
from tuwen.sources.extraction.content import Nodes, Page, Pairs
from tuwen.sources.extraction.links import Resolver
from tuwen.sources.extraction.rights import first_license, read_headers, read_link, read_meta
from tuwen.sources.extraction.rows import DocumentRows
from tuwen.sources.warc import microseconds, target_url

MAX_RECORD_BYTES = 16 << 20

_SUFFIXES = (".wat", ".wat.gz", ".wat.zst")
_BATCH_BYTES = 8 << 20
_IMAGE_LINK = re.compile(rb'"IMG@\\?/src"')
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|\w{2,32});", re.ASCII)


@dataclass(frozen=True)
class Wat:
    """WAT files, plain and gzip, one unit per file: a document for each page with an image that has a text.

    Of each page: URL, time of capture, title, rights evidence of HTTP headers and metadata, language if one of them
    declares it, and its images (`<img src>`) in order, each once, without regions. Texts of an image: `alt`, `title`,
    `page_title`. WAT files do not tell which link an image stood in, nor the text around it: for these, read the
    WARC. https://commoncrawl.org/get-started
    """

    paths: list[str]
    """Files, folders (searched for .wat, .wat.gz, .wat.zst) and globs."""
    max_record_bytes: int = MAX_RECORD_BYTES

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths",)

    def units(self) -> list[Unit]:
        """One unit per file, sorted by path; of files with the same base name and bytes, one."""
        for path in self.paths:
            if is_url(path):
                raise UsageError(f"wat: {path!r} is a URL; download it, and name the file")
        units: dict[str, Unit] = {}
        for location in find_files(self.paths, _SUFFIXES, "wat"):
            unit = unit_of(location, "wat")
            units.setdefault(unit.name, unit)
        return list(units.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Documents and pairs of one file, in the order of its records."""
        rows, seen = DocumentRows(), set()
        path, limit = Path(unit.location), self.max_record_bytes
        for record in records(path, report, max_bytes=limit, kinds=("metadata",)):
            if not _IMAGE_LINK.search(record.block) and record.error is None:
                continue
            try:
                found = _read(record)
            except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
                complain(report, f"offset {record.offset}: {record.error or _told(error)}")
                continue
            if found is None:
                continue
            page, url, captured_at, payload = found
            key = (url, captured_at, payload)
            if key not in seen:
                seen.add(key)
                rows.add(page, url=url, captured_at=captured_at, payload=payload)
            if rows.num_bytes >= _BATCH_BYTES:
                yield from rows.flush()
        yield from rows.flush()


def _read(record: Record) -> tuple[Page, str, int | None, str] | None:
    """Page, URL, time of capture and digest of the payload; None for what is no page with a text for an image.

    Raises `ValueError`, `TypeError`, `AttributeError` or `LookupError` where the JSON is broken or of another shape.
    """
    envelope = json.loads(record.block)["Envelope"]
    response = envelope.get("Payload-Metadata", {}).get("HTTP-Response-Metadata", {})
    metadata = response.get("HTML-Metadata")
    if not metadata or str(response.get("Response-Message", {}).get("Status", 200)) != "200":
        return None
    about = envelope.get("WARC-Header-Metadata", {})
    url = target_url(_string(about.get("WARC-Target-URI")) or record.header(b"WARC-Target-URI"))
    if url is None:
        raise ValueError("no WARC-Target-URI")
    page = _page(metadata, {str(name).lower(): str(value) for name, value in response.get("Headers", {}).items()}, url)
    if page is None:
        return None
    payload = about.get("WARC-Payload-Digest") or about.get("WARC-Block-Digest") or digest(record.block)
    return page, url, microseconds(_string(about.get("WARC-Date")) or record.header(b"WARC-Date")), str(payload)


def _told(error: Exception) -> str:
    """What is wrong with a record, in words."""
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"the JSON cannot be read: {error}"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return str(error) if isinstance(error, ValueError) else "the JSON is not laid out as that of WAT files"


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _page(metadata: dict[str, Any], headers: dict[str, str], url: str) -> Page | None:
    head, links = metadata.get("Head", {}), metadata.get("Links", [])
    page, resolver = Page(), Resolver(url)
    if base := _decoded(head.get("Base")):
        resolver.set_base(base)
    images = _images(links, resolver)
    if not any(images.values()):
        return None
    read_headers(page, headers)
    for meta in head.get("Metas", []):
        read_meta(page, {name: _decoded(value) for name, value in meta.items()})
    for link in (*head.get("Link", []), *links):
        if "rel" in link or "creativecommons.org" in str(link.get("url")):
            read_link(page, {"href": _decoded(link.get("url")), "rel": _text(link.get("rel"))}, resolver)
    page.title = _text(head.get("Title")) or page.og_title or None
    page.declared_language = page.declared_language or _text(headers.get("content-language")) or None
    page.license = first_license(page.rights)
    refs, num_images = list(images), len(images)
    # WAT files know no regions.
    regions = cast(list[str], [None] * num_images)
    page.nodes = Nodes(["image"] * num_images, [None] * num_images, [None] * num_images, regions, [*refs])
    rows = [
        (position, text, source, None, ref, None)
        for position, (ref, texts) in enumerate(images.items())
        for source, text in (*texts, *((("page_title", page.title),) if page.title else ()))
    ]
    page.pairs = Pairs(*map(list, zip(*rows, strict=True)))
    return page


def _images(links: list[dict[str, Any]], resolver: Resolver) -> dict[str, dict[tuple[str, str], None]]:
    """Images of a page in order, with their own texts: (text source, text)."""
    images: dict[str, dict[tuple[str, str], None]] = {}
    for link in links:
        if link.get("path") != "IMG@/src" or not (ref := resolver.resolve(_decoded(link.get("url")))):
            continue
        texts = images.setdefault(ref, {})
        for source in ("alt", "title"):
            if text := _text(link.get(source)):
                texts[source, text] = None
    return images


def _text(value: object) -> str:
    """A text of the page with white space collapsed."""
    return " ".join(_decoded(value).split())


def _decoded(value: object) -> str:
    """With character references decoded, which the makers of WAT files leave as they stand in the page."""
    if not isinstance(value, str):
        return ""
    if "&" in value:
        value = _ENTITY.sub(lambda match: html.unescape(match[0]), value)
    return value.encode("utf-8", "replace").decode()
