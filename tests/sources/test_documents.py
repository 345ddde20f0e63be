"""Interleaved documents as MMC4, OBELICS and WanJuan lay them out."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.errors import UsageError
from tuwen.sources import Report
from tuwen.sources.datasets.document_layouts import LAYOUTS, MOST_NODES
from tuwen.sources.documents import Documents

MMC4 = {
    "url": "https://a.test/page",
    "text_list": ["First sentence.", "Second sentence.", "  "],
    "image_info": [
        {"image_name": "b.png", "raw_url": "https://a.test/b.png", "matched_text_index": 1, "matched_sim": 0.29},
        {"image_name": "a.png", "raw_url": "https://a.test/a.png", "matched_text_index": 0, "face_detections": None},
        {"image_name": "c.png", "raw_url": "https://a.test/c.png", "matched_text_index": 9},
        {"image_name": "d.png", "raw_url": "not a url", "matched_text_index": 0},
    ],
    "similarity_matrix": [[0.1, 0.29], [0.3, 0.2]],
    "could_have_url_duplicate": 0,
}
OBELICS = {
    "images": ["https://a.test/1.jpg", None, "https://a.test/2.jpg", None],
    "texts": [None, "Between them.", None, "At the end."],
    "metadata": json.dumps(
        [
            {
                "document_url": "https://a.test/p",
                "src": "https://a.test/1.jpg",
                "alt_text": "one",
                "original_width": 640,
            },
            None,
            {"document_url": "https://a.test/p", "alt_text": ""},
            None,
        ]
    ),
    "general_metadata": json.dumps({"url": "https://a.test/p", "warc_filename": "x.warc.gz"}),
}
WANJUAN = {
    "id": "Bk1",
    "img_list": [
        {"url": "https://a.test/1.jpg", "sha256": "ab" * 32, "caption": "觉悟社", "width": "400"},
        {"url": "https://a.test/9.jpg", "caption": ""},
    ],
    "content": "# 标题\n![](https://a.test/1.jpg)\n第一段 ![旁注](https://a.test/2.jpg) 之后\n\n第二段",
}


def read(source: Documents) -> tuple[dict[str, list[dict[str, Any]]], Report]:
    report = Report()
    rows: dict[str, list[dict[str, Any]]] = {"images": [], "pairs": [], "fetches": [], "documents": []}
    for unit in source.units():
        for table, batch in source.read(unit, report):
            batch.validate(full=True)
            rows[table] += batch.to_pylist()
    return rows, report


def lines(path: Path, *records: Any) -> Path:
    data = "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()
    if path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as sink:
            sink.write(data)
    else:
        path.write_bytes({".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)(data))
    return path


def outline(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(node["kind"], node["text"] or node["image_ref"]) for node in document["nodes"]]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2"])
def test_mmc4(name: str, tmp_path: Path) -> None:
    lines(tmp_path / name, MMC4)
    rows, report = read(Documents([str(tmp_path)]))
    (document,) = rows["documents"]
    assert outline(document) == [
        ("image", "https://a.test/a.png"),
        ("text", "First sentence."),
        ("image", "https://a.test/b.png"),
        ("text", "Second sentence."),
        ("image", "https://a.test/c.png"),
    ]
    assert (document["url"], json.loads(document["given"])) == ("https://a.test/page", {"could_have_url_duplicate": 0})
    first, second = rows["pairs"]
    assert (first["image_ref"], first["position"], first["text"], first["text_position"]) == (
        "https://a.test/a.png", 0, "First sentence.", 1
    )  # fmt: skip
    assert json.loads(second["given"]) == {"image_name": "b.png", "matched_sim": 0.29}
    assert {row["text_source"] for row in rows["pairs"]} == {"given"}
    assert {row["document_id"] for row in rows["pairs"]} == {document["document_id"]}
    assert report.messages == ["1 images have no http(s) URL and were left out"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_obelics(form: str, tmp_path: Path) -> None:
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist([OBELICS]), tmp_path / "a.parquet")
    else:
        lines(tmp_path / "a.jsonl", OBELICS)
    rows, report = read(Documents([str(tmp_path)]))
    (document,) = rows["documents"]
    assert outline(document) == [
        ("image", "https://a.test/1.jpg"),
        ("text", "Between them."),
        ("image", "https://a.test/2.jpg"),
        ("text", "At the end."),
    ]
    assert (document["url"], document["given"]) == ("https://a.test/p", '{"warc_filename":"x.warc.gz"}')
    (pair,) = rows["pairs"]
    assert (pair["text"], pair["text_source"], pair["given"]) == ("one", "alt", '{"original_width":640}')
    assert report == Report(num_records=1)


def test_wanjuan(tmp_path: Path) -> None:
    rows, _ = read(Documents([str(lines(tmp_path / "a.jsonl", WANJUAN))]))
    (document,) = rows["documents"]
    assert outline(document) == [
        ("heading", "标题"),
        ("image", "https://a.test/1.jpg"),
        ("text", "第一段 "),
        ("image", "https://a.test/2.jpg"),
        ("text", " 之后"),
        ("text", "第二段"),
        ("image", "https://a.test/9.jpg"),
    ]
    assert document["nodes"][0]["level"] == 1
    found = [(row["text_source"], row["text"], row["expected_hash"]) for row in rows["pairs"]]
    assert found == [("caption", "觉悟社", None), ("alt", "旁注", None)]
    assert json.loads(rows["pairs"][0]["given"]) == {"sha256": "ab" * 32, "width": "400"}


def test_wanjuan_as_a_list_of_items(tmp_path: Path) -> None:
    items = [
        {"type": "text", "content": "一"},
        {"type": "image", "img_url": "https://a.test/1.jpg", "caption": "图"},
        {"type": "text", "content": "二"},
    ]
    record = {"id": 1, "title": "题", "url": "https://a.test/", "content_list": items}
    rows, _ = read(Documents([str(lines(tmp_path / "a.jsonl", record))]))
    assert outline(rows["documents"][0]) == [("text", "一"), ("image", "https://a.test/1.jpg"), ("text", "二")]
    assert (rows["documents"][0]["title"], rows["pairs"][0]["text"]) == ("题", "图")


def test_what_cannot_be_told_is_asked(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "x"})
    with pytest.raises(UsageError, match=r"no layout known here \(fields: text\); give `layout`: mmc4, obelics"):
        Documents([str(path)]).units()
    lines(path, MMC4 | OBELICS)
    with pytest.raises(UsageError, match="may be mmc4 or obelics"):
        Documents([str(path)]).units()
    rows, _ = read(Documents([str(path)], layout="mmc4"))
    assert len(rows["documents"]) == 1


def test_bad_lines_cost_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = [b"{", b"[1]", b"null", b'{"a":' * 10_000, b"\xff\xfe", b"{}", b'{"text_list": 5, "image_info": {"a": 1}}']
    good = json.dumps(MMC4).encode()
    path.write_bytes(b"\n".join([good, *bad, good.replace(b"First", b"Another"), b""]))
    rows, report = read(Documents([str(path)]))
    assert len(rows["documents"]) == 2
    assert report.num_bad_records == len(bad)


@pytest.mark.parametrize("piece", ["![](", "![", "![a](b ", "![](https://a.test/", "# ", "#", "![a](https://a.test/1)"])
def test_hostile_markdown_takes_no_time(piece: str) -> None:
    document = LAYOUTS["wanjuan"]({"content": piece * 300_000})
    assert 0 < len(document.nodes) <= MOST_NODES


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["https://a.test/x", "![a](b)"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)
FIELDS = [
    *("url", "text_list", "image_info", "texts", "images", "metadata", "general_metadata", "content", "content_list"),
    *("img_list", "title", "document_id", "image_urls", "kinds", "image_id", "image", "captured_at", "rights", "given"),
]
IMAGES = st.lists(
    st.dictionaries(st.sampled_from(["raw_url", "url", "img_url", "matched_text_index", "caption"]), JSON), max_size=3
)


@given(st.sampled_from([*LAYOUTS, "tuwen"]), st.dictionaries(st.sampled_from(FIELDS), JSON | IMAGES))
@settings(max_examples=300)
def test_any_record_is_survived(tmp_path_factory: pytest.TempPathFactory, layout: Any, record: dict[str, Any]) -> None:
    path = lines(tmp_path_factory.getbasetemp() / "any.jsonl", {"document_id": "0" * 32, **record})
    rows, report = read(Documents([str(path)], layout=layout))
    assert report.num_records == 1
    assert report.num_bad_records == 1 or len(rows["documents"]) == 1
    for pair in rows["pairs"]:
        assert rows["documents"][0]["nodes"][pair["position"]]["image_ref"] == pair["image_ref"]


def test_a_damaged_row_group_costs_itself(tmp_path: Path) -> None:
    texts = [[f"text {number} {'x' * 500}"] for number in range(30)]
    table = pa.table({"texts": texts, "images": [[None]] * 30})
    pq.write_table(table, path := tmp_path / "x.parquet", row_group_size=10, compression="none", use_dictionary=False)
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 100] = bytes(byte ^ 0x5A for byte in data[place : place + 100])
    path.write_bytes(data)
    rows, report = read(Documents([str(path)], "obelics"))
    assert len(rows["documents"]) == 20
    assert (report.num_bad_records, report.error) == (10, "damaged")
