"""Shards of img2dataset, LAION and DataComp, as they are laid out, and what people do to them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import hostile_images
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.sources import Report
from tuwen.sources.webdataset import Webdataset


def shard(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    path.write_bytes(gzip.compress(sink.getvalue()) if path.suffix in (".gz", ".tgz") else sink.getvalue())
    return path


def read(source: Webdataset) -> tuple[dict[str, list[dict[str, Any]]], Report]:
    report = Report()
    rows: dict[str, list[dict[str, Any]]] = {"images": [], "pairs": [], "fetches": [], "documents": []}
    for unit in source.units():
        for table, batch in source.read(unit, report):
            batch.validate(full=True)
            rows[table] += batch.to_pylist()
    return rows, report


def sample(key: str, seed: int, text: str | None = "a red square", **fields: Any) -> list[tuple[str, bytes]]:
    """As img2dataset writes it."""
    members = [(f"{key}.jpg", hostile_images.jpeg(seed)), (f"{key}.json", json.dumps(fields).encode())]
    return [*members, (f"{key}.txt", text.encode())] if text is not None else members


@pytest.mark.parametrize("name", ["00000.tar", "00000.tar.gz", "00000.tgz"])
def test_img2dataset_output(name: str, tmp_path: Path) -> None:
    described = {
        "url": "https://a.test/1.jpg",
        "caption": "图文 a red square",
        "status": "success",
        "error_message": None,
        "width": 240,
        "original_width": 480,
        "exif": "{}",
        "sha256": "ab" * 32,
        "similarity": 0.31,
    }
    shard(tmp_path / name, sample("000000001", 1, "图文 a red square", **described) + sample("000000003", 3))
    rows, report = read(Webdataset([str(tmp_path)], {"text": "txt", "sha256": "sha256"}))
    first, second = rows["pairs"]
    assert first["image_ref"] == "data:sha256," + digest(hostile_images.jpeg(1))
    assert first["pair_id"] == digest(None, None, "given", first["image_ref"], "图文 a red square")
    assert (first["text"], first["text_source"], first["document_id"]) == ("图文 a red square", "given", None)
    assert first["expected_hash"] == "sha256:" + "ab" * 32
    kept = {name: value for name, value in described.items() if value is not None and name != "sha256"}
    assert json.loads(first["given"]) == kept
    assert second["given"] is None
    assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(1), hostile_images.jpeg(3)]
    assert (rows["documents"], rows["fetches"]) == ([], [])
    assert report == Report(num_records=2)


def test_several_texts_and_only_some_fields(tmp_path: Path) -> None:
    shard(
        tmp_path / "0.tar",
        sample("1", 1, "one", alt="two", uid="u1", clip=0.3, other=1) + sample("2", 2, None, alt="x"),
    )
    columns = {"text": {"caption": "txt", "alt": "json.alt"}, "score": "json.clip"}
    rows, _ = read(Webdataset([str(tmp_path)], columns, keep=["uid"]))
    assert [(row["text_source"], row["text"]) for row in rows["pairs"]] == [
        ("caption", "one"),
        ("alt", "two"),
        ("alt", "x"),
    ]
    assert json.loads(rows["pairs"][0]["given"]) == {"uid": "u1", "score": 0.3}


def test_keys_end_at_the_first_dot_of_the_base_name(tmp_path: Path) -> None:
    entries = [
        ("a.b/c.1.jpg", hostile_images.jpeg(1)),
        ("a.b/c.txt", b"one"),
        ("a.c/c.JPG", hostile_images.jpeg(2)),
        ("a.c/c.txt", b"two"),
        ("../../etc/passwd.jpg", hostile_images.jpeg(3)),
        ("../../etc/passwd.txt", b"three"),
    ]
    rows, report = read(Webdataset([str(shard(tmp_path / "0.tar", entries))]))
    assert [row["text"] for row in rows["pairs"]] == ["one", "two", "three"]
    assert report.num_records == 3


def test_a_sample_with_several_images(tmp_path: Path) -> None:
    entries = [("1.left.jpg", hostile_images.jpeg(1)), ("1.right.jpg", hostile_images.jpeg(2)), ("1.txt", b"two views")]
    path = str(shard(tmp_path / "0.tar", entries))
    rows, report = read(Webdataset([path]))
    assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(1)]
    assert "columns.image" in report.messages[0]
    rows, report = read(Webdataset([path], {"image": "right.jpg", "text": "txt"}))
    assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(2)]


def test_hostile_images_are_kept_or_counted(tmp_path: Path) -> None:
    files = hostile_images.images()
    entries = [(f"{number:03}.{name.rpartition('.')[2]}", data) for number, (name, data) in enumerate(files.items())]
    entries += [("900.jpg", b"<html>gone</html>"), ("901.jpg", b""), ("902.txt", b"no image"), ("903.svg", b"<svg/>")]
    rows, report = read(Webdataset([str(shard(tmp_path / "0.tar", entries))]))
    assert {row["bytes"] for row in rows["images"]} == set(files.values())
    assert {row["text"] for row in rows["pairs"]} == {None}
    assert (report.num_records, report.num_bad_records) == (len(entries), 4)
    assert len(report.messages) == 3


def test_other_members_are_told_of(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "0.tar", [*sample("1", 1), ("1.npy", b"x"), *sample("2", 2), ("2.npy", b"x"), ("2.cls", b"7")]
    )
    with tarfile.open(path, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo("3.jpg")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    rows, report = read(Webdataset([str(path)]))
    assert len(rows["pairs"]) == 2
    assert any(
        ".npy" in message and "tuwen join" in message and message.startswith("2 ") for message in report.messages
    )
    assert sum("kind" in message for message in report.messages) == 3
    rows, _ = read(Webdataset([str(path)], {"text": "txt", "label": "cls"}))
    assert [row["given"] for row in rows["pairs"]] == [None, '{"label":"7"}']


BAD_JSON = [
    b"",
    b"{",
    b"[1]",
    b"\xff\xfe",
    b'{"a": ' * 10_000,
    b"[" * 100_000,
    b'{"a": ' + b"9" * 5_000 + b"}",
]
ODD_JSON = {
    b'{"a": NaN, "b": Infinity, "c": 1e999, "d": 1}': {"d": 1},
    b'{"a": 1, "a": 2}': {"a": 2},
    b'{"a": "\\ud800", "b": "\\u0000"}': {"a": "?", "b": "\0"},
    b'{"a": 123456789012345678901234567890}': {"a": 123456789012345678901234567890},
    b'{"texts": [{"pair_id": 1}], "a": 1}': {"texts": [{"pair_id": 1}], "a": 1},
    b'{"image_id": "x", "image_url": "y"}': {"image_id": "x", "image_url": "y"},
}


@pytest.mark.parametrize("data", BAD_JSON, ids=range(len(BAD_JSON)))
def test_json_that_cannot_be_read_costs_its_fields(data: bytes, tmp_path: Path) -> None:
    entries = [("1.jpg", hostile_images.jpeg(1)), ("1.json", data), ("1.txt", b"text"), *sample("2", 2)]
    rows, report = read(Webdataset([str(shard(tmp_path / "0.tar", entries))]))
    assert [(row["text"], row["given"]) for row in rows["pairs"]] == [("text", None), ("a red square", None)]
    assert report.num_bad_records == 1 and "JSON" in report.messages[0]


@pytest.mark.parametrize(("data", "expected"), ODD_JSON.items(), ids=range(len(ODD_JSON)))
def test_odd_json(data: bytes, expected: dict[str, Any], tmp_path: Path) -> None:
    entries = [("1.jpg", hostile_images.jpeg(1)), ("1.json", data), ("1.txt", b"text")]
    rows, report = read(Webdataset([str(shard(tmp_path / "0.tar", entries))]))
    found = json.loads(rows["pairs"][0]["given"])
    assert {name: value for name, value in found.items() if value is not None} == expected
    assert report.num_bad_records == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("0" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RELEASED = ("image_id", "image_url", "pair_id", "document_id", "text", "text_source", "position", "text_position")
FIELDS = (
    *RELEASED,
    "derived_from",
    "given",
    "document_captured_at",
    "document_rights",
    "image_rights",
    "expected_hash",
)


@given(
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
    st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, VALUES)), max_size=2),
)
def test_whatever_a_release_claims_is_survived(
    tmp_path_factory: pytest.TempPathFactory, top: dict[str, Any], texts: list[dict[str, Any]]
) -> None:
    data = hostile_images.jpeg(1)
    described = json.dumps({**top, "image_id": digest(data), "image_url": "u", "texts": texts}).encode()
    path = shard(tmp_path_factory.getbasetemp() / "claims.tar", [("1.jpg", data), ("1.json", described)])
    rows, report = read(Webdataset([str(path)]))
    assert len(rows["images"]) <= 1
    assert report.num_records == 1 and report.error is None


@pytest.mark.parametrize("cut", range(1_000, 40_000, 3_001))
def test_a_cut_shard_keeps_whole_samples_only(cut: int, tmp_path: Path) -> None:
    entries = [member for seed in range(1, 6) for member in sample(str(seed), seed, f"text {seed}", number=seed)]
    data = shard(tmp_path / "0.tar", entries).read_bytes()
    (tmp_path / "0.tar").write_bytes(data[:cut])
    rows, report = read(Webdataset([str(tmp_path)]))
    assert report.error == "truncated"
    for number, row in enumerate(rows["pairs"], start=1):
        assert (row["text"], row["given"]) == (f"text {number}", f'{{"number":{number}}}')
        assert row["image_ref"] == "data:sha256," + digest(hostile_images.jpeg(number))


def test_the_same_image_and_pair_twice_are_one_row(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar", sample("1", 1) + sample("2", 1) + sample("3", 1, "another text"))
    rows, report = read(Webdataset([str(tmp_path)]))
    assert Counter({"images": len(rows["images"]), "pairs": len(rows["pairs"])}) == {"images": 1, "pairs": 2}
    assert report.num_records == 3


def test_batches_stay_small_whatever_repeats(tmp_path: Path) -> None:
    data, padding = hostile_images.jpeg(1), "x" * 1_000_000
    entries = []
    for number in range(40):
        described = json.dumps({"n": number, "pad": padding}).encode()
        entries += [(f"{number}.jpg", data), (f"{number}.json", described), (f"{number}.txt", b"%d" % number)]
    source = Webdataset([str(shard(tmp_path / "0.tar", entries))])
    (unit,) = source.units()
    batches = [batch for table, batch in source.read(unit, Report()) if table == "pairs"]
    assert sum(batch.num_rows for batch in batches) == 40
    assert max(batch.nbytes for batch in batches) < 12 << 20


def test_a_wrong_configuration_is_told(tmp_path: Path) -> None:
    for parameters, word in (
        ({"paths": []}, "paths is empty"),
        ({"paths": [str(tmp_path)]}, "holds no .tar"),
        ({"paths": [str(tmp_path / "x*.tar")]}, "matches no file"),
    ):
        with pytest.raises(UsageError, match=word):
            Webdataset(**parameters).units()
    with pytest.raises(UsageError, match="text source"):
        load("tuwen.sources", "webdataset", {"paths": ["x"], "columns": {"text": {"ALT!": "txt"}}})


def test_samples_beside_a_damaged_header_are_whole_or_left_out(tmp_path: Path) -> None:
    entries = [member for seed in range(1, 6) for member in sample(str(seed), seed, f"text {seed}", number=seed)]
    data = shard(tmp_path / "0.tar", entries).read_bytes()
    for name in ("3.jpg", "3.json", "3.txt", "1.txt"):
        place = data.index(name.encode() + bytes(90))
        (tmp_path / "0.tar").write_bytes(data[: place + 148] + b"9" + data[place + 149 :])
        rows, report = read(Webdataset([str(tmp_path)]))
        expected = [number for number in range(1, 6) if str(number) != name[0]]
        assert [row["text"] for row in rows["pairs"]] == [f"text {number}" for number in expected]
        assert [json.loads(row["given"]) for row in rows["pairs"]] == [{"number": number} for number in expected]
        assert report.error == "damaged" and f"byte {place}:" in report.messages[0]


def test_repeated_pairs_are_counted(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar", [*sample("1", 1, uid="a"), *sample("2", 1, uid="b"), *sample("3", 2)])
    rows, report = read(Webdataset([str(tmp_path)]))
    assert [row["given"] for row in rows["pairs"]] == ['{"uid":"a"}', None]
    assert len(report.messages) == 1 and report.messages[0].startswith("1 pairs repeat")


def test_deep_json_with_a_number_beyond_json(tmp_path: Path) -> None:
    deep = b'{"a":' * 600 + b"1e400" + b"}" * 600
    entries = [("1.jpg", hostile_images.jpeg(1)), ("1.json", deep), ("1.txt", b"text")]
    rows, _ = read(Webdataset([str(shard(tmp_path / "0.tar", entries))]))
    assert [(row["text"], row["given"]) for row in rows["pairs"]] == [("text", None)]
