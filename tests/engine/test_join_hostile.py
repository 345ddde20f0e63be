"""Files, names and requests that a join must not fall for: patterns in paths, bombs, damage, keys of other kinds."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import os
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Length, Pages

import tuwen.engine.join
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.joins import JoinRecord, forget_join, save_join, state_path
from tuwen.corpus.tables import RESERVED, TABLES, digest
from tuwen.corpus.units import append_rows
from tuwen.engine.build import build
from tuwen.engine.join import broken_selections, drop_join, join
from tuwen.engine.keyed import KeyedFiles
from tuwen.engine.keyed_text import text_batches, text_schema
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.errors import TuwenError, UsageError

KEYS = [str(number) for number in range(7)] + [uuid.UUID(int=7**40).hex, "007"]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Pairs whose text is their key."""
    corpus = Corpus.create(tmp_path / "corpus")
    rows = [{"pair_id": digest(key), "text": key, "source": "l", "source_unit": "u"} for key in KEYS]
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    return corpus


def joined(corpus: Corpus, path: Path, **options: Any) -> dict[str, Any]:
    """Key → values, of rows that have any; the join is dropped again."""
    found = join(corpus, path, "pairs.text", **{"key": "k", "name": "j", **options})
    rows = corpus.table("pairs", ["text", *found.columns]).to_pylist()
    drop_join(corpus, found.name)
    values = {row.pop("text"): tuple(row.values()) for row in rows}
    return {key: value for key, value in values.items() if any(part is not None for part in value)}


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def nothing_is_left(corpus: Corpus) -> bool:
    return not list(corpus.path.glob("joins/*")) and not any(
        n.startswith("join_") for n in corpus.schema("pairs").names
    )


# Names and paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../corpus", "../../victim", "/nowhere/x", "a/b", "", ".", "j.json"])
def test_no_name_leaves_the_folder(corpus: Corpus, tmp_path: Path, name: str) -> None:
    (tmp_path / "victim.json").write_text("{}")
    before = sorted(path for path in tmp_path.rglob("*.json"))
    with pytest.raises(UsageError, match="a join's name is a word"):
        drop_join(corpus, name)
    with pytest.raises(UsageError, match="a join's name is a word"):
        forget_join(corpus.path, name)
    with pytest.raises(UsageError, match="a join's name is a word"):
        state_path(name, "0" * 32)
    record = JoinRecord(name, "pairs", "text", "0" * 32, True, {}, {}, "f", 0, 0, 0, "")
    with pytest.raises(UsageError, match="a join's name is a word"):
        save_join(corpus.path, record)
    with pytest.raises(TuwenError, match="digest"):
        state_path("j", "../x")
    assert sorted(path for path in tmp_path.rglob("*.json")) == before


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("name", ["s[1]", "s*", "s?", "o'b", "{a,s1}", "year=2024/s", "k=7/s", "a [b]/**/s"])
def test_a_path_is_a_path_whatever_it_looks_like(corpus: Corpus, tmp_path: Path, name: str, suffix: str) -> None:
    def write(path: Path, value: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {
            "csv": f"k,v\n1,{value}\n",
            "tsv": f"k\tv\n1\t{value}\n",
            "jsonl": json.dumps({"k": "1", "v": value}),
        }
        path.write_text(rows[suffix])
        return path

    write(tmp_path / f"s1.{suffix}", -1)  # what the patterns would match
    assert joined(corpus, write(tmp_path / f"{name}.{suffix}", 5)) == {"1": (5,)}


def test_a_file_name_that_is_not_utf8_and_files_without_rows(corpus: Corpus, tmp_path: Path) -> None:
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/n\xff.csv")
    Path(strange).write_text("k,v\n1,2\n")
    with pytest.raises(UsageError, match="is not UTF-8"):
        joined(corpus, Path(strange))
    for name in ("a.csv", "a.jsonl", "a.parquet", "a.npy", "a.txt"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(UsageError, match="holds no rows"):
            joined(corpus, tmp_path / name)
    (tmp_path / "a.csv").write_text("k,v\n")
    (tmp_path / "b.csv").write_text("\n\n")
    for path in (tmp_path / "a.csv", tmp_path / "b.csv", parquet(tmp_path / "b.parquet", k=pa.array([], pa.string()))):
        with pytest.raises(UsageError, match="holds no rows"):
            joined(corpus, path)
    assert nothing_is_left(corpus)


@pytest.mark.parametrize("name", [*sorted(RESERVED), "_RowId", "join_j_error", "my_error"])
def test_names_that_lance_or_errors_have_are_refused_before_anything_is_written(
    corpus: Corpus, tmp_path: Path, name: str
) -> None:
    file = parquet(tmp_path / "s.parquet", k=["1"], **{name: [1]})
    with pytest.raises(UsageError, match=f"'{name}' cannot be the name of a column .*--columns {name}=NAME"):
        joined(corpus, file)
    assert nothing_is_left(corpus)
    with pytest.raises(UsageError, match="--as NAME"):
        joined(corpus, parquet(tmp_path / "l.parquet", k=["1"]), name=name)
    assert joined(corpus, file, columns={name: "fine"}) == {"1": (1,)}


def test_one_column_twice_and_two_columns_of_one_name(corpus: Corpus, tmp_path: Path) -> None:
    file = parquet(tmp_path / "s.parquet", k=["1"], v=[1])
    with pytest.raises(UsageError, match="names 'v' twice"):
        joined(corpus, file, columns=["v=a", "v=b"])
    np.savez(tmp_path / "s.npz", v=np.zeros(1))
    (tmp_path / "t.csv").write_text("k,v,v\n1,2,3\n")
    pq.write_table(pa.table([["1"], [1], [2]], names=["k", "v", "v"]), tmp_path / "u.parquet")
    for name in ("s.parquet", "t.csv", "u.parquet"):
        with pytest.raises(UsageError, match="two columns 'v'"):
            joined(corpus, tmp_path / name)


# Text formats -----------------------------------------------------------------------------------------------------


def csv(tmp_path: Path, text: str, name: str = "s.csv") -> Path:
    (tmp_path / name).write_text(text, newline="", encoding="utf-8")
    return tmp_path / name


def test_nothing_in_a_csv_is_guessed(corpus: Corpus, tmp_path: Path) -> None:
    for text, expected in {
        "k,v\n#1,x\n1,#fff\n": {"1": ("#fff",)},
        "k;v\n1;a,b\n": {"1": ("a,b",)},
        "k,v\n1,a;b|c\n2,\"q \"\"x\"\", y\"\n": {"1": ("a;b|c",), "2": ('q "x", y',)},
        "\ufeffk,v\r\n1,\"a\r\nb\"\r\n": {"1": ("a\r\nb",)},
        '"k","the\nlong one"\n1,2\n': {"1": (2,)},
        "k,v\n007,1\n7,2\n": {"007": (1,)},
        "k,v\n1,12:30\n": {"1": ("12:30",)},
        "k,v\n1,2020-01-01\n": {"1": ("2020-01-01",)},
        "k,v\n1,001\n2,2\n": {"1": ("001",), "2": ("2",)},
        "k,v\n1,1\n2,2.5\n3,-1e3\n4,\n": {"1": (1.0,), "2": (2.5,), "3": (-1000.0,)},
        "k,v\n1,true\n2,False\n": {"1": (True,), "2": (False,)},
        "k,v\n1,18446744073709551617\n2,3\n": {"1": ("18446744073709551617",), "2": ("3",)},
        "k,v\n1,nan?\n2,nan\n": {"1": ("nan?",), "2": ("nan",)},
        "k,v\n1,size 5\" x\n": {"1": ('size 5" x',)},
    }.items():  # fmt: skip
        columns = {"the\nlong one": "v"} if "long one" in text else ()
        assert joined(corpus, csv(tmp_path, text), columns=columns) == expected, text
    assert joined(corpus, csv(tmp_path, "k\tv\n1\ta,b;c\n", "S.TSV")) == {"1": ("a,b;c",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k,v,w\n" + "1,2,3\n" * 5 + "6,7\n", "Line: 7"),
        ("k,v\n" + "x,1\n" * 30_000 + "1,2,3\n", "Line: 30002"),
        ("# made by me\nk,v\n1,2\n", "Line: 2.*the first line names the columns"),
        ('k,v\n1,"open\n', "quote"),
    ],
)
def test_ragged_rows_are_an_error_with_their_line(corpus: Corpus, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TuwenError, match=rf"s\.csv cannot be read: .*{message}"):
        joined(corpus, csv(tmp_path, text))
    assert nothing_is_left(corpus)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))] * 2)))
def test_what_python_writes_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    import csv as writer

    path = tmp_path_factory.mktemp("csv") / "s.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        write = writer.writer(stream, quoting=writer.QUOTE_ALL, lineterminator="\n")
        write.writerows([("k", "v"), *rows, ("x", "text")])
    schema = text_schema([path])
    assert schema == pa.schema([("k", pa.string()), ("v", pa.string())])
    found = pa.Table.from_batches(text_batches(path, schema, path), schema).to_pylist()
    assert [(row["k"], row["v"]) for row in found] == [(k or None, v or None) for k, v in [*rows, ("x", "text")]]


def test_texts_in_json_stay_texts(corpus: Corpus, tmp_path: Path) -> None:
    row = {"k": "1", "d": "2020-01-01", "t": "12:30:00", "u": str(uuid.UUID(int=5)), "l": [{"date": "2020-01-01"}]}
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps(row))
    assert joined(corpus, file) == {"1": (row["d"], row["t"], row["u"], row["l"])}
    file.write_text(json.dumps({"k": str(uuid.UUID(hex=KEYS[7])), "v": 1}) + '\n{"k": "1", "v": 2}')
    assert joined(corpus, file) == {"1": (2,)}


def test_files_of_a_folder_agree_on_types_or_one_is_named(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    csv(folder, "k,v,w,x\n1,1,1,\n", "0.csv")
    csv(folder, "w,v,k,x\nno,2.5,2,1\n", "1.csv")
    assert joined(corpus, folder) == {"1": (1.0, "1", None), "2": (2.5, "no", 1)}
    csv(folder, "k,v\n1,1\n", "2.csv")
    with pytest.raises(UsageError, match=r"2\.csv has no column 'w'"):
        joined(corpus, folder)
    lines = tmp_path / "lines"
    lines.mkdir()
    (lines / "0.jsonl").write_text('{"k": "1", "v": 1}')
    (lines / "1.jsonl").write_text('{"k": "2", "v": 2.5}')
    with pytest.raises(UsageError, match=r"1\.jsonl: v is double in place of int64.*--columns"):
        joined(corpus, lines)


# Keys and types ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (pa.array([1.0, float("inf"), -float("inf"), 1e300, float("nan"), 2.5, None]), {"1"}),
        (pa.array([1.0, 2.0], pa.float16()), {"1", "2"}),
        (pa.array([1, 2**64 - 1], pa.uint64()), {"1"}),
        (pa.array([decimal.Decimal("1.00"), decimal.Decimal("2.50"), None]), {"1"}),
        (pa.array([decimal.Decimal(2**70), decimal.Decimal(3)]), {"3"}),
        (pa.array([b"1", None], pa.large_binary()), {"1"}),
        (pa.array([bytes.fromhex(KEYS[7])], pa.binary(16)), {KEYS[7]}),
        (pa.array([bytes.fromhex(KEYS[7]), None], pa.uuid()), {KEYS[7]}),
    ],
)
def test_keys_of_many_types(corpus: Corpus, tmp_path: Path, keys: pa.Array, found: set[str]) -> None:
    file = parquet(tmp_path / "s.parquet", k=keys, v=[1] * len(keys))
    assert set(joined(corpus, file)) == found


@pytest.mark.parametrize(
    "keys",
    [
        pa.array([bytes.fromhex(KEYS[7]), b"\xff" * 16], pa.binary()),
        pa.array([["1"]]),
        pa.array([{"a": 1}]),
        pa.array([True]),
        pa.array([datetime.date(2020, 1, 1)]),
        pa.array([b"abcd"], pa.binary(4)),
    ],
)
def test_keys_that_are_none_are_refused_by_name(corpus: Corpus, tmp_path: Path, keys: pa.Array) -> None:
    file = parquet(tmp_path / "s.parquet", k=keys, v=[1] * len(keys))
    with pytest.raises(UsageError, match="the key 'k'"):
        joined(corpus, file)
    assert nothing_is_left(corpus)


def test_vectors_keep_their_nulls_or_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    whole = pa.array([[1, None], [1, 2]], pa.list_(pa.int32(), 2))
    with pytest.raises(UsageError, match="v has a null inside a vector"):
        joined(corpus, parquet(tmp_path / "s.parquet", k=["1", "2"], v=whole))
    missing = pa.array([None, [1, 2]], pa.list_(pa.int32(), 2))
    assert joined(corpus, parquet(tmp_path / "s.parquet", k=["1", "2"], v=missing)) == {"2": ([1, 2],)}
    large = pa.array([[1.5, 2.5]], pa.large_list(pa.float64()))
    join(corpus, parquet(tmp_path / "s.parquet", k=["1"], v=large), "pairs.text", key="k")
    assert corpus.schema("pairs").field("v").type == pa.list_(pa.float32(), 2)


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary_view(), pa.binary()])
def test_bytes_of_any_kind(corpus: Corpus, tmp_path: Path, kind: pa.DataType) -> None:
    file = parquet(tmp_path / "s.parquet", k=["1"], v=pa.array([b"\xff"], kind))
    assert joined(corpus, file) == {"1": (b"\xff",)}


# Arrays -----------------------------------------------------------------------------------------------------------


def npy(header: bytes, data: bytes = bytes(48)) -> bytes:
    header += b" " * (-len(header) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def shaped(shape: str, kind: str = "'<f8'") -> bytes:
    return npy(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode())


@pytest.mark.parametrize(
    "data",
    [
        npy(b"{'descr': (((,"),
        npy(b"(" * 5000),
        npy(b"-" * 5000 + b"1"),
        npy(b"{\0"),
        npy(b"\xff\xfe{}"),
        shaped("(-3,)"),
        shaped("(True, True)"),
        shaped("(3, 1000000000000)"),
        shaped("(3, 200000)"),
        shaped("(1000000000000000000000,)"),
        shaped("(3,)", "'<U0'"),
        shaped("(3, 1)", "[('f0', '<u8'), ('f1', '<u8')]"),
        shaped("(3,)", "('<f8', (2,))"),
    ],
)
def test_headers_that_lie(corpus: Corpus, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "n.npy").write_bytes(data)
    (tmp_path / "k.txt").write_text("1\n2\n3\n")
    with pytest.raises(TuwenError, match=r"n\.npy"):
        joined(corpus, tmp_path / "n.npy", rows=tmp_path / "k.txt")
    parquet(tmp_path / "m.parquet", k=["1", "2", "3"])
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("n.npy", data)
    with pytest.raises(TuwenError, match=r"m\.npz|m\.parquet"):
        joined(corpus, tmp_path / "m.parquet")
    assert nothing_is_left(corpus)


def test_archives_that_cannot_be_opened(corpus: Corpus, tmp_path: Path) -> None:
    import warnings

    parquet(tmp_path / "m.parquet", k=["1"])
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("n.npy", shaped("(1,)"))
        archive.writestr("n.npy", shaped("(1,)"))
    twice = stream.getvalue()
    stream = io.BytesIO()
    np.savez(stream, n=np.zeros(1))
    sound = stream.getvalue()
    central = sound.rindex(b"PK\x01\x02")
    encrypted, method = bytearray(sound), bytearray(sound)
    encrypted[6] |= 1
    encrypted[central + 8] |= 1
    method[8] = method[central + 10] = 99
    for data, message in [(twice, "two arrays"), (encrypted, "password"), (method, "compression"), (b"PK", "zip")]:
        (tmp_path / "m.npz").write_bytes(data)
        with pytest.raises(TuwenError, match=rf"m\.npz.*{message}"):
            joined(corpus, tmp_path / "m.parquet")


def test_batches_of_wide_rows_are_small(tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.random.default_rng(0).random(3_000 * 4_096, "f4")), 4_096)
    file = parquet(tmp_path / "s.parquet", k=[str(n) for n in range(3_000)], v=vectors)
    batches = list(KeyedFiles.find(file).batches("k", {"v": vectors.type}))
    assert sum(batch.num_rows for batch in batches) == 3_000
    assert max(batch.nbytes for batch in batches) <= 20 << 20
    kind = pa.schema([("key", pa.uint64()), ("c0", pa.binary(16_384))])
    assert tuwen.engine.sorted_rows._rows_at_once(kind) * 16_384 <= 32 << 20


# What changes under way -------------------------------------------------------------------------------------------


def test_a_file_that_is_replaced_while_it_is_read_is_refused(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = parquet(tmp_path / "s.parquet", k=["1"], v=[1])
    stored = tuwen.engine.join._stored

    def replaced(*arguments: Any) -> Any:
        parquet(file, k=["1"], v=[2])
        return stored(*arguments)

    monkeypatch.setattr(tuwen.engine.join, "_stored", replaced)
    with pytest.raises(TuwenError, match=r"s\.parquet changed while it was read"):
        joined(corpus, file)
    assert nothing_is_left(corpus)
    monkeypatch.undo()
    assert joined(corpus, file) == {"1": (2,)}


def test_a_build_without_the_column_says_how_it_comes_back(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    from tiny import write_pages

    write_pages(tmp_path / "pages", "a", range(0, 2))
    source = (NamedSource("pages", Pages(str(tmp_path / "pages"))),)
    stages = {"name": "t", "stages": [{"tiny:Length": {"factor": 1}}]}
    build(Recipe("t", source, (Length(),), stages), tmp_path / "corpus", quiet=True)
    file = parquet(tmp_path / "s.parquet", length=list(range(99)), listed=[1] * 99)
    join(tmp_path / "corpus", file, "length", allow_code=True)
    bare = {"name": "t", "selections": {"chosen": {"unit": "pair", "steps": [{"rule": "listed = 1"}]}}}
    with pytest.raises(UsageError, match=r"join\.s reads pairs\.length.*tuwen join DIR --drop s"):
        build(Recipe("t", source, (), {"name": "t"}), tmp_path / "corpus", quiet=True)
    selecting = Recipe.from_mapping({**bare, "stages": stages["stages"]}, allow_code=True)
    recipe = Recipe("t", source, selecting.stages, selecting.mapping)
    build(recipe, tmp_path / "corpus", quiet=True)
    assert broken_selections(tmp_path / "corpus") == []
    drop_join(tmp_path / "corpus", "s")
    assert broken_selections(tmp_path / "corpus") == ["chosen"]
    with pytest.raises(UsageError, match=r"no column 'listed'.*tuwen join"):
        build(recipe, tmp_path / "corpus", quiet=True)
