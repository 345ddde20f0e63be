"""Parquet with images or URLs in it, as others write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hostile_images
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.sources import Report
from tuwen.sources.parquet import Parquet

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read(source: Parquet) -> tuple[dict[str, list[dict[str, Any]]], Report]:
    report = Report()
    rows: dict[str, list[dict[str, Any]]] = {"images": [], "pairs": [], "fetches": [], "documents": []}
    for unit in source.units():
        for table, batch in source.read(unit, report):
            batch.validate(full=True)
            rows[table] += batch.to_pylist()
    return rows, report


def write(path: Path, columns: dict[str, Any], **options: Any) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def images(seeds: list[int | None]) -> pa.Array:
    cells = [None if seed is None else {"bytes": hostile_images.jpeg(seed), "path": f"{seed}.jpg"} for seed in seeds]
    return pa.array(cells, IMAGE)


@pytest.mark.parametrize("kind", ["struct", "binary", "large_binary"])
def test_embedded_images(kind: str, tmp_path: Path) -> None:
    cells: Any = images([1, 2])
    if kind != "struct":
        cells = pa.array([hostile_images.jpeg(1), hostile_images.jpeg(2)], getattr(pa, kind)())
    columns = {
        "image": cells,
        "caption": ["one", "two"],
        "score": pa.array([0.5, None], pa.float32()),
        "tags": [["a", "b"], []],
        "embedding": pa.array([b"x", b"y"]),
    }
    rows, report = read(Parquet([write(tmp_path / "x.parquet", columns)]))
    assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(1), hostile_images.jpeg(2)]
    first, second = rows["pairs"]
    assert (first["text"], first["text_source"]) == ("one", "given")
    assert first["image_ref"] == "data:sha256," + digest(hostile_images.jpeg(1))
    assert first["pair_id"] == digest(None, None, "given", first["image_ref"], "one")
    assert json.loads(first["given"]) == {"score": 0.5, "tags": ["a", "b"]}
    assert json.loads(second["given"]) == {"tags": []}
    assert report == Report(num_records=2)


def test_columns_are_mapped(tmp_path: Path) -> None:
    columns = {
        "jpg": images([1]),
        "png": images([2]),
        "ALT": ["alt"],
        "title": ["heading"],
        "hash": ["AB" * 32],
        "sim": [0.5],
        "page": ["https://a.test/"],
    }
    path = write(tmp_path / "x.parquet", columns)
    with pytest.raises(UsageError, match=r"images in jpg, png.*columns: \{image: jpg\}"):
        Parquet([path]).units()
    mapping: Any = {
        "image": "png",
        "text": {"alt": "ALT", "heading": "title"},
        "sha256": "hash",
        "similarity": "sim",
    }
    rows, _ = read(Parquet([path], mapping, keep=[]))
    assert [(row["text_source"], row["text"]) for row in rows["pairs"]] == [("alt", "alt"), ("heading", "heading")]
    assert {row["expected_hash"] for row in rows["pairs"]} == {"sha256:" + "ab" * 32}
    assert {row["given"] for row in rows["pairs"]} == {'{"similarity":0.5}'}
    assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(2)]
    with pytest.raises(UsageError, match="no column 'TEXT'"):
        Parquet([path], {"image": "png", "text": "TEXT"}).units()


def test_several_texts_in_a_list_and_an_address_beside_the_image(tmp_path: Path) -> None:
    columns = {"image": images([1, 2]), "captions": [["one", "two"], []], "URL": ["https://a.test/1", None]}
    rows, _ = read(Parquet([write(tmp_path / "x.parquet", columns)], {"image": "image", "url": "URL"}))
    assert [(row["text"], row["given"]) for row in rows["pairs"]] == [
        ("one", '{"url":"https://a.test/1"}'),
        ("two", '{"url":"https://a.test/1"}'),
        (None, None),
    ]


def test_urls_only(tmp_path: Path) -> None:
    urls = ["https://a.test/1.jpg", "ftp://a.test/2.jpg", None, "data:image/png;base64,AAAA"]
    path = write(tmp_path / "x.parquet", {"URL": urls, "TEXT": ["one", "two", "three", "four"]})
    rows, report = read(Parquet([path]))
    assert [(row["image_ref"], row["text"]) for row in rows["pairs"]] == [("https://a.test/1.jpg", "one")]
    assert (rows["images"], rows["fetches"]) == ([], [])
    assert (report.num_records, report.num_bad_records) == (4, 3)
    with pytest.raises(UsageError, match="neither a column of images nor"):
        Parquet([write(tmp_path / "y.parquet", {"a": [1]})]).units()


def test_ids_of_others_are_not_ours(tmp_path: Path) -> None:
    """`image_id` and `image_url` are common names."""
    columns = {
        "image_id": ["7", "0" * 32],
        "image_url": ["https://a.test/7", "https://a.test/8"],
        "caption": ["x", "y"],
    }
    rows, _ = read(Parquet([write(tmp_path / "x.parquet", columns)]))
    assert [json.loads(row["given"]) for row in rows["pairs"]] == [{"image_id": "7"}, {"image_id": "0" * 32}]
    assert [row["expected_hash"] for row in rows["pairs"]] == [None, None]


def test_bad_cells_are_counted(tmp_path: Path) -> None:
    files = hostile_images.images()
    cells = [{"bytes": data, "path": name} for name, data in files.items()]
    cells += [
        None,
        {"bytes": None, "path": "/etc/passwd"},
        {"bytes": b"<html>", "path": None},
        {"bytes": b"", "path": ""},
    ]
    path = write(tmp_path / "x.parquet", {"image": pa.array(cells, IMAGE), "text": ["t"] * len(cells)})
    rows, report = read(Parquet([path]))
    assert {row["bytes"] for row in rows["images"]} == set(files.values())
    assert len(rows["pairs"]) == len(files)
    assert report.num_bad_records == 4 and report.messages == ["4 rows have no bytes of an image in 'image'"]
    rows, report = read(Parquet([path], max_image_bytes=1_000))
    assert max(len(row["bytes"]) for row in rows["images"]) <= 1_000


def test_large_files_are_cut_at_row_groups_and_stay_small_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(256)) * 4_096  # 1 MiB, and an image by its first bytes
    cells = [{"bytes": b"\xff\xd8\xff" + bytes([number]) + data, "path": None} for number in range(24)]
    columns = {"image": pa.array(cells, IMAGE), "text": [str(number) for number in range(24)]}
    path = write(tmp_path / "x.parquet", columns, row_group_size=4, compression="none", use_dictionary=False)
    source = Parquet([path])
    (unit,) = source.units()
    assert unit.payload == (0, 6)
    sizes = [batch.nbytes for _, batch in source.read(unit, Report())]
    assert max(sizes) < 20 << 20
    monkeypatch.setattr("tuwen.sources.parquet._UNIT_BYTES", 10 << 20)
    units = source.units()
    assert [unit.payload for unit in units] == [(0, 3), (3, 6)]
    texts = [
        row["text"]
        for unit in units
        for table, batch in source.read(unit, Report())
        if table == "pairs"
        for row in batch.to_pylist()
    ]
    assert texts == columns["text"]


@given(data=st.data())
@settings(max_examples=60)
def test_damaged_files_are_reported(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    write(path, {"image": images([1, 2, None]), "text": ["a", "b", "c"]}, row_group_size=1)
    source = Parquet([str(path)])
    (unit,) = source.units()
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=8))
    content[place : place + len(noise)] = noise
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), place + 1]))])
    report = Report()
    rows = [row for _, batch in source.read(unit, report) for row in batch.to_pylist()]
    assert bool(report.error) <= bool(report.messages)
    assert len(rows) <= 6


def test_a_damaged_row_group_costs_itself(tmp_path: Path) -> None:
    columns = {"image": images([*range(40)]), "text": [str(number) for number in range(40)]}
    path = write(tmp_path / "x.parquet", columns, row_group_size=10, compression="zstd")
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(Path(path).read_bytes())
    data[place : place + 200] = bytes(byte ^ 0x5A for byte in data[place : place + 200])
    Path(path).write_bytes(data)
    rows, report = read(Parquet([path]))
    assert [row["text"] for row in rows["pairs"]] == [*columns["text"][:10], *columns["text"][20:]]
    assert (report.num_records, report.num_bad_records, report.error) == (30, 10, "damaged")
    assert report.messages[0].startswith("row group 1: 10 rows cannot be read")


def test_an_unreadable_file_is_a_bad_record(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    _, report = read(Parquet([str(tmp_path)]))
    assert (report.error, report.num_bad_records) == ("unreadable", 1)


@pytest.mark.parametrize("ids", [pa.array([7]), pa.array(["7"]), pa.array(["0" * 32])])
@pytest.mark.parametrize("mapping", [{}, {"url": "image_url"}, {"url": "image_url", "text": "description"}])
def test_a_table_with_image_ids_of_its_own(ids: pa.Array, mapping: Any, tmp_path: Path) -> None:
    columns = {"image_id": ids, "image_url": ["https://a.test/7"], "description": ["d"]}
    rows, report = read(Parquet([write(tmp_path / "x.parquet", columns)], mapping))
    (pair,) = rows["pairs"]
    assert (pair["image_ref"], pair["expected_hash"]) == ("https://a.test/7", None)
    assert json.loads(pair["given"])["image_id"] == ids[0].as_py()
    assert report == Report(num_records=1)


def test_a_mapping_of_the_url_is_followed_whatever_the_table_looks_like(tmp_path: Path) -> None:
    columns = {"image_id": ["0" * 32], "image_url": ["https://a.test/7"]}
    path = write(tmp_path / "x.parquet", columns)
    rows, _ = read(Parquet([path]))
    assert rows["pairs"][0]["expected_hash"] == "sha256:" + "0" * 32  # an index of images
    rows, _ = read(Parquet([path], {"url": "image_url"}))
    assert rows["pairs"][0]["expected_hash"] is None


@pytest.mark.parametrize("kind", ["view", "dictionary"])
def test_images_in_other_types_of_bytes(kind: str, tmp_path: Path) -> None:
    cells = pa.array([hostile_images.jpeg(1)], pa.binary_view() if kind == "view" else pa.binary())
    path = write(tmp_path / "x.parquet", {"image": cells if kind == "view" else cells.dictionary_encode()})
    for mapping in ({}, {"image": "image"}):
        rows, report = read(Parquet([path], mapping))
        assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(1)]
        assert [row["given"] for row in rows["pairs"]] == [None]
        assert report == Report(num_records=1)


def test_far_dates_of_a_release(tmp_path: Path) -> None:
    columns = {"image_id": ["0" * 32], "image_url": ["https://a.test/7"], "image_at": pa.array([10**7], pa.date32())}
    rows, report = read(Parquet([write(tmp_path / "x.parquet", columns)]))
    assert json.loads(rows["pairs"][0]["given"])["image_at"].startswith("29349-")
    assert report == Report(num_records=1)
