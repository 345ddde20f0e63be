"""Lists of URLs in every format, cut anywhere, and damaged in every way."""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib.util
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen import sources
from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.sources import Report
from tuwen.sources.datasets import layouts, rows
from tuwen.sources.url_list import UrlList

ROWS = [
    {"url": f"https://a.test/{n}.jpg", "text": text, "score": n / 4}
    for n, text in enumerate(["a fox", "图文，例", 'says "hi"', "comma, tab", "", "last"])
]
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


def table(delimiter: str, found: list[dict[str, Any]] = ROWS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue().encode()


def parquet(found: list[dict[str, Any]] = ROWS, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(found), buffer, **options)
    return buffer.getvalue()


def json_lines(found: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in found)


FORMATS = {
    ".csv": table(","),
    ".tsv": b"url\ttext\tscore\r\n" + b"".join(f"{r['url']}\t{r['text']}\t{r['score']}\r\n".encode() for r in ROWS),
    ".jsonl": json_lines(ROWS),
    ".json": json.dumps(ROWS, indent=1).encode(),
}


def read(source: UrlList) -> tuple[list[dict[str, Any]], list[Report]]:
    found, reports = [], []
    for unit in source.units():
        reports.append(report := Report())
        found += [row for _, batch in source.read(unit, report) for row in batch.to_pylist()]
    return found, reports


def read_bytes(path: Path, data: bytes, **options: Any) -> tuple[list[dict[str, Any]], Report]:
    path.write_bytes(data)
    found, reports = read(UrlList([str(path)], **options))
    assert len(reports) == 1
    return found, reports[0]


def brief(found: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(row["image_ref"], row["text"]) for row in found]


EXPECTED = [(row["url"], row["text"] or None) for row in ROWS]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_and_compressions(suffix: str, compression: str, tmp_path: Path) -> None:
    data = COMPRESSIONS[compression](FORMATS[suffix])
    found, report = read_bytes(tmp_path / f"list{suffix}{compression}", data)
    assert brief(found) == EXPECTED
    assert (report.num_records, report.num_bad_records, report.error) == (6, 0, None)
    assert float(json.loads(found[1]["given"])["score"]) == 0.25


def test_parquet_is_cut_at_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "_UNIT_ROWS", 4)
    (tmp_path / "x.parquet").write_bytes(parquet(row_group_size=2))
    found, reports = read(UrlList([str(tmp_path)]))
    assert [report.num_records for report in reports] == [4, 2]
    assert brief(found) == EXPECTED
    assert found[1]["given"] == '{"score":0.25}'


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
@pytest.mark.parametrize("size", range(1, 70, 7))
def test_text_is_cut_anywhere(suffix: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "_UNIT_BYTES", size)
    monkeypatch.setattr(rows, "_CHUNK_BYTES", 13)
    (tmp_path / f"x{suffix}").write_bytes(FORMATS[suffix])
    found, reports = read(UrlList([str(tmp_path)]))
    assert brief(found) == EXPECTED
    assert len(reports) > 3
    assert sum(report.num_records for report in reports) == 6


@given(st.lists(st.binary(max_size=6), max_size=8), st.integers(1, 9), st.integers(1, 9))
def test_every_line_is_in_one_range(parts: list[bytes], size: int, chunk: int) -> None:
    data = b"\n".join(parts)
    found: list[bytes] = []
    for start in range(0, len(data), size):
        begin = max(0, start - 1)
        pieces = [data[at : at + chunk] for at in range(begin, len(data), chunk)]
        for block in rows.lines(pieces, Report(), start=start, end=min(start + size, len(data))):
            found += block
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    assert found == (expected if expected[-1] or data.rpartition(b"\n")[2] else expected[:-1])


FIELDS = st.text(st.sampled_from('ab", \t\n图'), max_size=6)


@given(st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=6))
def test_quoted_fields_come_back(table: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    report = Report()
    blocks = [line.encode() for line in text.getvalue().split("\n")]
    assert [row for row, _ in rows.delimited([blocks], ",", True, 3, report)] == table
    assert report.num_bad_records == 0


@given(st.lists(st.dictionaries(FIELDS, FIELDS, max_size=3), max_size=5), st.integers(1, 20), st.booleans())
def test_json_is_read_piece_by_piece(objects: list[dict[str, str]], size: int, lines: bool) -> None:
    data = json_lines(objects) if lines else json.dumps(objects, ensure_ascii=False, indent=1).encode()
    report = Report()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [row for row, _ in rows.json_list(pieces, report)] == objects
    assert report == Report()


def test_a_list_without_header_or_text(tmp_path: Path) -> None:
    data = b"http://a.test/1\tone\nhttp://a.test/2\ttwo\n"
    found, _ = read_bytes(tmp_path / "x.tsv", data, header=False, columns={"url": 0, "text": 1})
    assert brief(found) == [("http://a.test/1", "one"), ("http://a.test/2", "two")]
    found, _ = read_bytes(tmp_path / "x.tsv", data, header=False, names=["url", "caption"], columns={"url": "url"})
    assert [(row["text"], row["given"]) for row in found] == [(None, '{"caption":"one"}'), (None, '{"caption":"two"}')]
    assert found[0]["document_id"] is found[0]["position"] is None


def test_rows_without_a_usable_url_are_bad(tmp_path: Path) -> None:
    urls = [
        "HTTP://A.test:80/b c.jpg#x",
        "ftp://a.test/",
        "",
        "no url",
        None,
        "http://a.test/\x00b",
        "http://" + "x" * 9999,
    ]
    found, report = read_bytes(tmp_path / "x.jsonl", json_lines([{"url": url, "text": "t"} for url in urls]))
    assert [row["image_ref"] for row in found] == ["http://a.test/b%20c.jpg", "http://a.test/%00b"]
    assert (report.num_records, report.num_bad_records, report.error) == (7, 5, None)
    assert report.messages == ["row 2: no usable URL: 'ftp://a.test/'"]


def test_repeated_rows_are_read_once(tmp_path: Path) -> None:
    found, _ = read_bytes(tmp_path / "x.jsonl", json_lines(ROWS * 3))
    assert brief(found) == EXPECTED


@pytest.mark.parametrize(
    ("suffix", "bad"),
    [
        (".jsonl", b'{"url": "http://a.test/'),
        (".jsonl", b"[1]"),
        (".jsonl", b"\xff\xfe"),
        (".jsonl", b'{"url": ' * 5000),
        (".jsonl", b"x" * 10_000_000),
        (".tsv", b"http://a.test/\tone field too few"),
        (".tsv", b"a\tb\tc\td"),
        (".tsv", b"http://a.test/\t\xff\t1"),
        (".csv", b'http://a.test/,"never closed,1'),
        (".csv", b'http://a.test/,"' + b"x" * 10_000_000),
    ],
    ids=lambda value: str(value[:12]),
)
def test_a_bad_line_costs_itself(suffix: str, bad: bytes, tmp_path: Path) -> None:
    lines = FORMATS[suffix].splitlines(keepends=True)
    found, report = read_bytes(tmp_path / f"x{suffix}", b"".join([*lines[:4], bad, b"\n", *lines[4:]]))
    assert brief(found) == EXPECTED
    assert (report.num_bad_records, report.error) == (1, "damaged")
    assert len("".join(report.messages)) < 1000


def test_a_bad_object_costs_itself(tmp_path: Path) -> None:
    data = json.dumps(ROWS).encode().replace(b'"score": 0.25', b'"score": NOTHING')
    found, report = read_bytes(tmp_path / "x.json", data)
    assert brief(found) == [EXPECTED[0], *EXPECTED[2:]]
    assert (report.num_bad_records, report.error) == (1, "damaged")


def test_stray_quotes(tmp_path: Path) -> None:
    data = b'url,text,n\nhttp://a.test/1,5" screen,1\nhttp://a.test/2,"two\nlines",2\nhttp://a.test/3,"x"y,3\n'
    found, report = read_bytes(tmp_path / "x.csv", data)
    assert brief(found) == [
        ("http://a.test/1", '5" screen'),
        ("http://a.test/2", "two\nlines"),
        ("http://a.test/3", "xy"),
    ]
    assert report.num_bad_records == 0


def test_messages_are_bounded(tmp_path: Path) -> None:
    _, report = read_bytes(tmp_path / "x.jsonl", json_lines(ROWS) + b"{broken\n" * 5000)
    assert report.num_bad_records == 5000
    assert len(report.messages) == rows.MOST_MESSAGES + 1


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".zst"])
def test_a_cut_file_is_read_up_to_the_cut(compression: str, tmp_path: Path) -> None:
    many = [{"url": f"http://a.test/{n * 7919 % 10007}/{n}", "text": f"{n * n}"} for n in range(60_000)]
    data = COMPRESSIONS[compression](json_lines(many))
    found, report = read_bytes(tmp_path / f"x.jsonl{compression}", data[: len(data) * 9 // 10])
    assert len(found) > 30_000
    assert brief(found) == [(row["url"], row["text"]) for row in many[: len(found)]]
    assert report.error == "truncated" and "runcated" in report.messages[0]


def test_a_list_that_is_not_closed(tmp_path: Path) -> None:
    found, report = read_bytes(tmp_path / "x.json", json.dumps(ROWS).encode()[:-1])
    assert brief(found) == EXPECTED
    assert report.error == "truncated"


def test_a_damaged_row_group_costs_itself(tmp_path: Path) -> None:
    data = bytearray(parquet(row_group_size=2, compression="zstd"))
    offset = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(1).column(0).data_page_offset
    data[offset : offset + 40] = b"\xff" * 40
    found, report = read_bytes(tmp_path / "x.parquet", bytes(data))
    assert brief(found) == [*EXPECTED[:2], *EXPECTED[4:]]
    assert report.error == "damaged" and report.messages[0].startswith("row group 1: ")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet" * 100])
def test_what_is_no_parquet(data: bytes, tmp_path: Path) -> None:
    found, report = read_bytes(tmp_path / "x.parquet", data)
    assert (found, report.error) == ([], "unreadable")
    assert report.messages


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.parquet", parquet()),
        ("x.csv", FORMATS[".csv"]),
        ("x.tsv.gz", gzip.compress(FORMATS[".tsv"])),
        ("x.jsonl", FORMATS[".jsonl"]),
        ("x.json", FORMATS[".json"]),
    ],
)
def test_wrong_columns_are_told_at_once(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=r"has no column 'URL'.*Columns there: url, text, score"):
        UrlList([str(tmp_path)], {"url": "URL"}).units()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": []}, "paths is empty"),
        ({"paths": ["nowhere.csv"]}, "does not exist; relative paths start at"),
        ({"paths": ["nowhere/*.csv"]}, "matches no file"),
        ({"paths": ["x"], "columns": {"text": "text"}}, "columns lacks url"),
        ({"paths": ["x"], "names": ["a"]}, "header: false"),
        ({"paths": ["x"], "format": "xml"}, "format"),
        ({"paths": ["nowhere://x/y.csv"]}, "nowhere"),
    ],
)
def test_configurations_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("tuwen.sources", "url_list", options).units()


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_package_is_named() -> None:
    with pytest.raises(UsageError, match="pip install s3fs"):
        UrlList(["s3://bucket/list.parquet"]).units()


def test_lists_elsewhere() -> None:
    memory = fsspec.filesystem("memory")
    for number, data in enumerate((FORMATS[".csv"], gzip.compress(FORMATS[".csv"]))):
        memory.pipe(f"/lists/{number}.csv{'.gz' * number}", data)
    memory.pipe("/lists/x.parquet", parquet())
    memory.pipe("/lists/notes.txt", b"no list")
    for paths in (["memory://lists"], ["memory://lists/*.csv*", "memory://lists/x.parquet"]):
        found, reports = read(UrlList(paths))
        assert brief(found) == EXPECTED * 3
        assert [report.error for report in reports] == [None] * 3
    with pytest.raises(UsageError, match="names no file"):
        UrlList(["memory://lists/none.csv"]).units()


def test_a_moved_file_is_the_same_unit_and_a_grown_one_another(tmp_path: Path) -> None:
    names = []
    for folder, data in (("a", FORMATS[".csv"]), ("b", FORMATS[".csv"]), ("c", FORMATS[".csv"] + b"x,y,z\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_bytes(data)
        names.append([unit.name for unit in UrlList([str(tmp_path / folder)]).units()])
    assert names[0] == names[1] != names[2]
    assert len(UrlList([str(tmp_path)]).units()) == 2


def test_damaged_lists_take_no_time(tmp_path: Path) -> None:
    data = b'[{"url":"https://a.test/1","text":x}' + b" " * 200_000 + b'x{"url":"https://a.test/2","text":"q"}]'
    started = time.process_time()
    _, report = read_bytes(tmp_path / "x.json", data)
    assert time.process_time() - started < 5
    assert report.num_bad_records > 0


def test_deep_values_that_json_cannot_write(tmp_path: Path) -> None:
    deep = b'{"a":' * 600 + b"NaN" + b"}" * 600
    found, _ = read_bytes(tmp_path / "x.jsonl", b'{"url":"https://a.test/1","text":"t","x":' + deep + b"}\n")
    assert [(row["text"], row["given"]) for row in found] == [("t", None)]


def test_repeated_pairs_are_counted(tmp_path: Path) -> None:
    found, report = read_bytes(tmp_path / "x.csv", b"url,text,s\nhttp://a.test/1,t,1\nhttp://a.test/1,t,2\n")
    assert [row["given"] for row in found] == ['{"s":"1"}']
    assert (report.num_records, report.num_bad_records, report.error) == (2, 0, None)
    assert report.messages[0].startswith("1 pairs repeat")


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("链接,url,text\n".encode("gbk"), None),
        (b'a,url,"te\nxt"\n', {"url": "url", "text": "te\nxt"}),
        (b'\n\na,url,"text"\r\n', None),
        (b'a"b,url,text\n', None),
    ],
)
def test_a_header_takes_no_row_with_it(header: bytes, names: Any, tmp_path: Path) -> None:
    data = header + b"x,https://a.test/1,one\ny,https://a.test/2,two\n"
    found, report = read_bytes(tmp_path / "x.csv", data, columns=names or {"url": "url", "text": "text"})
    assert brief(found) == [("https://a.test/1", "one"), ("https://a.test/2", "two")]
    assert report == rows.Report(num_records=2)


@pytest.mark.parametrize("options", [{}, {"header": False, "columns": {"url": 0}}])
def test_lines_that_end_in_cr_alone_are_told(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"url,text\rhttps://a.test/1,a\r")
    with pytest.raises(UsageError, match="convert them to LF"):
        UrlList([str(tmp_path)], **options).units()


@pytest.mark.parametrize(
    "lines",
    [
        ['https://a.test/1,"open,1', "https://a.test/2,b,2", 'https://a.test/3,12",3'],
        ['https://a.test/1,"open,1', 'https://a.test/2,"quoted, ok",2', 'https://a.test/3,"x,3'],
        ['"open,https://a.test/1,1', "b,https://a.test/2,2", 'c",https://a.test/3,3'],
        ['https://a.test/1,"open,1', 'https://a.test/2,say "hi,2'],
    ],
)
def test_a_quote_left_open_makes_no_pair_of_other_rows(lines: list[str], tmp_path: Path) -> None:
    names = "text,url,n" if lines[0].startswith('"') else "url,text,n"
    found, report = read_bytes(tmp_path / "x.csv", "\n".join([names, *lines]).encode())
    assert not any("https://" in (row["text"] or "") for row in found)
    assert report.num_bad_records + len(found) == len(lines)
    assert "a quote that is not closed" in report.messages[0]


def test_changes_anywhere_make_another_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(data: bytes) -> str:
        (tmp_path / "x.csv").write_bytes(data)
        return UrlList([str(tmp_path)]).units()[0].name

    data = b"url,text\n" + b"http://a.test/1,abc\n" * 50_000
    changed = data[:500_000] + b"!" + data[500_001:]
    assert name(data) == name(data) != name(changed)
    monkeypatch.setattr(sources, "_MOST_HASHED_BYTES", 1_000)
    monkeypatch.setattr(sources, "_BLOCK_BYTES", 1_000)
    inner = (len(data) - 1_000) * 20 // 65 + 500  # within one of the blocks
    assert name(data) != name(data[:inner] + b"!" + data[inner + 1 :])
    assert name(data) != name(data[:-1] + b"!")
    assert name(data) != name(data + b"!")
    assert name(data) == name(data[:25_000] + b"!" + data[25_001:]), "between blocks: not seen, as documented"


def test_files_of_one_name_and_content_are_one_unit(tmp_path: Path) -> None:
    for folder, name in (("a", "x.csv"), ("b", "x.csv"), ("b", "y.csv")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(FORMATS[".csv"])
    assert [unit.name.partition(":")[0] for unit in UrlList([str(tmp_path)]).units()] == ["x.csv", "y.csv"]
