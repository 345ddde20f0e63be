from __future__ import annotations

import pyarrow as pa

from tuwen.corpus.tables import DOCUMENTS, PAIRS, digest
from tuwen.sources.extraction.page import extract
from tuwen.sources.extraction.rows import DocumentRows

MARKUP = """<html lang=zh><title>标题</title><meta name=robots content=noai><h2>Head</h2>
<figure><img src=a.png alt="图 é"><figcaption>Cap</figcaption></figure><p>text</p>"""
TIME = 1_700_000_000_123_456


def filled() -> tuple[DocumentRows, list[str]]:
    rows = DocumentRows()
    ids = [
        rows.add(extract(MARKUP.encode(), "http://a.test/"), url="http://a.test/", captured_at=TIME, payload="p1"),
        rows.add(extract(b"", "http://b.test/"), url="http://b.test/", captured_at=None, payload="p2"),
        rows.add(
            extract(b"<img src=b alt=B>", "http://c.test/"), url="http://c.test/\udc80", captured_at=0, payload="p3"
        ),
    ]
    return rows, ids


def test_schemas_are_those_of_the_tables() -> None:
    rows, _ = filled()
    batches = dict(rows.flush())
    assert list(batches) == ["pairs", "documents"]
    for name, schema in (("pairs", PAIRS), ("documents", DOCUMENTS)):
        wanted = [field for field in schema if field.name not in ("source", "source_unit")]
        assert batches[name].schema == pa.schema(wanted)
        batches[name].validate(full=True)


def test_values() -> None:
    rows, ids = filled()
    batches = dict(rows.flush())
    documents = batches["documents"].to_pylist()
    assert [row["document_id"] for row in documents] == ids
    assert ids[0] == digest("http://a.test/", TIME, "p1")
    first = documents[0]
    assert first["captured_at"].timestamp() == TIME / 1e6
    assert (first["title"], first["declared_language"], first["charset"]) == ("标题", "zh", "utf-8")
    assert first["rights"] == [{"kind": "meta_robots", "value": "noai"}]
    assert [node["kind"] for node in first["nodes"]] == ["heading", "image", "caption", "text"]
    assert first["nodes"][0] == {
        "kind": "heading",
        "text": "Head",
        "level": 2,
        "region": "main",
        "image_ref": None,
        "time_s": None,
        "frame_index": None,
    }
    assert documents[1]["captured_at"] is None
    assert documents[1]["nodes"] == [] and documents[1]["rights"] == []
    pairs = batches["pairs"].to_pylist()
    assert [row["text_source"] for row in pairs] == ["alt", "caption", "heading", "after", "page_title", "alt"]
    assert [row["document_id"] for row in pairs] == [ids[0]] * 5 + [ids[2]]
    assert {row["derived_from"] for row in pairs} == {None}


def test_pair_ids_are_digests() -> None:
    rows, _ = filled()
    for row in dict(rows.flush())["pairs"].to_pylist():
        parts = [row[name] for name in ("document_id", "position", "text_source", "image_ref", "text")]
        assert row["pair_id"] == digest(*parts)


def test_flush_starts_anew() -> None:
    rows, _ = filled()
    assert rows.num_bytes > 100
    first = list(rows.flush())
    assert rows.num_bytes == 0
    assert list(rows.flush()) == []
    again, _ = filled()
    for (_, one), (_, two) in zip(first, again.flush(), strict=True):
        assert one.equals(two)


def test_page_without_pairs_makes_a_document_only() -> None:
    rows = DocumentRows()
    rows.add(extract(b"<p>x", "http://a.test/"), url="http://a.test/", captured_at=0, payload="p")
    assert [name for name, _ in rows.flush()] == ["documents"]
