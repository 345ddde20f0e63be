import gzip
import time
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st
from warc_records import chunked, http, raw_deflate

from tuwen.sources.http import charset_of, decode_body, media_type, parse_response

LIMIT = 1 << 20
ENCODERS = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "x-gzip": lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
    "deflate": zlib.compress,
    "br": brotli.compress,
}


@given(st.binary(min_size=1, max_size=3_000), st.lists(st.sampled_from(sorted(ENCODERS)), max_size=3), st.booleans())
def test_encodings_are_undone_in_order(body: bytes, encodings: list[str], in_chunks: bool) -> None:
    sent = body
    for encoding in encodings:
        sent = ENCODERS[encoding](sent)
    headers = {"content-encoding": ", ".join(encodings).upper()}
    if in_chunks:
        sent, headers["transfer-encoding"] = chunked(sent, 100), "chunked"
    assert decode_body(sent, headers, LIMIT) == (body, None)


@given(st.binary(min_size=1, max_size=2_000))
def test_raw_deflate(body: bytes) -> None:
    assert decode_body(raw_deflate(body), {"content-encoding": "deflate"}, LIMIT) == (body, None)


@given(
    st.binary(max_size=500),
    st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, gzip", "what", "", "utf-8", ",".join(["gzip"] * 9)]),
    st.sampled_from(["", "chunked", "gzip, chunked"]),
    st.text(max_size=5),
)
def test_any_body_is_decoded_or_refused(body: bytes, encoding: str, transfer: str, length: str) -> None:
    headers = {"content-encoding": encoding, "transfer-encoding": transfer, "content-length": length}
    decoded = decode_body(body, headers, 1_000)
    assert decoded.error in (None, "truncated_body", "bad_encoding", "too_large")
    assert len(decoded.body) <= 1_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_bombs_are_defused(encoding: str) -> None:
    bomb = ENCODERS[encoding](bytes(16 << 20))
    assert decode_body(bomb, {"content-encoding": encoding}, LIMIT) == (b"", "too_large")

    def seconds(limit: int) -> float:
        start = time.process_time()
        decode_body(bomb, {"content-encoding": encoding}, limit)
        return time.process_time() - start

    assert min(seconds(LIMIT) for _ in range(3)) < max(seconds(32 << 20) for _ in range(3)) / 2
    twice = ENCODERS[encoding](bomb)
    assert decode_body(twice, {"content-encoding": f"{encoding}, {encoding}"}, LIMIT).error == "too_large"


@given(st.lists(st.binary(max_size=9000), min_size=1, max_size=4), st.sampled_from([b"", b"junk", b"\0" * 9000]))
def test_gzip_members_follow_each_other(members: list[bytes], rest: bytes) -> None:
    whole = b"".join(members)
    body = b"".join(gzip.compress(member, mtime=0) for member in members)
    assert decode_body(body, {"content-encoding": "gzip"}, len(whole)) == (whole, None)
    if whole:
        assert decode_body(body + rest, {"content-encoding": "gzip"}, len(whole)) == (whole, None)


def test_a_body_of_tiny_gzip_members_takes_no_time() -> None:
    started = time.process_time()
    assert decode_body(gzip.compress(b"", mtime=0) * 1_000_000, {"content-encoding": "gzip"}, 1 << 25)[1] is not None
    assert time.process_time() - started < 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_cut_bodies_are_noticed(encoding: str) -> None:
    body = bytes(range(256)) * 40
    sent = ENCODERS[encoding](body)
    decoded = decode_body(sent[: len(sent) // 2], {"content-encoding": encoding}, LIMIT)
    assert decoded.error == "truncated_body"
    assert body.startswith(decoded.body)


def test_content_length() -> None:
    assert decode_body(b"12345", {"content-length": "9"}, LIMIT).error == "truncated_body"
    assert decode_body(b"12345", {"content-length": "3"}, LIMIT) == (b"12345", None)
    # Of an encoded body it counts what was sent; what arrived is checked by the encoding.
    assert decode_body(gzip.compress(b"12345"), {"content-length": "9999", "content-encoding": "gzip"}, LIMIT) == (
        b"12345",
        None,
    )


def test_encodings_that_the_crawler_undid() -> None:
    page = b"<!-- a --> <html><p>plain</p>"
    for encoding in ("gzip", "br", "deflate", "what"):
        assert decode_body(page, {"content-encoding": encoding}, LIMIT) == (page, None)
    assert decode_body(page, {"transfer-encoding": "chunked"}, LIMIT) == (page, None)
    assert decode_body(b"neither", {"content-encoding": "gzip"}, LIMIT) == (b"neither", "bad_encoding")
    gzipped = gzip.compress(page)
    assert decode_body(gzipped, {"transfer-encoding": "chunked", "content-encoding": "gzip"}, LIMIT) == (page, None)


def test_chunks() -> None:
    headers = {"transfer-encoding": "chunked"}
    assert decode_body(b"3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n", headers, LIMIT) == (b"abcde", None)
    assert decode_body(b"3\nabc\n0\n\n", headers, LIMIT) == (b"abc", None)
    assert decode_body(b"3\r\nabc\r\n", headers, LIMIT) == (b"abc", "truncated_body")
    assert decode_body(b"9\r\nabc", headers, LIMIT) == (b"abc", "truncated_body")


def test_heads() -> None:
    response = parse_response(http(b"body", "text/html", headers=["X-A: 1", "x-a: 2", "Content-Type: text/plain"]))
    assert response.status == 200
    assert response.headers == {"content-type": "text/html", "content-length": "4", "x-a": "1, 2"}
    assert response.body == b"body"
    assert parse_response(b"HTTP/1.0 404\n\nx") == (404, {}, b"x")
    assert parse_response(b"HTTP/2 200 OK\r\nA: b\r\n\tc\r\n\r\n") == (200, {"a": "b c"}, b"")
    assert parse_response(b"A : b\r\njunk\r\n\r\nx") == (None, {"a": "b"}, b"x")
    assert parse_response(b"<p>body\r\n\r\nmore") == (None, {}, b"<p>body\r\n\r\nmore")
    assert parse_response(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n") == (204, {}, b"")
    assert parse_response(b"HTTP/1.1 200 OK\r\nLocation: /\xe4\r\n\r\n").headers == {"location": "/ä"}
    assert parse_response(b"") == (None, {}, b"")


@given(st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100\n\n" * 500]))
def test_any_block_is_parsed(block: bytes, start: bytes) -> None:
    assert parse_response(start + block).body in start + block


def test_content_types() -> None:
    assert media_type(" Text/HTML ; charset=utf-8") == "text/html"
    assert media_type("text/html, text/html") == "text/html"
    assert media_type(None) == ""
    assert charset_of('text/html; Charset = "Big5"') == "Big5"
    assert charset_of("text/html") is None
