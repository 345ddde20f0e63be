"""Texts that recur, counted by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from memory_corpus import MemoryCorpus

from tuwen.stages.text.shared import Shared

ROWS = [  # text, image, address, document
    ("Home page", "a", "u1", "d1"),
    ("HOME  page!", "b", "u2", "d1"),
    ("home\tpage", "b", "u3", "d2"),
    ("Home page", None, "u4", "d3"),  # never fetched: counts by its address
    ("Home page", None, "u4", "d3"),
    ("Home pages", "a", "u1", "d1"),
    ("主页", "a", "u1", None),
    ("…", "a", "u1", "d1"),
    ("!", "b", "u1", "d1"),
    (None, "a", "u1", "d1"),
]
DOCUMENTS = {"document_id": ["d1", "d2", "d3"], "url": ["http://a/1", "http://a/1#part", "http://a/2"]}


def counted(texts: list[str | None], rows: list[Any] = ROWS) -> list[tuple[int | None, int | None]]:
    names = ("text", "image_id", "image_ref", "document_id")
    columns = {name: pa.array(column, pa.string()) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    corpus = MemoryCorpus(pairs=columns, documents=DOCUMENTS)
    stage = Shared()
    state = stage.prepare(corpus).read_all()  # type: ignore[arg-type]
    found = stage(pa.record_batch({"text": pa.array(texts, pa.string())}), state)
    return [(row["text_num_images"], row["text_num_pages"]) for row in found.to_pylist()]


def test_counts() -> None:
    texts = ["Home page", "HOME  page!", "Home pages", "主页", "…", "!", None]
    assert counted(texts) == [(3, 2), (3, 2), (1, 1), (1, 0), (1, 1), (1, 1), (None, None)]


def test_the_order_of_rows_does_not_matter() -> None:
    assert counted(["Home page"], ROWS[::-1]) == [(3, 2)]


def test_a_text_that_the_state_does_not_know() -> None:
    assert counted(["new"]) == [(0, 0)]
