"""Indexes: in step with the tables whatever happens, and gone without a trace when their making is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import add_images, add_pairs, key, small_corpus, vectors, write_columns

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import JOURNAL, build_index, index_state, index_states, update_indexes
from tuwen.corpus.transfer import export_corpus, import_corpus
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.engine.search import search
from tuwen.engine.search_indexes import make_indexes
from tuwen.errors import TuwenError, UsageError

SCRIPT = Path(__file__).parents[1] / "support" / "killed_index.py"


def covered(corpus: Corpus, table: str, column: str) -> tuple[int, int]:
    state = index_state(corpus.dataset(table), table, column)
    assert state is not None
    return state.num_rows, state.num_missing


def test_columns_committed_later_keep_the_index_or_leave_it(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    add_images(corpus, ["new"], vectors(1))
    assert covered_after_index(corpus) == (7, 0)
    other = pa.schema([("width", pa.int32())])
    ids = corpus.table("images", ["image_id"])["image_id"].to_pylist()
    write_columns(corpus, "images", "x.width", other, {each: {"width": 1} for each in ids})
    assert covered(corpus, "images", "embedding") == (7, 0)  # another column: nothing to do with it
    own = pa.schema([corpus.schema("images").field("embedding").remove_metadata()])
    write_columns(corpus, "images", "image.embedding", own, {key("new"): {"embedding": [1.0] * 8}})
    assert covered(corpus, "images", "embedding") == (6, 1)
    assert update_indexes(corpus) == []  # few vectors are compared one by one
    assert covered_after_index(corpus) == (7, 0)


def covered_after_index(corpus: Corpus) -> tuple[int, int]:
    with corpus.writing():
        build_index(corpus, "images", "embedding")
    return covered(corpus, "images", "embedding")


def test_texts_are_brought_up_to_date_and_nothing_else_is_made(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    assert update_indexes(corpus) == [] and index_states(corpus) == []
    build_index(corpus, "pairs", "text")
    add_pairs(corpus, [("p9", "new text", None, "en")])
    assert covered(corpus, "pairs", "text") == (7, 1)
    assert [(state.num_rows, state.num_missing) for state in update_indexes(corpus)] == [(8, 0)]
    with pytest.raises(UsageError, match="no column 'width' of vectors or texts"):
        build_index(corpus, "pairs", "width")


@pytest.mark.parametrize("step", [3, 7])  # before the commit of one index, and before that of the other
def test_killed_while_an_index_is_made(tmp_path: Path, step: int) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    killed = subprocess.run([sys.executable, SCRIPT, tmp_path, str(step)], capture_output=True, text=True)
    assert killed.returncode == -9 and (corpus.path / JOURNAL.name).exists(), killed.stderr
    table = "images" if step == 7 else "pairs"
    (corpus.path / f"{table}.lance" / "_indices" / "half").mkdir(parents=True)  # what Lance had written by then
    assert search(corpus, "自行车").ids == [key("p2")]
    make_indexes(corpus)
    assert covered(corpus, "pairs", "text") == (7, 0) and covered(corpus, "images", "embedding") == (6, 0)
    assert search(corpus, "自行车").ids == [key("p2")]
    assert not (corpus.path / JOURNAL.name).exists()
    for name in ("pairs", "images"):
        used = {str(s.uuid) for each in corpus.dataset(name).describe_indices() for s in each.segments}
        assert {path.name for path in (corpus.path / f"{name}.lance" / "_indices").iterdir()} == used


def test_exports_and_versions_do_not_mind(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    make_indexes(corpus)
    export_corpus(corpus, tmp_path / "out")
    again = import_corpus(tmp_path / "out", tmp_path / "again")
    assert index_states(again) == [] and search(again, "cat").ids == search(corpus, "cat").ids
    assert again.content("images", "embedding") == corpus.content("images", "embedding")


def test_only_one_writer(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    with corpus.writing(), pytest.raises(TuwenError, match="is being written by another"):
        make_indexes(corpus)


def test_what_is_no_vector_is_known() -> None:
    rows = [[3.0, 4.0], None, [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 0.0]]
    array = pa.array(rows, pa.list_(pa.float32(), 2))
    found, known = unit_vectors_of(array)
    assert known.tolist() == [True, False, False, False, False]
    assert found[0].tolist() == pytest.approx([0.6, 0.8])
    assert unit_vectors_of(array.slice(1, 2))[1].tolist() == [False, False]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_column_without_vectors_can_be_indexed_and_searched(tmp_path: Path, number: int) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    drawn = vectors(4)
    add_images(corpus, range(4), [drawn[n] if n < number else None for n in range(4)])
    make_indexes(corpus)
    if number:
        assert len(search(corpus, ids=[key(0)]).ids) == number - 1
