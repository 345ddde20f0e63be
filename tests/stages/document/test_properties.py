"""Counts over documents, by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tuwen.corpus.tables import DOCUMENTS
from tuwen.stages.document.properties import Properties


def test_counts() -> None:
    nodes = [
        {"kind": "heading", "text": "图文", "region": "main"},
        {"kind": "text", "text": "abcd", "region": "main"},
        {"kind": "list", "text": "1234567", "region": "navigation"},
        {"kind": "text", "text": "xyz", "region": None},
        {"kind": "image", "text": None, "region": "main"},
        {"kind": "svg", "text": None, "region": "header"},
        {"kind": "frame", "text": None, "region": "main"},
    ]
    batch = pa.record_batch({"nodes": pa.array([nodes, [], None, nodes[4:5]], DOCUMENTS.field("nodes").type)})
    full, empty, unknown, image = Properties()(batch).to_pylist()
    assert full.pop("main_share") == pytest.approx(6 / 16)
    assert list(full.values()) == [7, 16, 3, 6, 2]
    assert list(empty.values()) == [0, 0, 0, 0, 0, None]
    assert set(unknown.values()) == {None}
    assert list(image.values()) == [1, 0, 1, 0, 1, None]
