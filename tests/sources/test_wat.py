"""WAT files: the same images and texts as in the WARC that they were made from, as far as they tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import warc_records
from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from tuwen.errors import UsageError
from tuwen.sources import Report
from tuwen.sources.warc import Warc
from tuwen.sources.wat import Wat

URL = "https://a.test/dir/page.html"
PNG = {"path": "IMG@/src", "url": "../x.png", "alt": "a fox"}


def attributes(node: Any, path: str, url: str, *more: str) -> dict[str, str]:
    found = {"path": path, "url": node.attributes[url], **{name: node.attributes.get(name) for name in more}}
    return {name: value for name, value in found.items() if value is not None}


def html_metadata(body: bytes) -> dict[str, Any]:
    """Head and links of a page, in the shape that Common Crawl gives them."""
    tree = LexborHTMLParser(body)
    head: dict[str, Any] = {"Metas": [dict(node.attributes) for node in tree.css("meta")]}
    if (title := tree.css_first("head title")) is not None:
        head["Title"] = title.text()
    if (base := tree.css_first("base[href]")) is not None:
        head["Base"] = base.attributes["href"]
    head["Link"] = [attributes(node, "LINK@/href", "href", "rel", "type") for node in tree.css("link[href]")]
    links = [
        attributes(node, "IMG@/src", "src", "alt", "title")
        if node.tag == "img"
        else attributes(node, "A@/href", "href", "rel", "title")
        for node in tree.css("img[src], a[href]")
    ]
    return {"Head": head, "Links": links}


def envelope(url: str, metadata: dict[str, Any], *, status: str = "200", **headers: str) -> dict[str, Any]:
    return {
        "Envelope": {
            "Format": "WARC",
            "WARC-Header-Metadata": {
                "WARC-Type": "response",
                "WARC-Target-URI": url,
                "WARC-Date": "2026-11-20T12:00:00Z",
                "WARC-Payload-Digest": "sha1:AAAA",
            },
            "Payload-Metadata": {
                "Actual-Content-Type": "application/http; msgtype=response",
                "HTTP-Response-Metadata": {
                    "Response-Message": {"Status": status, "Version": "HTTP/1.1", "Reason": "OK"},
                    "Headers": {name.replace("_", "-"): value for name, value in headers.items()},
                    "HTML-Metadata": metadata,
                },
            },
        },
        "Container": {"Compressed": True},
    }


def wat_record(url: str, payload: Any) -> bytes:
    block = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return warc_records.member(
        warc_records.record("metadata", url, block, version="1.0", more=["Content-Type: application/json"])
    )


def wat_of(crawl: Path) -> bytes:
    """A WAT file of a crawl, written as Common Crawl writes them: a record for each of the crawl's."""
    found = [warc_records.member(warc_records.record("warcinfo", None, b"software: test\r\n"))]
    with crawl.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=True):
            url = record.headers.get("WARC-Target-URI")
            if record.record_type == WarcRecordType.request:
                found.append(wat_record(url, {"Envelope": {"Payload-Metadata": {"HTTP-Request-Metadata": {}}}}))
            if record.record_type != WarcRecordType.response or "html" not in (record.http_content_type or ""):
                continue
            status = str(record.http_headers.status_code)
            body = record.reader.read()
            found.append(wat_record(url, envelope(url, html_metadata(body), status=status)))
    return b"".join(found)


def read(path: Path) -> tuple[dict[str, list[dict[str, Any]]], Report]:
    (unit,) = (source := Wat([str(path)])).units()
    rows: dict[str, list[dict[str, Any]]] = {"documents": [], "pairs": []}
    report = Report()
    for table, batch in source.read(unit, report):
        rows[table] += batch.to_pylist()
    return rows, report


@pytest.fixture
def one_page(tmp_path: Path) -> Callable[..., tuple[dict[str, list[dict[str, Any]]], Report]]:
    def read_page(links: Any, head: Any = None, **headers: str) -> tuple[dict[str, list[dict[str, Any]]], Report]:
        payload = envelope(URL, {"Head": {} if head is None else head, "Links": links}, **headers)
        (tmp_path / "x.warc.wat.gz").write_bytes(wat_record(URL, payload))
        return read(tmp_path / "x.warc.wat.gz")

    return read_page


def test_pairs_equal_those_of_the_warc(demo_crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "docs.warc.wat.gz").write_bytes(wat_of(demo_crawl))
    rows, report = read(tmp_path / "docs.warc.wat.gz")
    assert (report.error, report.num_bad_records) == (None, 0)
    source = Warc([str(demo_crawl)])
    warc: dict[str, list[dict[str, Any]]] = {"documents": [], "pairs": []}
    for table, batch in source.read(source.units()[0], Report()):
        warc.setdefault(table, []).extend(batch.to_pylist())
    pages = {row["url"] for row in rows["documents"]}
    assert len(pages) > 30

    def texts(of: dict[str, list[dict[str, Any]]], source: str) -> set[tuple[str, str, str]]:
        urls = {row["document_id"]: row["url"] for row in of["documents"]}
        found = [(urls[row["document_id"]], row) for row in of["pairs"] if row["text_source"] == source]
        return {(url, row["image_ref"], row["text"]) for url, row in found if url in pages and row["text"]}

    both = {(url, ref) for url, ref, _ in texts(warc, "page_title")} & {
        (url, ref) for url, ref, _ in texts(rows, "page_title")
    }
    assert len(both) > 300
    for kind in ("alt", "page_title"):
        ours, theirs = [{row for row in texts(of, kind) if row[:2] in both} for of in (rows, warc)]
        assert ours == theirs
        assert len(ours) > 100
    titles = {row["url"]: row["title"] for row in warc["documents"]}
    assert {row["url"]: row["title"] for row in rows["documents"]}.items() <= titles.items()


def test_a_page(one_page: Any) -> None:
    links = [
        PNG,
        {"path": "A@/href", "url": "/licence", "rel": "license", "text": "Terms"},
        {"path": "IMG@/src", "url": "//cdn.test/y.jpg?a=1&amp;b=2", "alt": "  ", "title": "Fish &amp;\n chips"},
        {"path": "IMG@/src", "url": "../x.png", "alt": "the same fox"},
        {"path": "IMG@/src", "url": "data:image/png;base64,AAAA", "alt": "embedded"},
        {"path": "IMG@/longdesc", "url": "z.png"},
    ]
    head = {
        "Title": " A  page ",
        "Base": "/other/b/",
        "Metas": [{"name": "robots", "content": "noai"}, {"http-equiv": "Content-Language", "content": "zh"}],
    }
    rows, report = one_page(links, head, X_Robots_Tag="noimageai")
    (document,) = rows["documents"]
    assert report.num_bad_records == 0
    assert (document["url"], document["title"], document["declared_language"]) == (URL, "A page", "zh")
    assert document["captured_at"].isoformat() == "2026-11-20T12:00:00+00:00"
    assert document["license"] == "https://a.test/licence"
    assert [(item["kind"], item["value"]) for item in document["rights"]] == [
        ("x_robots_tag", "noimageai"),
        ("meta_robots", "noai"),
        ("rel_license", "https://a.test/licence"),
    ]
    refs = ["https://a.test/other/x.png", "https://cdn.test/y.jpg?a=1&b=2"]
    assert [(node["kind"], node["image_ref"], node["region"]) for node in document["nodes"]] == [
        ("image", ref, None) for ref in refs
    ]
    assert [(row["position"], row["image_ref"], row["text_source"], row["text"]) for row in rows["pairs"]] == [
        (0, refs[0], "alt", "a fox"),
        (0, refs[0], "alt", "the same fox"),
        (0, refs[0], "page_title", "A page"),
        (1, refs[1], "title", "Fish & chips"),
        (1, refs[1], "page_title", "A page"),
    ]


def test_pages_without_a_text_for_an_image_are_left_out(one_page: Any, tmp_path: Path) -> None:
    rows, report = one_page([{"path": "IMG@/src", "url": "x.png", "alt": ""}], {"Title": "T"})
    assert rows == {"documents": [], "pairs": []}
    rows, _ = one_page([PNG], status="404")
    assert rows == {"documents": [], "pairs": []}
    assert (report.error, report.num_bad_records) == (None, 0)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"Envelope": {"IMG@/src": ',
        b'["IMG@/src"]',
        b'{"Container": "IMG@/src"}',
        b'"\xff IMG@/src"IMG@/src"',
        b'{"IMG@/src":' * 5000,
        {"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": {"Links": ["IMG@/src"]}}}}},
        {"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": "IMG@/src"}}}},
        envelope(URL, {"Head": None, "Links": [PNG]}),
        envelope(URL, {"Head": {"Metas": {"IMG@/src": 1}}, "Links": [PNG]}),
    ],
)
def test_a_broken_record_costs_itself(payload: Any, tmp_path: Path) -> None:
    good = wat_record(URL, envelope(URL, {"Head": {}, "Links": [PNG]}))
    (tmp_path / "x.wat.gz").write_bytes(wat_record(URL, payload) + good)
    rows, report = read(tmp_path / "x.wat.gz")
    assert [row["text"] for row in rows["pairs"]] == ["a fox"]
    assert (report.num_records, report.num_bad_records, report.error) == (2, 1, None)
    assert report.messages[0].startswith("offset 0: ")


def test_a_cut_file_is_read_up_to_the_cut(tmp_path: Path) -> None:
    good = wat_record(URL, envelope(URL, {"Head": {}, "Links": [PNG]}))
    (tmp_path / "x.wat.gz").write_bytes(good + good[:-30])
    rows, report = read(tmp_path / "x.wat.gz")
    assert len(rows["pairs"]) == 1
    assert report.error == "truncated"


def test_a_record_twice_is_one_document(tmp_path: Path) -> None:
    good = wat_record(URL, envelope(URL, {"Head": {}, "Links": [PNG]}))
    (tmp_path / "x.wat.gz").write_bytes(good + good)
    rows, _ = read(tmp_path / "x.wat.gz")
    assert (len(rows["documents"]), len(rows["pairs"])) == (1, 1)


def test_only_files_are_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="download it"):
        Wat(["https://data.commoncrawl.org/x.warc.wat.gz"]).units()
    with pytest.raises(UsageError, match=r"holds no \.wat"):
        Wat([str(tmp_path)]).units()


def test_what_is_wrong_is_told_in_words(tmp_path: Path) -> None:
    wrong = [{"Envelope": ["IMG@/src"]}, {"Envelope": {"Payload-Metadata": 5, "x": {"IMG@/src": 1}}}]
    blocks = [wat_record("https://a.test/", payload) for payload in wrong]
    (tmp_path / "x.wat").write_bytes(b"".join(blocks))
    _, report = read(tmp_path / "x.wat")
    assert report.num_bad_records == len(report.messages) == 2
    assert all("not laid out as that of WAT files" in message for message in report.messages)


def test_numbers_in_place_of_texts_are_none(tmp_path: Path) -> None:
    described = envelope("https://a.test/", html_metadata(b'<img src="/1.png" alt="one">'))
    described["Envelope"]["WARC-Header-Metadata"] = {"WARC-Date": 5, "WARC-Target-URI": 7}
    (tmp_path / "x.wat").write_bytes(wat_record("https://a.test/", described))
    rows, report = read(tmp_path / "x.wat")
    assert [row["url"] for row in rows["documents"]] == ["https://a.test/"]
    assert report.num_bad_records == 0
