"""commit_columns: one function, two methods, and every way in which a file can fail to fit its fragment."""

from __future__ import annotations

from pathlib import Path

import lance
import pyarrow as pa
import pytest
from tiny import Pages, write_pages

from tuwen.corpus.columns import (
    ColumnFile,
    ColumnWriter,
    TableState,
    commit_columns,
    declare_columns,
    parse_name,
    read_record,
    remove_partial_files,
)
from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.errors import TuwenError

SCHEMA = pa.schema([("n", pa.int32()), ("words", pa.list_(pa.string()))])


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    (tmp_path / "pages").mkdir()
    for number, name in enumerate("abc"):
        write_pages(tmp_path / "pages", name, range(10 * number, 10 * number + 10))
    build(recipe_for(tmp_path), tmp_path / "corpus", workers=1, quiet=True)
    corpus = Corpus.open(tmp_path / "corpus")
    declare_columns(corpus, "pairs", "text.n", SCHEMA)
    return corpus


def recipe_for(folder: Path) -> Recipe:
    return Recipe("t", (NamedSource("pages", Pages(str(folder / "pages"))),), ())


def write(corpus: Corpus, fragment: int, rows: int = 30, start: int = 0, record: object = 1) -> ColumnFile:
    state = TableState.read(corpus, "pairs").fragments[fragment]
    writer = ColumnWriter(corpus.path, "pairs", "text.n", SCHEMA)
    values = pa.array(range(start, start + rows), pa.int32())
    words = pa.array([["a"] * (n % 3) for n in range(rows)], pa.list_(pa.string()))
    writer.write(pa.record_batch([values, words], schema=SCHEMA))
    return ColumnFile(state.id, "text.n", writer.close({"is": record}), rows, state.base)


@pytest.mark.parametrize("method", ["replace", "merge"])
def test_both_methods_give_the_same_table(corpus: Corpus, method: str) -> None:
    commit_columns(corpus, "pairs", [write(corpus, 0), write(corpus, 2, start=100)], method=method)
    assert corpus.table("pairs", ["n"])["n"].to_pylist() == [*range(30), *[None] * 30, *range(100, 130)]
    commit_columns(corpus, "pairs", [write(corpus, number, start=5) for number in range(3)], method=method)
    assert corpus.table("pairs", ["n"])["n"].to_pylist() == [*range(5, 35)] * 3
    assert corpus.table("pairs", ["words"])["words"].to_pylist()[:3] == [[], ["a"], ["a", "a"]]


def test_the_record_lies_in_the_file_and_its_digest_in_the_name(corpus: Corpus) -> None:
    file = write(corpus, 0, record="äöü 图文")
    commit_columns(corpus, "pairs", [file])
    columns = TableState.read(corpus, "pairs").fragments[0].columns
    origin = columns["n"]
    assert origin == columns["words"] == parse_name(file.name)
    assert read_record(corpus, "pairs", origin.file) == {"is": "äöü 图文"}


def test_equal_values_have_equal_content_whatever_they_were_made_from(corpus: Corpus) -> None:
    first, second = write(corpus, 0, record=1), write(corpus, 0, record=2)
    one, two = parse_name(first.name), parse_name(second.name)
    assert one is not None and two is not None
    assert (one.content == two.content, one.freshness == two.freshness) == (True, False)


@pytest.mark.parametrize("method", ["replace", "merge"])
def test_a_file_with_too_few_rows_is_refused(corpus: Corpus, method: str) -> None:
    before = corpus.version()
    with pytest.raises(TuwenError, match="29 rows written for 30"):
        commit_columns(corpus, "pairs", [write(corpus, 0, rows=29)], method=method)
    assert corpus.version() == before


def test_an_empty_file_is_refused(corpus: Corpus) -> None:
    """As a full disk may leave it."""
    file = write(corpus, 0)
    (corpus.path / "pairs.lance" / "data" / file.name).write_bytes(b"")
    with pytest.raises(TuwenError, match="0 rows written for 30"):
        commit_columns(corpus, "pairs", [file])


def test_rows_that_were_deleted_are_noticed(corpus: Corpus) -> None:
    file = write(corpus, 0)
    corpus.dataset("pairs").delete("text = 'text 3 1'")
    with pytest.raises(TuwenError, match="deleted"):
        commit_columns(corpus, "pairs", [file])


def test_a_fragment_that_is_gone_is_noticed(corpus: Corpus) -> None:
    file = write(corpus, 0)
    corpus.dataset("pairs").optimize.compact_files(target_rows_per_fragment=1000)
    with pytest.raises(TuwenError, match="gone"):
        commit_columns(corpus, "pairs", [file])


@pytest.mark.parametrize("method", ["replace", "merge"])
def test_rows_appended_meanwhile_stay(corpus: Corpus, method: str) -> None:
    file = write(corpus, 1)
    write_pages(corpus.path.parent / "pages", "d", range(50, 60))
    build(recipe_for(corpus.path.parent), corpus.path, workers=1, quiet=True)
    commit_columns(corpus, "pairs", [file], method=method)
    assert corpus.table("pairs", ["n"])["n"].to_pylist() == [*[None] * 30, *range(30), *[None] * 60]


def test_a_lost_race_is_run_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, calls = lance.LanceDataset.commit, []

    def losing_once(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("Retryable commit conflict for version 7")
        return commit(*arguments, **options)

    monkeypatch.setattr(lance.LanceDataset, "commit", losing_once)
    commit_columns(corpus, "pairs", [write(corpus, 0)])
    assert len(calls) == 2
    assert corpus.table("pairs", ["n"])["n"].to_pylist()[:30] == list(range(30))


def test_a_stage_whose_columns_change_loses_the_old_ones(corpus: Corpus) -> None:
    commit_columns(corpus, "pairs", [write(corpus, 0)])
    declare_columns(corpus, "pairs", "text.n", pa.schema([("n", pa.int64()), ("other", pa.string())]))
    assert corpus.table("pairs", ["n"])["n"].null_count == 90
    assert "words" not in corpus.columns("pairs")


def test_a_column_of_another_stage_is_not_taken(corpus: Corpus) -> None:
    with pytest.raises(TuwenError, match=r"pairs\.n belongs to text\.n, not to text\.m"):
        declare_columns(corpus, "pairs", "text.m", SCHEMA)
    with pytest.raises(TuwenError, match=r"pairs\.text belongs to the table"):
        declare_columns(corpus, "pairs", "text.m", pa.schema([("text", pa.string())]))


def test_what_a_killed_run_left_is_removed(corpus: Corpus) -> None:
    writer = ColumnWriter(corpus.path, "pairs", "text.n", SCHEMA)
    writer.write(pa.RecordBatch.from_pylist([{"n": 1, "words": []}], schema=SCHEMA))
    writer.close({})
    folder = corpus.path / "pairs.lance" / "data"
    (folder / "0a.partial").write_bytes(b"half")  # both names that Lance uses while it writes
    (folder / "0b.partial#1").write_bytes(b"half")
    remove_partial_files(corpus)
    assert not list(folder.glob("*.partial*"))
    assert corpus.table("pairs").num_rows == 90


@pytest.mark.parametrize("name", ["0a1b.lance", "a-b-c-d.lance", "x-0123456789abcdef-0123-aa.lance"])
def test_other_files_have_no_origin(name: str) -> None:
    assert parse_name(name) is None
