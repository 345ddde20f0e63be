"""Alt and caption pairs of the shipped crawl, row by row against a second parser made of the standard library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from fastwarc.warc import ArchiveIterator, WarcRecordType

import tuwen
from tuwen.sources.extraction.page import Page, extract

CRAWL = Path(tuwen.__file__).parent / "demo" / "docs-crawl.warc.gz"
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])

Row = tuple[str, str, str]


class Reference(HTMLParser):
    """Collects (url, source, text) of every <img>: its alt, and the caption of the figure around it.

    A figure is a <figure>, or a <div> of class figure or imageblock (its caption of class caption or title).
    """

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.base = url
        self.open: list[tuple[str, str]] = []  # tag, role
        self.figures: list[tuple[list[str], list[str]]] = []
        self.caption: list[str] | None = None
        self.muted = 0
        self.rows: list[Row] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = attributes.get("class", "").split()
        role = ""
        if tag == "base":
            self.base = urljoin(self.base, attributes["href"])
        if tag == "img" and attributes.get("src"):
            url = urldefrag(urljoin(self.base, attributes["src"].strip())).url
            self.images.append(url)
            if alt := " ".join(attributes.get("alt", "").split()):
                self.rows.append((url, "alt", alt))
            for images, _ in self.figures[-1:]:
                images.append(url)
        if tag == "figure" or (tag == "div" and {"figure", "imageblock"} & set(classes)):
            role = "figure"
            self.figures.append(([], []))
        elif self.figures and (tag == "figcaption" or "caption" in classes or (tag == "div" and "title" in classes)):
            role = "caption"
            self.caption = []
        elif {"headerlink", "caption-number"} & set(classes):
            role = "muted"
            self.muted += 1
        if tag not in VOID:
            self.open.append((tag, role))

    def handle_endtag(self, tag: str) -> None:
        if tag not in [name for name, _ in self.open]:
            return
        while True:
            name, role = self.open.pop()
            self._close(role)
            if name == tag:
                return

    def _close(self, role: str) -> None:
        if role == "figure":
            images, captions = self.figures.pop()
            self.rows += [(url, "caption", text) for url in images for text in captions]
        elif role == "caption" and self.caption is not None:
            if text := " ".join("".join(self.caption).split()):
                self.figures[-1][1].append(text)
            self.caption = None
        elif role == "muted":
            self.muted -= 1

    def handle_data(self, data: str) -> None:
        if self.caption is not None and not self.muted:
            self.caption.append(data)


def pages() -> Iterator[tuple[str, bytes]]:
    with CRAWL.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            http = record.http_headers
            if http is not None and http.status_code == 200 and "html" in (record.http_content_type or ""):
                yield record.headers["WARC-Target-URI"].strip("<>"), record.reader.read()


def rows_of(page: Page) -> list[Row]:
    pairs = page.pairs
    rows = zip(pairs.image_ref, pairs.text_source, pairs.text, strict=True)
    return [row for row in rows if row[1] in ("alt", "caption")]


def test_agrees_with_a_second_parser() -> None:
    num_rows = 0
    for url, body in pages():
        reference = Reference(url)
        reference.feed(body.decode("utf-8"))
        page = extract(body, url)
        assert Counter(rows_of(page)) == Counter(reference.rows), url
        assert [ref for ref in page.nodes.image_ref if ref] == reference.images, url
        num_rows += len(reference.rows)
    assert num_rows > 2_500
