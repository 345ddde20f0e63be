"""Joins: columns computed elsewhere, found by key whatever spells it; kept up to date; gone without a trace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Length, Pages, write_pages

import tuwen.engine.sorted_rows
import tuwen.stages.joined
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.transfer import export_corpus, import_corpus
from tuwen.corpus.units import append_rows
from tuwen.engine.build import build, plan
from tuwen.engine.join import drop_join, join
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.status import status
from tuwen.errors import TuwenError, UsageError
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import parse_selections

SCRIPT = Path(__file__).parents[1] / "support" / "killed_join.py"
NUM_PAIRS = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(0, 5))
    write_pages(tmp_path / "pages", "b", range(5, 8))
    update(tmp_path)
    return tmp_path


def update(folder: Path, *stages: Any) -> Any:
    recipe = Recipe("t", (NamedSource("pages", Pages(str(folder / "pages"))),), stages, {"name": "t"})
    return build(recipe, folder / "corpus", quiet=True)


def pair_ids(folder: Path) -> list[str]:
    return sorted(Corpus.open(folder / "corpus").table("pairs", ["pair_id"])["pair_id"].to_pylist())


def values(folder: Path, *columns: str, table: str = "pairs") -> dict[str, Any]:
    """Key → value, or tuple of values."""
    found = Corpus.open(folder / "corpus").table(table, [TABLES[table].key, *columns])
    lists = [found[name].to_pylist() for name in columns]
    rows = lists[0] if len(columns) == 1 else zip(*lists, strict=True)
    return dict(zip(found[TABLES[table].key].to_pylist(), rows, strict=True))


def write(path: Path, **columns: Any) -> Path:
    """A table in the format of the path's extension."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        comma = "\t" if path.suffix == ".tsv" else ","
        lines = [table.schema.names, *([str(value) for value in row.values()] for row in table.to_pylist())]
        path.write_text("".join(comma.join(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl"])
@pytest.mark.parametrize("workers", [1, 2])
def test_columns_come_to_the_rows_of_their_key(folder: Path, suffix: str, workers: int) -> None:
    if workers == 2 and suffix != "csv":
        pytest.skip("one format is enough for two processes")
    ids = pair_ids(folder)
    file = write(
        folder / f"My-Scores.{suffix}", label=["x", "y"] * 12, pair_id=ids[::-1], score=[n / 2 for n in range(24)]
    )
    joined = join(folder / "corpus", file, "pair_id", workers=workers)
    assert (joined.num_rows, joined.num_matched, joined.num_table_rows, joined.num_table_matched) == (24, 24, 24, 24)
    assert joined.name == "my_scores" and joined.columns == ["label", "score"] and joined.unmatched == []
    expected = {key: (n / 2, "xy"[n % 2]) for n, key in enumerate(ids[::-1])}
    assert values(folder, "score", "label") == expected
    corpus = Corpus.open(folder / "corpus")
    assert corpus.current_columns("pairs")["score"] == "join.my_scores"
    assert corpus.schema("pairs").field("score").type == pa.float64()


def test_the_same_file_again_does_nothing_and_a_changed_one_replaces(folder: Path) -> None:
    ids = pair_ids(folder)
    file = write(folder / "s.parquet", pair_id=ids, score=list(range(24)))
    assert join(folder / "corpus", file, "pair_id").num_rows_computed == 24
    before = Corpus.open(folder / "corpus").version()
    again = join(folder / "corpus", file, "pair_id")
    assert again.num_rows_computed == 0 and again.num_matched == 24
    assert Corpus.open(folder / "corpus").version() == before
    write(folder / "s.parquet", pair_id=ids[::-1], score=list(range(24))[::-1])  # other bytes, the same content
    assert join(folder / "corpus", file, "pair_id").num_rows_computed == 0
    renamed = join(folder / "corpus", file, "pair_id", columns=["score=points"])
    assert renamed.num_rows_computed == 24 and values(folder, "points") == dict(zip(ids, range(24), strict=True))
    assert update(folder).did_nothing
    write(folder / "s.parquet", pair_id=ids[:20], rank=[str(n) for n in range(20)])
    changed = join(folder / "corpus", file, "pair_id")
    assert changed.num_rows_computed == 24 and changed.unmatched_in_table
    assert values(folder, "rank") == {key: str(n) if n < 20 else None for n, key in enumerate(ids)}
    corpus = Corpus.open(folder / "corpus")
    assert "score" not in corpus.columns("pairs")
    assert [path.suffix for path in sorted((folder / "corpus" / "joins").iterdir())] == [".arrow", ".json"]


def test_rows_that_come_later_get_their_values_in_a_build(folder: Path) -> None:
    ids = pair_ids(folder)
    later = [digest(digest("http://a.test/8", 0, ""), n, f"text 8 {n}") for n in range(3)]
    keys, numbers = [*ids, *later], list(range(27))
    file = write(folder / "s.parquet", score=numbers, pair_id=keys, key=numbers[::-1], label=list(map(str, numbers)))
    joined = join(folder / "corpus", file, "pair_id")
    assert joined.num_matched == 24 and joined.unmatched == later
    write_pages(folder / "pages", "c", range(8, 9))
    assert update(folder).stage_rows == {"join.s": 3}
    expected = {key: (n, 26 - n, str(n)) for n, key in enumerate(keys)}
    assert values(folder, "score", "key", "label") == expected
    assert update(folder).did_nothing
    (listed,) = status(folder / "corpus")["joins"]
    assert (listed["name"], listed["file"], listed["num_rows"]) == ("s", "s.parquet", 27)
    assert {"join.s"} == {stage["stage"] for stage in status(folder / "corpus")["stages"]}


def test_the_order_of_rows_workers_and_fragments_is_the_same_to_a_join(folder: Path) -> None:
    ids = pair_ids(folder)
    file = write(folder / "s.parquet", pair_id=ids, score=list(range(24)))
    join(folder / "corpus", file, "pair_id")
    write_pages(folder / "pages", "0", range(0, 8))
    (folder / "pages" / "a.json").unlink()
    (folder / "pages" / "b.json").unlink()
    other = folder / "other"
    other.mkdir()
    shutil.move(folder / "pages", other / "pages")
    update(other)
    backwards = write(other / "s.parquet", pair_id=ids[::-1], score=list(range(24))[::-1])
    join(other / "corpus", backwards, "pair_id", workers=2)
    assert values(folder, "score") == values(other, "score")


def test_a_joined_column_is_judged_and_read_by_stages_after_it(folder: Path) -> None:
    ids = pair_ids(folder)
    file = write(folder / "lengths.csv", pair_id=ids, length=[n % 7 for n in range(24)])
    join(folder / "corpus", file, "pair_id", columns={"length": "given_length"})
    selection = parse_selections({"short": {"unit": "pair", "steps": [{"rule": "given_length < 3"}]}})
    ledger = Ledger.open_or_judge(Corpus.open(folder / "corpus"), "short", selection)
    kept = {key for batch in ledger.kept() for key in batch["id"].to_pylist()}
    assert kept == {key for n, key in enumerate(ids) if n % 7 < 3}
    with pytest.raises(UsageError, match=r"both write pairs\.given_length"):
        update(folder, Given())


class Given(Length):
    """A stage that would write the same column."""

    writes = pa.schema([("given_length", pa.int32())])


def test_a_key_that_a_stage_wrote_is_followed(folder: Path) -> None:
    (folder / "stage").mkdir()
    recipe = {"name": "t", "stages": [{"tiny:Length": {"factor": 1}}]}
    source = (NamedSource("pages", Pages(str(folder / "pages"))),)
    build(Recipe("t", source, (Length(),), recipe), folder / "corpus", quiet=True)
    file = write(folder / "names.csv", length=["8", "9"], name=["eight", "nine"])
    joined = join(folder / "corpus", file, "length", name="named", allow_code=True)
    assert joined.num_table_matched == 24
    assert set(values(folder, "length", "name").values()) == {(8, "eight")}
    doubled = {"name": "t", "stages": [{"tiny:Length": {"factor": 2}}]}
    built = build(Recipe("t", source, (Length(factor=2),), doubled), folder / "corpus", quiet=True)
    assert built.stage_rows == {"tiny:Length": 24, "join.named": 24}
    assert set(values(folder, "name").values()) == {None}
    with pytest.raises(UsageError, match=r"join\.named reads pairs\.length, which no stage"):
        update(folder)


def test_a_uid_that_a_data_set_gave_is_a_key(tmp_path: Path) -> None:
    uids = [digest("uid", number) for number in range(20)]
    rows = [
        {"pair_id": digest(uid), "given": json.dumps({"uid": uid.upper()}), "source": "d", "source_unit": "u"}
        for uid in uids
    ]
    corpus = Corpus.create(tmp_path / "corpus")
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    recipe = Recipe.from_mapping({"stages": [{"pair.given": {"columns": {"uid": "string"}}}]})
    build(recipe, corpus.path, quiet=True)
    np.save(tmp_path / "subset.npy", np.sort(halves(uids[:7])))
    joined = join(corpus, tmp_path / "subset.npy", "uid")
    assert joined.num_matched == joined.num_table_matched == 7
    found = corpus.table("pairs", ["uid", "subset"]).to_pylist()
    assert {row["uid"].lower() for row in found if row["subset"]} == set(uids[:7])
    assert build(recipe, corpus.path, quiet=True).did_nothing


def test_drop_takes_columns_and_rows_away(folder: Path) -> None:
    file = write(folder / "s.parquet", pair_id=pair_ids(folder), score=list(range(24)))
    join(folder / "corpus", file, "pair_id")
    assert drop_join(folder / "corpus", "s") == ["score"]
    assert "score" not in Corpus.open(folder / "corpus").columns("pairs")
    assert list((folder / "corpus" / "joins").iterdir()) == []
    assert update(folder).did_nothing
    with pytest.raises(UsageError, match="no join 's'"):
        drop_join(folder / "corpus", "s")
    assert join(folder / "corpus", file, "pair_id", name="t").num_table_matched == 24


def test_a_join_moves_to_another_table(folder: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    documents = corpus.table("documents", ["document_id"])["document_id"].to_pylist()
    join(corpus, write(folder / "s.csv", pair_id=pair_ids(folder), score=[1] * 24), "pair_id")
    join(corpus, write(folder / "s.csv", document_id=documents, score=list(range(8))), "document_id")
    assert "score" not in corpus.columns("pairs")
    assert values(folder, "score", table="documents") == dict(zip(documents, range(8), strict=True))


# Keys -------------------------------------------------------------------------------------------------------------


def test_images_by_id_and_by_the_whole_sha256_in_any_case(folder: Path) -> None:
    import hashlib

    names = [f"image {n}" for n in range(8)]
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    join(folder / "corpus", write(folder / "a.csv", sha256=[d.upper() for d in digests], a=names), "sha256")
    join(folder / "corpus", write(folder / "b.csv", image_id=[d[:32].upper() for d in digests], b=names), "image_id")
    expected = {d[:32]: (name, name) for d, name in zip(digests, names, strict=True)}
    assert values(folder, "a", "b", table="images") == expected


def test_urls_are_spelt_as_the_corpus_spells_them(folder: Path) -> None:
    listed = {"p1": "http://host.test/%E5%9B%BE.png", "p2": "https://host.test/a%20b.png?x=1"}
    rows = [
        {"pair_id": digest(key), "image_ref": url, "text": key, "source": "l", "source_unit": "u"}
        for key, url in listed.items()
    ]
    corpus = Corpus.create(folder / "urls")
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    file = write(
        folder / "u.parquet",
        URL=["HTTP://Host.test:80/图.png#top", " https://host.test/a b.png?x=1", "mailto:a@b", None],
        n=[1, 2, 3, 4],
    )
    joined = join(corpus, file, "url")
    assert (joined.num_matched, joined.num_rows, joined.num_without_key) == (2, 2, 2)
    assert sorted(corpus.table("pairs", ["n"])["n"].to_pylist()) == [1, 2]


def test_numbers_nulls_and_leading_zeros_as_keys(folder: Path) -> None:
    corpus = Corpus.create(folder / "n")
    rows = [{"pair_id": digest(t), "text": t, "source": "l", "source_unit": "u"} for t in ("7", "007", "1e5", "x")]
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])

    def joined_as(file: Path) -> dict[str, Any]:
        join(corpus, file, "pairs.text", name="j")
        found = corpus.table("pairs", ["text", "v"])
        return dict(zip(found["text"].to_pylist(), found["v"].to_pylist(), strict=True))

    nothing = dict.fromkeys(("7", "007", "1e5", "x"))
    assert joined_as(write(folder / "i.parquet", text=[7, None], v=[1, 2])) == nothing | {"7": 1}
    floats = write(folder / "f.parquet", text=[7.0, float("nan"), 1.5], v=[1, 2, 3])
    assert joined_as(floats) == nothing | {"7": 1}
    assert joined_as(write(folder / "c.csv", text=["007", "7", "1e5"], v=[1, 2, 3])) == nothing | {
        "7": 2,
        "007": 1,
        "1e5": 3,
    }


def test_values_that_are_not_numbers_or_missing_stay_so(folder: Path) -> None:
    ids = pair_ids(folder)[:3]
    join(folder / "corpus", write(folder / "s.parquet", pair_id=ids, v=[1.0, float("nan"), None]), "pair_id")
    found = [values(folder, "v")[key] for key in ids]
    assert found[0] == 1.0 and found[1] != found[1] and found[2] is None


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1))
def test_a_key_is_the_same_however_it_is_written(halves: list[tuple[int, int]]) -> None:
    texts = [f"{high:016x}{low:016x}" for high, low in halves]
    structs = pa.array(
        [{"f0": high, "f1": low} for high, low in halves], pa.struct([("f0", pa.uint64()), ("f1", pa.uint64())])
    )
    raw = pa.array([bytes.fromhex(text) for text in texts], pa.binary(16))
    upper = pa.array([text.upper() for text in texts])
    for written in (structs, raw, upper, upper.dictionary_encode(), upper.cast(pa.large_string()), structs.slice(1)):
        expected = texts[1:] if written is not structs and len(written) < len(texts) else texts
        assert tuwen.stages.joined.comparable(written).to_pylist() == expected[len(expected) - len(written) :]


# Files that are wrong ---------------------------------------------------------------------------------------------


def test_nothing_matches_is_an_error_with_both_sides(folder: Path) -> None:
    file = write(folder / "s.csv", pair_id=["some-other-id"], score=[1])
    with pytest.raises(TuwenError, match=f"{pair_ids(folder)[0][:0]}.*'some-other-id'") as error:
        join(folder / "corpus", file, "pair_id")
    assert any(key in str(error.value) for key in pair_ids(folder)) and not isinstance(error.value, UsageError)
    assert list((folder / "corpus" / "joins").iterdir()) == []
    assert "score" not in Corpus.open(folder / "corpus").columns("pairs")


def test_a_failed_join_leaves_the_one_that_was_there(folder: Path) -> None:
    ids = pair_ids(folder)
    join(folder / "corpus", write(folder / "s.csv", pair_id=ids, score=[1] * 24), "pair_id")
    with pytest.raises(TuwenError, match="no row of pairs"):
        join(folder / "corpus", write(folder / "s.csv", pair_id=["x"], score=[1]), "pair_id")
    assert set(values(folder, "score").values()) == {1} and update(folder).did_nothing


@pytest.mark.parametrize("value", [1.5, float("nan"), None, "text", [1.0, float("nan")]])
def test_equal_duplicates_are_one_row_and_others_are_refused(folder: Path, value: Any) -> None:
    one, *_ = pair_ids(folder)
    same = write(folder / "s.parquet", pair_id=[one] * 3, v=[value] * 3)
    joined = join(folder / "corpus", same, "pair_id")
    assert (joined.num_rows, joined.num_duplicates) == (1, 2)
    assert repr(values(folder, "v")[one]) == repr(value)
    other = {"text": "txet", 1.5: 2.5}.get(value, [2.0, 1.0]) if not isinstance(value, list) else [1.0, 2.0]
    if value is None or value != value:
        other = 3.5
    differing = write(folder / "s.parquet", pair_id=[one, one], v=[value, other])
    with pytest.raises(TuwenError, match=one):
        join(folder / "corpus", differing, "pair_id")
    joined = join(folder / "corpus", differing, "pair_id", duplicates="first")
    assert repr(values(folder, "v")[one]) == repr(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "pair_di"}, "did you mean 'pair_id'"),
        ({"on": "uid"}, "pair.given"),
        ({"on": "units.reader"}, "no table 'units' to join to"),
        ({"on": "pairs.rights"}, "no column 'rights'"),
        ({"on": "documents.nodes"}, "a key is text"),
        ({"on": "pair_id", "key": "nothing"}, "--key COLUMN"),
        ({"on": "pair_id", "columns": ["scor"]}, "did you mean 'score'"),
        ({"on": "pair_id", "columns": ["score=text"]}, "--columns score=s_score$"),
        ({"on": "pair_id", "columns": ["score=Text"]}, "pairs.text"),
        ({"on": "pair_id", "columns": ["score=document_url"]}, "documents.url"),
        ({"on": "pair_id", "columns": ["score=a b"]}, "cannot be the name"),
        ({"on": "pair_id", "name": "a-b"}, "a join's name"),
        ({"on": "pair_id", "rows": "s.csv"}, "--rows gives the keys"),
        ({"on": "pair_id", "duplicates": "last"}, "refuse, first"),
    ],
)
def test_wrong_requests_say_what_to_do(folder: Path, options: dict[str, Any], message: str) -> None:
    file = write(folder / "s.csv", pair_id=pair_ids(folder), score=[1] * 24)
    with pytest.raises(UsageError, match=message):
        join(folder / "corpus", file, **options)


def test_columns_of_strange_types(folder: Path) -> None:
    ids = pair_ids(folder)[:2]
    strange = {
        "word": pa.array(["a", None]).dictionary_encode(),
        "half": pa.array(np.array([1.5, 2.5], dtype="float16")),
        "price": pa.array([1, None], pa.decimal128(12, 2)),
        "boxes": pa.array([[[0.5, 1.0]], []], pa.large_list(pa.list_(pa.float64()))),
        "day": pa.array([0, None], pa.timestamp("us", tz="UTC")),
        "none": pa.nulls(2),
        "flags": pa.array([[True, False], None], pa.list_(pa.bool_(), 2)),
        "part": pa.array([{"x": 1}, None]),
        "length": pa.array([7, None], pa.duration("s")),
    }
    file = write(folder / "s.parquet", pair_id=ids, **strange)
    with pytest.raises(UsageError, match="'length' holds duration"):
        join(folder / "corpus", file, "pair_id")
    columns = [name for name in strange if name != "length"]
    join(folder / "corpus", file, "pair_id", columns=columns)
    found = values(folder, *columns)
    for place, key in enumerate(ids):
        assert found[key] == tuple(strange[name][place].as_py() for name in columns)


def test_files_of_a_folder_that_differ(folder: Path) -> None:
    ids = pair_ids(folder)
    (folder / "parts").mkdir()
    write(folder / "parts" / "0.parquet", pair_id=ids[:9], v=list(range(9)))
    write(folder / "parts" / "1.parquet", pair_id=ids[9:], v=[float(n) for n in range(9, 24)])
    join(folder / "corpus", folder / "parts", "pair_id")
    assert values(folder, "v") == dict(zip(ids, range(24), strict=True))
    write(folder / "parts" / "2.parquet", pair_id=["x"], v=["many"])
    with pytest.raises(UsageError, match="string in place of int64"):
        join(folder / "corpus", folder / "parts", "pair_id", name="other", columns=["v=w"])
    write(folder / "parts" / "2.parquet", pair_id=["x"], w=[1])
    with pytest.raises(UsageError, match="no column 'v'"):
        join(folder / "corpus", folder / "parts", "pair_id", name="other", columns=["v=w"])


def test_wrong_files_say_what_is_wrong(folder: Path) -> None:
    ids = pair_ids(folder)
    np.save(folder / "e.npy", np.ones((24, 4)))
    (folder / "keys.txt").write_text("\n".join(ids[:-1]))
    (folder / "odd.bin").write_text("x")
    (folder / "not.npy").write_bytes(b"not an array")
    np.save(folder / "objects.npy", np.array([{"a": 1}], dtype=object))
    np.save(folder / "columns.npy", np.asfortranarray(np.ones((24, 2))))
    (folder / "mixed").mkdir()
    write(folder / "mixed" / "a.csv", pair_id=ids, v=[1] * 24)
    write(folder / "mixed" / "b.parquet", pair_id=ids, v=[1] * 24)
    for file, rows, message in [
        ("nowhere.csv", None, "not there"),
        ("odd.bin", None, "can be joined"),
        ("mixed", None, "one format"),
        ("e.npy", None, "--rows FILE"),
        ("e.npy", "gone.txt", "not there"),
        ("e.npy", "keys.txt", "24 rows where its keys have 23"),
        ("not.npy", "keys.txt", "no NumPy array"),
        ("objects.npy", "keys.txt", "never unpickled"),
        ("columns.npy", "keys.txt", "ascontiguousarray"),
    ]:
        with pytest.raises(UsageError, match=message):
            join(folder / "corpus", folder / file, "pair_id", rows=folder / rows if rows else None)
    assert not list((folder / "corpus").glob("joins/*"))


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.zst", "a.parquet", "a.txt", "a.txt.gz", "a.npy"]
)
@pytest.mark.parametrize("data", [b"\xff\x00\xfe" * 99, b"PAR1 not at all PAR1", b"\x93NUMPY\x01\x00\x99"])
def test_damaged_files_are_told_by_name(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(TuwenError, match=r"a\.(csv|jsonl|parquet|txt|npy)|no row of pairs has a key"):
        join(folder / "corpus", folder / name, "pair_id")
    assert not list((folder / "corpus").glob("joins/*"))


# Embeddings and lists of ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
@pytest.mark.parametrize("rows", ["rows.txt", "rows.parquet"])
def test_embeddings_with_the_keys_of_their_rows(folder: Path, dtype: str, rows: str) -> None:
    ids = pair_ids(folder)
    array = np.arange(20 * 6).reshape(20, 6).astype(dtype)
    np.save(folder / "clip.npy", array)
    if rows.endswith("txt"):
        (folder / rows).write_text("\n".join(ids[:20]) + "\n")
    else:
        write(folder / rows, pair_id=ids[:20])
    joined = join(folder / "corpus", folder / "clip.npy", "pair_id", rows=folder / rows)
    assert joined.num_table_matched == 20
    kind = Corpus.open(folder / "corpus").schema("pairs").field("clip").type
    assert kind == pa.list_(pa.from_numpy_dtype(array.dtype), 6)
    found = values(folder, "clip")
    for place, key in enumerate(ids):
        assert found[key] == (array[place].tolist() if place < 20 else None)
    export_corpus(Corpus.open(folder / "corpus"), folder / "out")
    again = import_corpus(folder / "out", folder / "again")
    assert again.content("pairs", "clip") == Corpus.open(folder / "corpus").content("pairs", "clip")
    assert status(folder / "again")["joins"] == status(folder / "corpus")["joins"]
    assert [(stage["stage"], stage["num_fresh"]) for stage in status(folder / "again")["stages"]] == [("join.clip", 24)]


def test_lists_of_numbers_of_one_length_are_vectors(folder: Path) -> None:
    ids = pair_ids(folder)[:2]
    file = write(folder / "s.parquet", pair_id=ids, even=[[1.0, 2.0], None], ragged=[[1.0], [1.0, 2.0]])
    join(folder / "corpus", file, "pair_id")
    schema = Corpus.open(folder / "corpus").schema("pairs")
    assert schema.field("even").type == pa.list_(pa.float32(), 2)
    assert schema.field("ragged").type == pa.list_(pa.float64())
    assert [values(folder, "even", "ragged")[key] for key in ids] == [([1.0, 2.0], [1.0]), (None, [1.0, 2.0])]


def uids_corpus(folder: Path) -> tuple[Corpus, list[str]]:
    """Pairs with a uid of their own in a column, as a stage would have written it."""
    uids = [digest("uid", number) for number in range(50)]
    rows = [{"pair_id": digest(uid), "region": uid, "source": "d", "source_unit": "u"} for uid in uids]
    corpus = Corpus.create(folder / "uids")
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    return corpus, uids


def halves(uids: Sequence[str]) -> Any:
    return np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], dtype="u8,u8")


@pytest.mark.parametrize("compressed", [True, False])
def test_datacomp_metadata_with_arrays_beside(tmp_path: Path, compressed: bool) -> None:
    corpus, uids = uids_corpus(tmp_path)
    (tmp_path / "metadata").mkdir()
    arrays = np.random.default_rng(1).random((50, 8)).astype("float16")
    save = np.savez_compressed if compressed else np.savez
    for number, part in enumerate(np.split(np.random.default_rng(2).permutation(50), [17])):
        table = {"uid": [uids[n] for n in part], "clip": [n / 4 for n in part.tolist()], "text": ["t"] * len(part)}
        write(tmp_path / "metadata" / f"{number:04d}.parquet", **table)
        save(tmp_path / "metadata" / f"{number:04d}.npz", b32_img=arrays[part], l14_txt=arrays[part] + 1)
    (tmp_path / "metadata" / "README.md").write_text("not data")
    with pytest.raises(
        UsageError, match=r"'text' for pairs\.text.* --columns clip,text=metadata_text,b32_img,l14_txt$"
    ):
        join(corpus, tmp_path / "metadata", "pairs.region", key="uid")
    joined = join(
        corpus, tmp_path / "metadata", "pairs.region", key="uid", name="dc", columns=["clip", "b32_img", "l14_txt=l14"]
    )
    assert joined.num_matched == 50
    found = corpus.table("pairs", ["region", "clip", "b32_img", "l14"]).to_pylist()
    for row in found:
        place = uids.index(row["region"])
        assert row["clip"] == place / 4
        assert row["b32_img"] == arrays[place].tolist() and row["l14"] == (arrays[place] + 1).tolist()
    np.savez(tmp_path / "metadata" / "0000.npz", b32_img=arrays[:3])
    with pytest.raises(UsageError, match="do not belong"):
        join(corpus, tmp_path / "metadata", "pairs.region", key="uid", columns=["b32_img=other"])


@pytest.mark.parametrize("kind", ["txt", "txt.gz", "csv", "parquet", "npy", "npy2"])
def test_a_list_of_ids_is_one_boolean_column(tmp_path: Path, kind: str) -> None:
    import gzip

    corpus, uids = uids_corpus(tmp_path)
    chosen = sorted(uids)[10:30]
    path = tmp_path / f"chosen.{kind.removesuffix('2')}"
    if kind == "txt":
        path.write_text("\ufeff" + "\r\n".join([*chosen, "", chosen[0].upper()]), encoding="utf-8")
    elif kind == "txt.gz":
        path.write_bytes(gzip.compress("\n".join(chosen).encode()))
    elif kind == "npy":
        np.save(path, np.sort(halves(chosen)))
    elif kind == "npy2":
        np.save(path, halves(chosen).view("u8").reshape(-1, 2))
    else:
        write(path, uid=chosen)
    joined = join(corpus, path, "pairs.region")
    assert (joined.columns, joined.num_matched, joined.num_table_matched) == (["chosen"], 20, 20)
    found = corpus.table("pairs", ["region", "chosen"])
    assert found["chosen"].null_count == 0
    listed = found.filter(found["chosen"])["region"].to_pylist()
    assert sorted(listed) == chosen
    with pytest.raises(UsageError, match="another name"):
        join(corpus, path, "pairs.region", name="region")


# Killed -----------------------------------------------------------------------------------------------------------


def test_killed_anywhere_there_is_nothing_or_a_join_that_is_completed(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(0, 5))
    write_pages(tmp_path / "pages", "b", range(5, 8))
    update(tmp_path)
    ids = pair_ids(tmp_path)
    write(tmp_path / "old.csv", pair_id=ids, old=[1] * 24)
    join(tmp_path / "corpus", tmp_path / "old.csv", "pair_id", name="s")
    write(tmp_path / "s.csv", pair_id=ids, score=list(range(24)))
    shutil.copytree(tmp_path / "corpus", tmp_path / "kept")
    command = [sys.executable, SCRIPT, str(tmp_path)]
    num_steps = int(subprocess.run([*command, "0"], capture_output=True, text=True, check=True).stdout)
    assert num_steps >= 8
    seen = set()
    for step in range(1, num_steps + 1, 2):  # each is a process; before and after a step are alike
        shutil.rmtree(tmp_path / "corpus")
        shutil.copytree(tmp_path / "kept", tmp_path / "corpus")
        killed = subprocess.run([*command, str(step)], capture_output=True, text=True)
        assert killed.returncode == -9, f"step {step}: {killed.stderr}"
        (name,) = [file.name for file in (tmp_path / "corpus" / "joins").glob("*.json")]
        is_new = "score" in json.loads((tmp_path / "corpus" / "joins" / name).read_text())["columns"]
        seen.add(is_new)
        update(tmp_path)  # completes what is there, whichever it is
        recipe = Recipe("t", (NamedSource("pages", Pages(str(tmp_path / "pages"))),), (), {"name": "t"})
        assert plan(recipe, tmp_path / "corpus").nothing_to_do
        column = "score" if is_new else "old"
        assert values(tmp_path, column) == {key: n if is_new else 1 for n, key in enumerate(ids)}
        if step % 3 == 0:
            join(tmp_path / "corpus", tmp_path / "s.csv", "pair_id", name="s")
            assert values(tmp_path, "score") == dict(zip(ids, range(24), strict=True))
            assert "old" not in Corpus.open(tmp_path / "corpus").columns("pairs")
            assert len(list((tmp_path / "corpus" / "joins").iterdir())) == 2
    assert seen == {True, False}


def test_sorted_rows_are_sorted_unique_and_bounded_in_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuwen.engine.sorted_rows, "CHUNK_BYTES", 64)  # several batches, so that a search crosses them
    monkeypatch.setattr(tuwen.engine.sorted_rows, "BATCH_ROWS", 2_048)
    ids = pair_ids(folder)
    more = [digest(n) for n in range(10_000)]
    repeated = write(
        folder / "s.parquet", pair_id=[*more, *ids, *more], v=[*map(str, [*range(10_024), *range(10_000)])]
    )
    joined = join(folder / "corpus", repeated, "pair_id")
    assert (joined.num_rows, joined.num_duplicates) == (10_024, 10_000)
    (file,) = (folder / "corpus" / "joins").glob("*.arrow")
    state = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    assert state["key"].num_chunks > 3 and pc.all(pc.greater(state["key"][1:], state["key"][:-1])).as_py()
    assert values(folder, "v") == {key: str(10_000 + n) for n, key in enumerate(ids)}
