"""A video and a text-only article fit the tables (docs/adr/004)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.units import append_rows

VIDEO = [
    {"kind": "frame", "image_ref": "data:sha256,aa", "time_s": 0.0, "frame_index": 0},
    {"kind": "transcript", "text": "一只猫跳上了桌子。", "time_s": 0.4},
    {"kind": "frame", "image_ref": "data:sha256,bb", "time_s": 12.48, "frame_index": 312},
]
ARTICLE = [
    {"kind": "heading", "text": "On text", "level": 1, "region": "main"},
    {"kind": "text", "text": "No picture here.", "region": "main"},
]


@pytest.mark.parametrize("nodes", [VIDEO, ARTICLE], ids=["video", "article"])
def test_nodes_come_back_as_they_were(tmp_path: Path, nodes: list[dict[str, object]]) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    row = {
        "document_id": digest("u", 0, ""),
        "url": "http://a.test/",
        "nodes": nodes,
        "source": "s",
        "source_unit": "u",
    }
    append_rows(corpus, "documents", [pa.RecordBatch.from_pylist([row], schema=TABLES["documents"].schema)])
    (back,) = corpus.table("documents")["nodes"].to_pylist()
    assert [{name: node[name] for name in given} for node, given in zip(back, nodes, strict=True)] == nodes


def test_keys_are_columns_and_fragments_are_bounded() -> None:
    for table in TABLES.values():
        assert table.key in table.schema.names
        assert 0 < table.rows_per_fragment <= 65_536
