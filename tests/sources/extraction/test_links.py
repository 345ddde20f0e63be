from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.sources.extraction.links import LONGEST_URL, Resolver, data_bytes, largest_candidate

PAGE = "http://Example.com:80/a/b/page.html?x=1#top"


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("c.png", "http://example.com/a/b/c.png"),
        ("/c.png", "http://example.com/c.png"),
        ("//cdn.test/c.png", "http://cdn.test/c.png"),
        ("HTTPS://cdn.test", "https://cdn.test/"),
        ("https://cdn.test:443/c.png", "https://cdn.test/c.png"),
        ("http://cdn.test:8080/c.png", "http://cdn.test:8080/c.png"),
        ("http:c.png", "http://example.com/a/b/c.png"),
        ("../c.png", "http://example.com/a/c.png"),
        ("./../../../c.png", "http://example.com/c.png"),
        ("d/./e/%2e%2E/c.png", "http://example.com/a/b/d/c.png"),
        ("d/..", "http://example.com/a/b/"),
        (" \n c.\tpng\r\n", "http://example.com/a/b/c.png"),
        ("c.png#part", "http://example.com/a/b/c.png"),
        ("?q=1", "http://example.com/a/b/page.html?q=1"),
        ("c d.png", "http://example.com/a/b/c%20d.png"),
        ("c%20d%.png", "http://example.com/a/b/c%20d%.png"),
        ("图.png", "http://example.com/a/b/%E5%9B%BE.png"),
        ("c.png?q=图 'x'", "http://example.com/a/b/c.png?q=%E5%9B%BE%20%27x%27"),
        ("c|[1]^.png", "http://example.com/a/b/c|[1]%5E.png"),
        ("\\c\\d.png", "http://example.com/c/d.png"),
        ("c.png?a\\b", "http://example.com/a/b/c.png?a\\b"),
        ("http://bücher.test/c.png", "http://xn--bcher-kva.test/c.png"),
        ("http://user@cdn.test/c.png", "http://user@cdn.test/c.png"),
        ("a:b.png", None),
        ("./a:b.png", "http://example.com/a/b/a:b.png"),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("blob:http://example.com/1", None),
        ("about:blank", None),
        ("http://", None),
        ("http://bad host/c.png", None),
        ("http://host:port/c.png", None),
        ("", None),
        ("  ", None),
        ("#top", None),
        ("x" * LONGEST_URL, None),
    ],
)
def test_resolves_as_browsers_do(reference: str, url: str | None) -> None:
    assert Resolver(PAGE).resolve(reference) == url


def test_base() -> None:
    resolver = Resolver("https://a.test/x/y.html")
    resolver.set_base("/base/")
    assert resolver.resolve("c.png") == "https://a.test/base/c.png"
    resolver.set_base("//b.test/d/e")
    assert resolver.resolve("c.png") == "https://b.test/d/c.png"
    resolver.set_base("data:text/html,x")
    assert resolver.resolve("c.png") == "https://b.test/d/c.png"


def test_queries_are_encoded_in_the_encoding_of_the_page() -> None:
    resolver = Resolver("http://a.test/", "gb18030")
    assert resolver.resolve("图.png?q=图") == "http://a.test/%E5%9B%BE.png?q=%CD%BC"


def test_page_that_is_not_on_the_web() -> None:
    resolver = Resolver("file:///home/page.html")
    assert resolver.resolve("c.png") is None
    assert resolver.resolve("http://a.test/c.png") == "http://a.test/c.png"


@given(st.text(), st.text())
def test_any_reference_is_nothing_or_plain_ascii(page: str, reference: str) -> None:
    for resolver in (Resolver(page), Resolver("https://a.test/x/")):
        url = resolver.resolve(reference)
        if url is not None:
            assert url.isascii()
            assert url.startswith(("http://", "https://"))
            assert "#" not in url and " " not in url
            assert Resolver("https://other.test/").resolve(url) == url


@pytest.mark.parametrize(
    ("srcset", "url"),
    [
        ("a.png 320w, b.png 1280w, c.png 640w", "b.png"),
        ("a.png, b.png 1.5x, c.png 2x", "c.png"),
        ("a.png", "a.png"),
        ("a.png,", "a.png"),
        ("a,b.png 2x", "a,b.png"),
        ("data:image/gif;base64,AAAA 1x, b.png 2x", "b.png"),
        ("a.png 2x, b.png 100w", "b.png"),
        ("a.png (1, 2) 2x, b.png 3x", "b.png"),
        ("\n a.png\n 1x,\n\tb.png 2x\n", "b.png"),
        ("", None),
        (" , ,", None),
    ],
)
def test_largest_candidate(srcset: str, url: str | None) -> None:
    assert largest_candidate(srcset) == url


@given(st.text(alphabet=" ,()axw12.\n"))
def test_any_srcset(srcset: str) -> None:
    url = largest_candidate(srcset)
    assert url is None or url in srcset


@given(st.binary(min_size=1))
def test_data_uris_give_their_bytes_back(content: bytes) -> None:
    encoded = base64.b64encode(content).decode()
    assert data_bytes(f"data:image/png;base64,{encoded}") == content
    assert data_bytes(f"DATA:image/png;charset=x;BASE64,{encoded[:9]}\n {encoded[9:]}".rstrip("=")) == content
    assert data_bytes("data:image/x," + "".join(f"%{byte:02x}" for byte in content)) == content


def test_data_uris_that_are_no_images() -> None:
    for uri in ("data:text/html,x", "data:image/png;base64,", "data:image/png;base64,?", "data:image/png", "data:"):
        assert data_bytes(uri) is None
    assert data_bytes("data:image/svg+xml;utf8,<svg></svg>") == b"<svg></svg>"
