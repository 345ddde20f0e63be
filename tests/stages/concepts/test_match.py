"""The stage `concepts.match`: entries from a file or from the corpus."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import tuwen
from tuwen.engine.recipe import Recipe
from tuwen.errors import TuwenError, UsageError
from tuwen.parts import load
from tuwen.stages.concepts import tokens
from tuwen.stages.concepts.match import Match


def test_a_file_of_entries_with_synonyms(tmp_path: Path) -> None:
    path = tmp_path / "animals.tsv"
    path.write_text("Fox\tVulpes\t狐狸\nbear\n", encoding="utf-8")
    stage = Match(entries=str(path))
    state = stage.prepare(None)  # type: ignore[arg-type]
    batch = pa.record_batch({"text": pa.array(["a bear, two foxes", "狐狸 and vulpes and BEAR", None])})
    assert stage(batch, state)["concepts"].to_pylist() == [["bear"], ["Fox", "bear"], None]
    before = stage.model_hash()
    path.write_text("bear\n", encoding="utf-8")
    assert stage.model_hash() != before


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"entries\.csv.*\.tsv"):
        load("tuwen.stages", "concepts.match", {"entries": "entries.csv"})
    with pytest.raises(UsageError, match="at least one of the builders"):
        load("tuwen.stages", "concepts.match", {"builders": []})
    with pytest.raises(UsageError, match="min_count"):
        load("tuwen.stages", "concepts.match", {"min_count": 0})
    with pytest.raises(UsageError, match="cannot be read"):
        Match(entries=str(tmp_path / "gone.txt")).model_hash()
    (tmp_path / "dashes.txt").write_text("-\n--\n")
    with pytest.raises(UsageError, match="no entry with a letter"):
        Match(entries=str(tmp_path / "dashes.txt")).prepare(None)  # type: ignore[arg-type]


def test_without_opencc_the_error_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.txt").write_text("图书馆\n", encoding="utf-8")
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "opencc":
            raise ImportError(name)
        return real(name, *arguments, **options)

    tokens._simplified.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TuwenError, match=r"pip install 'tuwen\[chinese\]'"):
        Match(entries=str(tmp_path / "list.txt"), fold_chinese=True).prepare(None)  # type: ignore[arg-type]


def test_entries_of_the_corpus_stay_until_a_refit(demo_crawl: Path, tmp_path: Path) -> None:
    recipe = Recipe.from_mapping(
        {
            "name": "concepts",
            "sources": [{"warc": {"paths": [str(demo_crawl)]}}],
            "stages": [{"concepts.match": {"min_count": 20}}],
        }
    )
    tuwen.build(recipe, tmp_path / "corpus", workers=1)
    corpus = tuwen.open(tmp_path / "corpus")
    counts = corpus.relation("pairs", ["concepts"]).aggregate("count(*), count(concepts)").fetchall()
    assert counts[0][0] == counts[0][1] == corpus.count("pairs")
    concepts = {name for found in corpus.table("pairs", ["concepts"])["concepts"].to_pylist() for name in found}
    assert {"editor", "工具"} <= concepts
    again = tuwen.build(recipe, tmp_path / "corpus", workers=1)
    assert not again.stage_rows
