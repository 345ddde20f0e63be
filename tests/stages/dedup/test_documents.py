"""Clusters of documents: the main part counts, navigation does not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from surveyed import computed

from tuwen.corpus.tables import DOCUMENTS
from tuwen.stages.dedup.documents import Documents, main_text

ARTICLE = [f"Sentence {number} of an article about the river and the towns on it." for number in range(12)]


def node(text: str | None, region: str | None = "main", kind: str = "text") -> dict[str, Any]:
    return {"kind": kind, "text": text, "region": region}


def table_of(pages: dict[str, list[dict[str, Any]] | None]) -> pa.Table:
    rows = [{"document_id": name, "nodes": nodes} for name, nodes in pages.items()]
    return pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENTS.field("document_id"), DOCUMENTS.field("nodes")]))


def test_main_text() -> None:
    nodes = [
        node("Title", kind="heading"),
        node("Home", "navigation"),
        node(None, kind="image"),
        node("Prose"),
        node("x", None),
    ]
    table = table_of({"a": nodes, "b": None, "c": [], "d": [node("only")]})
    assert main_text(table["nodes"].chunk(0)).to_pylist() == ["Title\nProse", None, "", "only"]
    assert main_text(table["nodes"].chunk(0).slice(2)).to_pylist() == ["", "only"]


def test_the_main_part_decides() -> None:
    menu, other = [node("Home Next Up", "navigation")], [node("Start Weiter Hoch", "navigation")]
    pages = {
        "e": [*menu, *map(node, ARTICLE)],
        "d": [*other, *map(node, ARTICLE[:-1]), node("Another last sentence, quite unlike the others.")],
        "c": [*menu, node("Something else altogether on a page with the same menu.")],
        "b": menu,
        "a": menu,
        "0": None,
    }
    table = table_of(pages)
    rows = computed(Documents(), {"documents": table}, table.select(["document_id"]).to_batches()[0])
    found = [(row["document_cluster"], row["document_cluster_size"]) for row in rows]
    assert found == [("d", 2), ("d", 2), ("c", 1), ("b", 1), ("a", 1), (None, None)]
