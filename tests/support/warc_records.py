"""WARC records written by hand, so that every way of getting them wrong can be had."""

from __future__ import annotations

import gzip
import hashlib
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path

DATE = "2026-11-20T12:00:00Z"


def record(
    kind: str, url: str | None, block: bytes, *, date: str = DATE, version: str = "1.1", more: Iterable[str] = ()
) -> bytes:
    """One record. Its id is derived from what it holds, so that files are the same in every run."""
    served = "application/warc-fields" if kind == "warcinfo" else f"application/http;msgtype={kind}"
    more = list(more)
    if not any(line.lower().startswith("content-type:") for line in more):
        more.append(f"Content-Type: {served}")
    name = uuid.UUID(hashlib.md5(f"{kind} {url} {date} {len(block)}".encode() + block).hexdigest())
    lines = [f"WARC/{version}", f"WARC-Type: {kind}", f"WARC-Record-ID: <urn:uuid:{name}>", f"WARC-Date: {date}"]
    lines += [f"WARC-Target-URI: {url}"] if url else []
    lines += [*more, f"Content-Length: {len(block)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def http(body: bytes, content_type: str | None, *, status: int | str = 200, headers: Iterable[str] = ()) -> bytes:
    """An HTTP response; Content-Length is right unless `headers` has one or the body is chunked."""
    headers = list(headers)
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    if not any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 700) -> bytes:
    """The body in chunks, one with an extension, and a trailer."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Trailer: 1\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    """Deflate without the zlib header, as many servers send it."""
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


def member(data: bytes) -> bytes:
    """One gzip member, the same in every run."""
    return gzip.compress(data, mtime=0)


def members(path: Path) -> list[bytes]:
    """The gzip members of a file, decompressed."""
    rest, found = path.read_bytes(), []
    while rest:
        inflater = zlib.decompressobj(wbits=31)
        found.append(inflater.decompress(rest))
        rest = inflater.unused_data
    return found


def split_crawl(source: Path, folder: Path, parts: int) -> list[Path]:
    """Cut a crawl (`.warc.gz`, a record per member) into `parts` small ones, neighbouring records together."""
    records = members(source)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number:02}.warc.gz" for number in range(parts)]
    for number, path in enumerate(paths):
        first, last = len(records) * number // parts, len(records) * (number + 1) // parts
        path.write_bytes(b"".join(map(member, records[first:last])))
    return paths
