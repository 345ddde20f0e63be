"""Creating, opening, reading and refusing corpora."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from tiny import Pages, write_pages

from tuwen.corpus.corpus import FORMAT, Corpus, read_json, write_json
from tuwen.corpus.keys import KeyIndex
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.versions import tag_version, version_numbers
from tuwen.engine.build import build
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.errors import TuwenError, UsageError


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(10))
    recipe = Recipe("t", (NamedSource("pages", Pages(str(tmp_path / "pages"))),), ())
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    return Corpus.open(tmp_path / "corpus")


def test_a_new_corpus_has_every_table_and_no_rows(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "new")
    assert {name: corpus.count(name) for name in TABLES} == dict.fromkeys(TABLES, 0)
    for name, table in TABLES.items():
        assert corpus.schema(name).remove_metadata().equals(table.schema)


def test_creating_twice_opens(corpus: Corpus) -> None:
    assert Corpus.create(corpus.path).count("documents") == 10


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        Corpus.create(tmp_path)


def test_no_corpus_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tuwen build"):
        Corpus.open(tmp_path / "nothing")


@pytest.mark.parametrize(("found", "message"), [(FORMAT + 1, "pip install --upgrade"), (0, "export"), (None, "export")])
def test_another_format_is_refused_with_what_to_do(corpus: Corpus, found: object, message: str) -> None:
    (corpus.path / "corpus.json").write_text(json.dumps({"format": found}))
    with pytest.raises(TuwenError, match=message):
        Corpus.open(corpus.path)


def test_a_damaged_description_is_an_error_not_a_trace(corpus: Corpus) -> None:
    (corpus.path / "corpus.json").write_text("{")
    with pytest.raises(TuwenError, match="damaged"):
        Corpus.open(corpus.path)


def test_threads_that_write_one_description_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As those of the explorer do: each sees a whole file."""
    path = tmp_path / "x.json"

    def write(number: int) -> None:
        for _ in range(30):
            write_json(path, {"number": [number] * 100})
            assert len(read_json(path)["number"]) == 100

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_images_come_in_the_order_asked(corpus: Corpus) -> None:
    ids = [digest(f"image {n}".encode()) for n in (7, 3, 7)]
    assert corpus.images([*ids, "f" * 32, "no id"]) == [b"image 7", b"image 3", b"image 7", None, None]


def test_bytes_are_scanned_only_when_asked_for(corpus: Corpus) -> None:
    assert "bytes" not in corpus.table("images").column_names
    assert corpus.table("images", ["bytes"])["bytes"].type == pa.large_binary()


def test_bytes_come_in_batches_bounded_by_size(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corpus.table("images", ["image_id", "bytes"])
    monkeypatch.setattr("tuwen.corpus.scanning.BLOB_SCAN_BYTES", 20)  # an image of these has 7 bytes
    batches = list(corpus.scan("images", ["image_id", "bytes"]))
    assert [batch.num_rows for batch in batches] == [2] * 5
    assert pa.Table.from_batches(batches).equals(whole)
    monkeypatch.setattr("tuwen.corpus.scanning.BLOB_SCAN_BYTES", 1)  # less than one: each comes alone
    assert [batch.num_rows for batch in corpus.scan("images", ["bytes"])] == [1] * 10
    with pytest.raises(UsageError, match="filter"):
        corpus.scan("images", ["bytes"], where="image_id = 'x'")


def test_sql_reads_a_table_twice_in_one_query(corpus: Corpus) -> None:
    query = "select count(*) as n from pairs a join pairs b using (pair_id)"
    assert corpus.sql(query, {"pairs": ["pair_id"]}).read_all()["n"].to_pylist() == [30]
    assert not any(corpus.folder("tmp").iterdir())


def test_an_unknown_table_is_named(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="no table 'pictures'"):
        corpus.count("pictures")


def test_a_second_writer_fails_at_once(corpus: Corpus) -> None:
    with corpus.writing(), pytest.raises(TuwenError, match="written by another"), Corpus.open(corpus.path).writing():
        pass


def test_a_version_keeps_what_was_there(corpus: Corpus) -> None:
    assert version_numbers(corpus.path) == [1]
    assert tag_version(corpus, "again") == 1  # nothing has changed
    write_pages(corpus.path.parent / "pages", "b", range(10, 15))
    recipe = Recipe("t", (NamedSource("pages", Pages(str(corpus.path.parent / "pages"))),), ())
    assert build(recipe, corpus.path, workers=1, quiet=True).version == 2
    assert Corpus.open(corpus.path, version=1).count("documents") == 10
    assert Corpus.open(corpus.path).count("documents") == 15
    with pytest.raises(UsageError, match="it has 1, 2"):
        Corpus.open(corpus.path, version=9)


def test_key_index_handles_nulls_and_strangers() -> None:
    keys = pa.table({"id": [digest(n, "") for n in range(50)]})
    index = KeyIndex.of(keys.to_reader(max_chunksize=7))
    assert index.find([digest(3, ""), None, "0" * 32, "short", digest(49, ""), "g" * 32]) == [3, -1, -1, -1, 49, -1]
    assert KeyIndex.of(keys.slice(0, 0).to_reader()).find(["x"]) == [-1]


def test_ids_tell_sequences_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest(None) != digest("") != digest(b"", b"")
    assert digest(1, "") != digest("1", "")
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223"  # sha256sum, first 32 digits


@pytest.mark.parametrize("name", ["图文", "a b", "a?b", "a%41b", "{a}*[b]", "ü#'"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    corpus = Corpus.create(tmp_path / name / "corpus")
    assert tag_version(corpus, "new") == 1
    assert "v000001" in Corpus.open(corpus.path).dataset("pairs").tags.list()
    assert [path.name for path in tmp_path.iterdir()] == [name], "no folder of an encoded name"
