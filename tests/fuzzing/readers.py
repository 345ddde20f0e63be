"""What is fuzzed: for each reader a function of bytes that must return, or raise an error made for the user; and seeds.

Found inputs are kept in `regressions/NAME-*`; tests/fuzzing/test_fuzzing.py reads each of them for ever.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tuwen.engine.recipe import Recipe
from tuwen.errors import TuwenError
from tuwen.sources import Report, Source
from tuwen.sources.html import Html
from tuwen.sources.url_list import UrlList
from tuwen.sources.warc import Warc
from tuwen.sources.webdataset import Webdataset

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db0"
    "0000000049454e44ae426082"
)
PAGE = (
    b"<!doctype html><html lang=en><head><title>A</title><meta charset=utf-8></head><body><main><h1>Cats</h1>"
    b"<figure><img src=/a.png alt='A cat' srcset='b.png 2x'><figcaption>A cat sits</figcaption></figure>"
    b"<p>Text <b>of</b> the page \xe5\x9b\xbe\xe6\x96\x87</p><svg><title>x</title></svg></main></body></html>"
)


def _read(source: Source) -> None:
    for unit in source.units():
        for _, batch in source.read(unit, Report()):
            batch.validate(full=True)


@dataclass(frozen=True)
class Reader:
    """Reads a file of bytes; what is wrong with them may be told, by an error made for the user."""

    suffix: str
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]

    def __call__(self, data: bytes) -> None:
        with contextlib.suppress(TuwenError):
            self.strictly(data)

    def strictly(self, data: bytes) -> None:
        """As the call, without excuses."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"x{self.suffix}"
            path.write_bytes(data)
            self.read(path)


def _warc_seed() -> bytes:
    found = b""
    for url, kind, body in (("http://a.test/", b"text/html", PAGE), ("http://a.test/a.png", b"image/png", PNG)):
        message = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n" + body
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{len(found)}>\r\n"
            f"WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\n"
            f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(message)}\r\n\r\n"
        )
        found += head.encode() + message + b"\r\n\r\n"
    return found


def _tar_seed() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in (("0.png", PNG), ("0.txt", b"a cat"), ("0.json", b'{"url": "http://a.test/a.png"}')):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _parquet_seed() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"url": ["http://a.test/a.png", "http://a.test/b.png"], "text": ["a", "图"]}), stream)
    return stream.getvalue()


RECIPE = b"""name: x
sources: [{url_list: {paths: [a.csv], columns: {url: URL, text: TEXT}}}]
stages: [text.properties, text.language, {dedup.text: {threshold: 0.8}}, document.language]
selections: {kept: {unit: pair, steps: [{rule: "num_characters > 3"}, {best: {k: 1, per: [text], by: [text]}}]}}
fetch: {max_bytes: 1000}
"""
READERS = {
    "warc": Reader(".warc", lambda path: _read(Warc([str(path)])), (_warc_seed(),)),
    "html": Reader(".html", lambda path: _read(Html(str(path.parent))), (PAGE,)),
    "url_list": Reader(
        ".csv",
        lambda path: _read(UrlList([str(path)])),
        (b'url,text,score\nhttp://a.test/a.png,"a, ""b""",1\nhttp://a.test/b.png,\xe5\x9b\xbe,2\n',),
    ),
    "jsonl": Reader(
        ".jsonl",
        lambda path: _read(UrlList([str(path)])),
        (b'{"url": "http://a.test/a.png", "text": "a", "more": {"x": [1, null]}}\n{"url": "http://a.test/b.png"}\n',),
    ),
    "recipe": Reader(".yaml", Recipe.load, (RECIPE,)),
    "shards": Reader(".tar", lambda path: _read(Webdataset([str(path)])), (_tar_seed(),)),
    "parquet": Reader(".parquet", lambda path: _read(UrlList([str(path)])), (_parquet_seed(),)),
}
