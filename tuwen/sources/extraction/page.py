"""A web page becomes nodes in reading order and candidate texts for every image: `extract`."""

from __future__ import annotations

from collections.abc import Mapping

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from tuwen.sources.extraction import rights
from tuwen.sources.extraction.bounds import bounded
from tuwen.sources.extraction.candidates import add_pairs
from tuwen.sources.extraction.charset import to_utf8
from tuwen.sources.extraction.content import Nodes, Page, Pairs
from tuwen.sources.extraction.elements import OPENERS
from tuwen.sources.extraction.links import Resolver
from tuwen.sources.extraction.walk import Walk

__all__ = ["Nodes", "Page", "Pairs", "extract"]


def extract(body: bytes, url: str, *, charset: str | None = None, headers: Mapping[str, str] | None = None) -> Page:
    """Everything that the corpus keeps of an HTML page. Never raises, whatever the bytes.

    `url` is the page's own, after redirects. `charset` is that of the HTTP Content-Type. `headers` are those of the
    HTTP response, names in lower case: x-robots-tag, tdm-reservation, tdm-policy, content-usage, link and
    content-language are read.
    """
    page = Page()
    body, page.charset = to_utf8(body, charset)
    if headers:
        rights.read_headers(page, headers)
    walk = Walk(page, Resolver(url, page.charset))
    tree = LexborHTMLParser(bounded(body), options=LexborDocumentOptions.WO_EVENTS)
    if tree.root is not None:
        walk.run(tree.root, OPENERS)
    if walk.nodes:
        page.nodes = Nodes(*map(list, zip(*walk.nodes, strict=True)))
    if not page.title:
        page.title = page.og_title or _first_heading(page.nodes)
    if not page.declared_language and headers:
        page.declared_language = _clean(headers.get("content-language"))
    page.license = rights.first_license(page.rights)
    add_pairs(page, walk)
    return page


def _first_heading(nodes: Nodes) -> str | None:
    for kind, level, text in zip(nodes.kind, nodes.level, nodes.text, strict=True):
        if kind == "heading" and level == 1:
            return text
    return None


def _clean(value: str | None) -> str | None:
    return value.encode("utf-8", "replace").decode().strip() or None if value else None
