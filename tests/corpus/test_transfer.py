"""Out to Parquet and back gives an equal corpus that is as up to date."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from tiny import Length, NumPairs, PageLength, Pages, Parity, Picky, write_pages

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.transfer import export_corpus, import_corpus
from tuwen.engine.build import build, plan
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.errors import TuwenError, UsageError


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "pages").mkdir()
    for number in range(3):
        write_pages(tmp_path / "pages", f"u{number}", range(number * 5, number * 5 + 8))
    stages = (Length(), Parity(), NumPairs(), PageLength(), Picky())
    return Recipe("t", (NamedSource("pages", Pages(str(tmp_path / "pages"))),), stages, {"name": "t"})


def test_an_imported_corpus_is_equal_and_up_to_date(recipe: Recipe, tmp_path: Path) -> None:
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    corpus = Corpus.open(tmp_path / "corpus")
    (corpus.folder("ledgers") / "x.json").write_text("{}")
    rows = export_corpus(corpus, tmp_path / "out")
    back = import_corpus(tmp_path / "out", tmp_path / "back")
    assert rows["pairs"] == back.count("pairs") == 54
    for table in TABLES:
        assert set(back.columns(table).items()) == set(corpus.columns(table).items())
        for column in corpus.columns(table):
            assert back.content(table, column) == corpus.content(table, column)
    assert back.table("images", ["bytes"]).equals(corpus.table("images", ["bytes"]))
    assert (back.path / "ledgers" / "x.json").read_text() == "{}"
    assert back.recipe() == corpus.recipe()
    assert plan(recipe, back.path).nothing_to_do


def test_the_files_are_plain_parquet(recipe: Recipe, tmp_path: Path) -> None:
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    export_corpus(Corpus.open(tmp_path / "corpus"), tmp_path / "out")
    query = f"select count(*), count(length), count(fine) from '{tmp_path}/out/pairs/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(54, 54, 52)]  # "text 7 1" and "text 17 1" failed


def test_a_changed_or_missing_file_is_noticed(recipe: Recipe, tmp_path: Path) -> None:
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    export_corpus(Corpus.open(tmp_path / "corpus"), tmp_path / "out")
    described = json.loads((tmp_path / "out" / "corpus.json").read_text())
    described["tables"]["pairs"][0]["stages"]["tiny:Length"]["content"] = "0" * 16
    (tmp_path / "out" / "corpus.json").write_text(json.dumps(described))
    with pytest.raises(TuwenError, match="not what was exported"):
        import_corpus(tmp_path / "out", tmp_path / "back")
    assert not (tmp_path / "back").exists() and not (tmp_path / ".back.partial").exists()
    (tmp_path / "out" / "corpus.json").unlink()
    with pytest.raises(UsageError, match="no complete export"):
        import_corpus(tmp_path / "out", tmp_path / "other")


def test_neither_way_overwrites(recipe: Recipe, tmp_path: Path) -> None:
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    corpus = Corpus.open(tmp_path / "corpus")
    with pytest.raises(UsageError, match=r"not (an )?empty"):
        export_corpus(corpus, tmp_path / "corpus")
    export_corpus(corpus, tmp_path / "out")
    with pytest.raises(UsageError, match=r"not (an )?empty"):
        import_corpus(tmp_path / "out", tmp_path / "corpus")
