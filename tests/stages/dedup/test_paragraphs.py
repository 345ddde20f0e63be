"""Paragraphs that stand on an earlier page, by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from surveyed import computed

from tuwen.corpus.tables import DOCUMENTS
from tuwen.stages.dedup.paragraphs import Paragraphs

COLUMNS = ("document_id", "url", "nodes")


def node(text: str | None, region: str | None = "main", kind: str = "text") -> dict[str, Any]:
    return {"kind": kind, "text": text, "region": region}


def run(
    pages: list[tuple[str, str | None, list[dict[str, Any]] | None]],
) -> dict[str, tuple[list[int] | None, float | None]]:
    rows = [dict(zip(COLUMNS, page, strict=True)) for page in pages]
    table = pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENTS.field(name) for name in COLUMNS]))
    (batch,) = table.to_batches()
    found = computed(Paragraphs(), {"documents": table}, batch)
    return {
        page[0]: (row["duplicate_paragraphs"], row["duplicate_paragraph_share"])
        for page, row in zip(pages, found, strict=True)
    }


def test_the_smallest_id_has_it_first() -> None:
    shared, own = node("We use  COOKIES."), node("Own text 1234567")
    found = run(
        [
            ("c", "http://a.test/3", [node("Title", kind="heading"), own, shared]),
            ("a", "http://a.test/1", [shared, shared]),
            ("b", "http://a.test/2", [node("we use cookies."), node("We use cookies.", "footer")]),
            ("d", None, [shared, node("Title", kind="heading")]),
            ("e", None, [node("", "main"), node(None, kind="image")]),
            ("f", "http://a.test/6", None),
        ]
    )
    assert found == {
        "a": ([], 0.0),  # repetition inside a page is none
        "b": ([0], 1.0),
        "c": ([2], pytest.approx(15 / 31)),  # the heading is no paragraph
        "d": ([0], 1.0),
        "e": ([], None),
        "f": (None, None),
    }


def test_captures_of_one_page_count_once() -> None:
    text = node("图文语料的段落")
    found = run(
        [
            ("a", "http://a.test/1", [text]),
            ("b", "http://a.test/1#top", [text]),
            ("c", "http://a.test/2", [text]),
            ("d", "http://b.test/1", [node("ข้อความของหน้านี้เท่านั้น")]),
            ("e", "http://b.test/1", [node("ข้อความของหน้านี้เท่านั้น")]),
        ]
    )
    assert [found[name][0] for name in "abcde"] == [[], [], [0], [], []]
