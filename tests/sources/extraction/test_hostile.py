"""Whatever the bytes: no exception, bounded time, rows that Arrow takes, positions that exist."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.sources.extraction.bounds import DEEPEST, bounded
from tuwen.sources.extraction.page import Page, extract
from tuwen.sources.extraction.rows import DocumentRows

KINDS = {"heading", "text", "list", "table", "code", "quote", "caption", "image", "svg"}
SOURCES = ["alt", "caption", "title", "aria_label", "link", "heading", "before", "after", "page_title"]
REGIONS = {"main", "navigation", "header", "footer", "aside", "form"}

TAGS = re.findall(
    r"\w+",
    """html head body base meta title link script style template noscript h1 h2 p div span a em pre code br hr ul ol li
dl dt dd table caption thead tbody tr td th figure figcaption img picture source svg image object embed video input form
nav header footer main aside article section blockquote select option textarea iframe plaintext math frameset""",
)
ATTRIBUTES = [
    *("class=caption", "class=figure", "class='thumb image'", "class=headerlink", "class=title", "class=mediaobject"),
    *("src=a.png", "src='data:image/png;base64,AAAA'", "srcset='b.png 2x'", "data-src=c.png", "alt=' alt '", "title=t"),
    *(
        "href=/x",
        "href='http://b.test/'",
        "rel=license",
        "hidden",
        "style=display:none",
        "role=navigation",
        "type=image",
    ),
    *("lang=zh", "content=x", "name=robots", "poster=p", "tooltip=tt", "aria-label=l", "role=presentation", "id=toc"),
]
TAG = st.builds(
    lambda close, tag, attributes: f"<{close}{tag} {' '.join(attributes)}>",
    st.sampled_from(["", "", "/"]),
    st.sampled_from(TAGS),
    st.lists(st.sampled_from(ATTRIBUTES), max_size=3),
)
SOUP = st.lists(
    st.one_of(TAG, st.sampled_from(["text", " ", "\n", "图", "&lt;", "\ud800", "\0", "<!--", "-->"])), max_size=60
)


def check(page: Page) -> None:
    """What must hold for every page."""
    nodes, pairs = page.nodes, page.pairs
    assert set(nodes.kind) <= KINDS
    assert set(nodes.region) <= REGIONS
    for kind, text, level, ref in zip(nodes.kind, nodes.text, nodes.level, nodes.image_ref, strict=True):
        assert (text is None) == (kind in ("image", "svg"))
        assert text is None or text.strip()
        assert (ref is not None) == (kind == "image")
        assert (level is not None) == (kind == "heading")
    last = (-1, -1)
    for index, position in enumerate(pairs.position):
        assert nodes.image_ref[position] == pairs.image_ref[index]
        assert nodes.region[position] == pairs.region[index]
        assert pairs.text[index].strip()
        order = (position, SOURCES.index(pairs.text_source[index]))
        assert order >= last
        last = order
        text_position = pairs.text_position[index]
        if text_position is not None:
            assert pairs.text[index] in (nodes.text[text_position] or "")
    for ref, content in page.embedded.items():
        assert ref.startswith("data:sha256,") and content
    rows = DocumentRows()
    rows.add(page, url="http://a.test/", captured_at=0, payload="p")
    for name, batch in rows.flush():
        batch.validate(full=True)
        if name == "pairs":
            assert len(set(batch.column("pair_id").to_pylist())) == batch.num_rows


@given(st.binary(max_size=2000), st.one_of(st.none(), st.text(max_size=12)), st.text(max_size=30))
def test_any_bytes(body: bytes, charset: str | None, url: str) -> None:
    check(extract(body, url, charset=charset, headers={"link": url, "x-robots-tag": url, "content-language": url}))


@settings(max_examples=400)
@given(SOUP)
def test_any_soup(soup: list[str]) -> None:
    check(extract("".join(soup).encode("utf-8", "surrogatepass"), "http://a.test/"))


@given(SOUP, st.integers(1, 40))
def test_bounds_leave_small_pages_alone(soup: list[str], times: int) -> None:
    body = "".join(soup).encode("utf-8", "replace")
    assert bounded(body) == body


BOMBS = {
    "200 levels": b"<div><p>" * 200 + b"<img src=a.png alt=x>",
    "100,000 levels": b"<div>" * 100_000 + b"deep<img src=a.png alt=x>",
    "100,000 levels, closed": b"<div>" * 100_000 + b"<img src=a.png alt=x>" + b"</div>" * 100_000,
    "lists": b"<ul><li>x" * 50_000 + b"<img src=a.png alt=x>",
    "tables": b"<table><tr><td>x" * 50_000 + b"<img src=a.png alt=x>",
    "figures": b"<figure>" * 50_000 + b"<img src=a.png alt=x>" + b"<figcaption>c</figcaption></figure>" * 50_000,
    "end tags of nothing": b"<x>" * 50_000 + b"</y>" * 50_000 + b"<img src=a.png alt=x>",
    "attributes": b"<p " + b" ".join(b"a%d" % n for n in range(200_000)) + b"><img src=a.png alt=x>",
    "attributes behind a quoted >": b"<p b='>' "
    + b" ".join(b"a%d" % n for n in range(200_000))
    + b"><img src=a.png alt=x>",
    "srcset": b"<img srcset='" + b"a 1x," * 200_000 + b"'><img src=a.png alt=x>",
    "shared texts": b"<title>" + b"t" * 9_000 + b"</title><figure>" + b"<img src=a.png alt=x>" * 50_000,
    "long base": b"<base href='/" + b"b" * 4_000 + b"/'>" + b"<img src=a.png alt=x>" * 50_000,
    "null bytes": b"\0" * 1_000_000 + b"<img src=a.png alt=x>",
    "5 MB": b"<p>hello <b>you</b></p>" * 200_000 + b"<img src=a.png alt=x>",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_bounded_time_and_rows(name: str) -> None:
    start = time.process_time()
    page = extract(BOMBS[name], "http://a.test/")
    assert time.process_time() - start < 10  # without the bounds, many of these take minutes
    assert "alt" in page.pairs.text_source
    assert sum(map(len, page.pairs.text)) + sum(map(len, page.pairs.image_ref)) < 200_000_000


def test_flattening_keeps_text_and_structure_above_the_bound() -> None:
    body = (
        b"<ul>"
        + b"<li><p>item</p></li>" * 100
        + b"</ul>"
        + b"<div>" * 50_000
        + b"deep"
        + b"</div>" * 50_000
        + b"<p>end</p>"
    )
    assert bounded(body).count(b"<div>") == DEEPEST
    nodes = extract(body, "http://a.test/").nodes
    assert list(zip(nodes.kind, nodes.text, strict=True)) == [("list", "item")] * 100 + [
        ("text", "deep"),
        ("text", "end"),
    ]


def test_long_honest_tags_are_left_alone() -> None:
    data = b"A" * 100_000
    body = (
        b"<p class='x'>it's</p><img alt='a > b' src='data:image/png;base64,"
        + data
        + b"' title='t'><p>"
        + b"word " * 20_000
    )
    assert bounded(body) == body
