"""Clusters of a real crawl: grown in two steps they equal those of a fresh build; a selection keeps one of each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from warc_records import split_crawl

import tuwen
from tuwen.corpus.tables import TABLES

STAGES = [
    "pair.resolve",
    "document.resolve",
    "image.properties",
    "image.perceptual_hash",
    "image.statistics",
    "dedup.text",
    "dedup.images",
    "dedup.pairs",
    "dedup.documents",
    "dedup.paragraphs",
]
COLUMNS = {
    "pairs": ["text_cluster", "text_cluster_size", "pair_cluster", "pair_cluster_size"],
    "images": ["image_cluster", "image_cluster_size"],
    "documents": [
        "document_cluster",
        "document_cluster_size",
        "duplicate_paragraphs",
        "duplicate_paragraph_share",
    ],
}


def build(folder: Path, paths: list[Path]) -> Path:
    recipe = {"name": "t", "sources": [{"warc": {"paths": [str(path) for path in paths]}}], "stages": STAGES}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tuwen.build(folder / "recipe.yaml", folder / "corpus", workers=1, quiet=True)
    return folder / "corpus"


def rows(corpus: Path, table: str) -> list[dict[str, Any]]:
    key = TABLES[table].key
    return sorted(tuwen.open(corpus).table(table, [key, *COLUMNS[table]]).to_pylist(), key=lambda row: str(row[key]))


@pytest.fixture(scope="module")
def fresh(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    parts = split_crawl(demo_crawl, tmp_path_factory.mktemp("parts"), 2)
    return parts, build(tmp_path_factory.mktemp("fresh"), parts)


def test_grown_equals_fresh(fresh: tuple[list[Path], Path], tmp_path: Path) -> None:
    parts, expected = fresh
    build(tmp_path, parts[1:])
    half = rows(tmp_path / "corpus", "pairs")
    build(tmp_path, parts)
    for table in COLUMNS:
        assert rows(tmp_path / "corpus", table) == rows(expected, table)
    assert [row for row in rows(expected, "pairs") if row["pair_id"] in {one["pair_id"] for one in half}] != half


@pytest.mark.parametrize(
    ("table", "cluster", "by", "columns"),
    [
        ("images", "image_cluster", "width * height desc", ["width", "height"]),  # the largest image
        ("pairs", "text_cluster", "length(text) desc", ["text"]),  # the longest text
        ("images", "image_cluster", "contrast desc", ["contrast"]),  # the best score
        ("pairs", "pair_cluster", "pair_cluster_size desc", ["pair_cluster_size"]),  # all equal: the smallest id
    ],
)
def test_a_representative_is_kept(
    fresh: tuple[list[Path], Path], table: str, cluster: str, by: str, columns: list[str]
) -> None:
    def figure(row: dict[str, Any]) -> float:
        values = [row[name] for name in columns]
        return float(len(values[0]) if columns == ["text"] else math.prod(values))

    corpus, key = tuwen.open(fresh[1]), TABLES[table].key
    selection = {"unit": table[:-1], "steps": [{"representative": {"of": cluster, "by": [by]}}]}
    ledger = tuwen.judge(corpus, tuwen.Selection.from_mapping("one", selection))
    kept = sorted(row for batch in ledger.kept() for row in batch.column(0).to_pylist())
    members: dict[str, list[tuple[float, str]]] = {}
    for row in corpus.table(table, list(dict.fromkeys([key, cluster, *columns]))).to_pylist():
        if row[cluster] is not None:
            members.setdefault(row[cluster], []).append((-figure(row), row[key]))
    assert kept == sorted(min(rows)[1] for rows in members.values())
    assert any(len(rows) > 1 for rows in members.values())
    assert all(name == min(row for _, row in rows) for name, rows in members.items())
