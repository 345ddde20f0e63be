"""What every source promises. A new source adds one line to `sources`."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data_sets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warc_records

from tuwen.corpus.tables import TABLES, digest
from tuwen.parts import load, name_of, names_in, parameters_of
from tuwen.sources import Report, Source, Unit
from tuwen.sources.documents import Documents
from tuwen.sources.html import Html
from tuwen.sources.huggingface import Huggingface
from tuwen.sources.parquet import Parquet
from tuwen.sources.url_list import UrlList
from tuwen.sources.warc import Warc
from tuwen.sources.wat import Wat
from tuwen.sources.webdataset import Webdataset

MAX_BATCH_BYTES = (32 + 64) << 20  # what is collected before a flush, and one image of the largest size
WRITES = {  # the tables that each source fills
    "documents": {"documents", "pairs"},
    "html": {"documents", "fetches", "images", "pairs"},
    "huggingface": {"images", "pairs"},
    "parquet": {"images", "pairs"},
    "url_list": {"pairs"},
    "warc": {"documents", "fetches", "images", "pairs"},
    "wat": {"documents", "pairs"},
    "webdataset": {"images", "pairs"},
}
NAMES = sorted(WRITES)


@pytest.fixture(params=NAMES)
def source(request: pytest.FixtureRequest, hostile_warc: Any, hostile_folder: Path, tmp_path: Path) -> Source:
    """Every source, on hostile input."""
    sources: dict[str, Callable[[], Source]] = {
        "documents": lambda: Documents([written("documents", tmp_path)]),
        "html": lambda: Html(str(hostile_folder), base_url="https://example.org/"),
        "huggingface": lambda: Huggingface(written("huggingface", tmp_path)),
        "parquet": lambda: Parquet([written("parquet", tmp_path)]),
        "url_list": lambda: UrlList([write_lists(tmp_path)], {"url": "url", "text": {"alt": "text"}, "sha256": "hash"}),
        "warc": lambda: Warc([str(hostile_warc.folder)]),
        "wat": lambda: Wat([write_wat(tmp_path / "x.wat.gz")]),
        "webdataset": lambda: Webdataset([written("webdataset", tmp_path)]),
    }
    return sources[request.param]()


def written(name: str, folder: Path) -> str:
    data_sets.WRITERS[name](folder)
    return str(folder)


def write_lists(folder: Path) -> str:
    """Lists with rows that are wrong, twice there, or have no text."""
    urls = [
        "https://a.test/1.jpg",
        "HTTP://A.test/ü",
        "ftp://a.test/",
        None,
        "https://a.test/1.jpg",
        "https://a.test/2",
    ]
    texts = ["a fox", "\x00图文", "x", "y", "a fox", None]
    rows = [{"url": u, "text": t, "hash": "ab" * 32, "n": n} for n, (u, t) in enumerate(zip(urls, texts, strict=True))]
    pq.write_table(pa.Table.from_pylist(rows), folder / "x.parquet", row_group_size=2)
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n[]\n")
    (folder / "x.csv").write_bytes(
        b'url,text,hash\nhttps://a.test/3,"open,\nhttps://a.test/4,\xff,\nhttps://a.test/5,,\n'
    )
    return str(folder)


def write_wat(path: Path) -> str:
    """Pages with images, one of them twice, and records that are wrong."""
    blocks = [b"{broken IMG@/src", b'{"IMG@/src"}', b"{}"]
    for number in (1, 2, 2, 3):
        links = [{"path": "IMG@/src", "url": f"/{image}.png", "alt": f"图 {image}"} for image in range(number)]
        response = {"HTML-Metadata": {"Head": {"Title": "T"}, "Links": links}}
        block = {"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": response}}}
        blocks.append(json.dumps(block).encode())
    more = ["Content-Type: application/json"]
    records = [warc_records.record("metadata", "https://a.test/", block, more=more) for block in blocks]
    path.write_bytes(b"".join(map(warc_records.member, records)))
    return str(path)


def batches(source: Source, unit: Unit) -> list[tuple[str, pa.RecordBatch]]:
    return list(source.read(unit, Report()))


def test_every_source_is_tested_here() -> None:
    names = [name for name in names_in("tuwen.sources") if "." not in name]
    assert names == NAMES


def test_a_recipe_can_name_it(source: Source) -> None:
    assert isinstance(source, Source)
    assert load("tuwen.sources", name_of(source), parameters_of(source)) == source
    assert isinstance(source.version, int)


def test_units_are_stable_and_distinct(source: Source) -> None:
    units = source.units()
    assert units == source.units()
    assert units
    assert len({unit.name for unit in units}) == len(units)
    assert all(unit.num_bytes > 0 and unit.location for unit in units)


def test_batches_have_the_base_columns(source: Source) -> None:
    tables = set()
    for unit in source.units():
        for table, batch in batches(source, unit):
            tables.add(table)
            base = [field for field in TABLES[table].schema if field.name not in ("source", "source_unit")]
            assert batch.schema.equals(pa.schema(base))
            batch.validate(full=True)
            assert batch.num_rows > 0
            assert batch.nbytes <= MAX_BATCH_BYTES
    assert tables == WRITES[name_of(source)]


def test_ids_are_unique_and_made_of_content(source: Source) -> None:
    for unit in source.units():
        ids: dict[str, list[str]] = {}
        for table, batch in batches(source, unit):
            ids.setdefault(table, []).extend(batch[TABLES[table].key].to_pylist())
            if table == "images":
                assert batch["image_id"].to_pylist() == [digest(data) for data in batch["bytes"].to_pylist()]
        assert all(len(found) == len(set(found)) for found in ids.values())


def test_references_between_tables_hold(source: Source) -> None:
    for unit in source.units():
        rows: dict[str, list[dict[str, Any]]] = {}
        for table, batch in batches(source, unit):
            rows.setdefault(table, []).extend(batch.to_pylist())
        documents = {row["document_id"]: row for row in rows.get("documents", [])}
        images = {row["image_id"] for row in rows.get("images", [])}
        assert {row["document_id"] for row in rows.get("pairs", [])} - {None} <= documents.keys()
        assert {row["image_id"] for row in rows.get("fetches", [])} - {None} <= images
        assert all(row["error"] is None or row["image_id"] is None for row in rows.get("fetches", []))
        for pair in rows.get("pairs", []):
            if pair["document_id"] is None:
                key = (None, None, pair["text_source"], pair["image_ref"], pair["text"])
                assert (pair["pair_id"], pair["position"]) == (digest(*key), None)
            else:
                assert documents[pair["document_id"]]["nodes"][pair["position"]]["image_ref"] == pair["image_ref"]
            if pair["image_ref"].startswith("data:sha256,"):
                assert pair["image_ref"].removeprefix("data:sha256,") in images


def test_reading_again_gives_the_same(source: Source) -> None:
    for unit in source.units():
        for (table, batch), (table_again, again) in zip(batches(source, unit), batches(source, unit), strict=True):
            assert (table, batch) == (table_again, again)


def test_source_and_units_travel_to_other_processes(source: Source) -> None:
    """Pickled, and read there with another hash seed and time zone."""
    script = (
        "import pickle, sys\n"
        "from tuwen.corpus.content import ContentDigest\n"
        "from tuwen.sources import Report\n"
        "source, units = pickle.load(sys.stdin.buffer)\n"
        "for unit in units:\n"
        "    for table, batch in source.read(unit, Report()):\n"
        "        digest = ContentDigest()\n"
        "        digest.update(batch)\n"
        "        print(table, digest.hexdigest())\n"
    )
    data = pickle.dumps((source, source.units()))
    assert pickle.loads(data) == (source, source.units())
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script], input=data, env={**os.environ, **more}, capture_output=True, check=True
        ).stdout
        for more in ({"PYTHONHASHSEED": "1", "TZ": "UTC"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Shanghai"})
    ]
    assert outputs[0] == outputs[1] != b""


def ruin(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b\x08" + bytes(range(256)) * 20)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [Path.unlink, ruin, empty, cut])
@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_reported_and_never_raised(
    name: str, spoil: Callable[[Path], None], tmp_path: Path, demo_crawl: Path
) -> None:
    source: Source
    match name:
        case "warc":
            (path := tmp_path / "x.warc.gz").write_bytes(demo_crawl.read_bytes()[:200_000])
            source = Warc([str(path)])
        case "html":
            (path := tmp_path / "x.html").write_bytes(b"<p>text" * 100)
            source = Html(str(tmp_path))
        case "url_list":
            pq.write_table(pa.table({"url": ["https://a.test/"], "text": ["x"]}), path := tmp_path / "x.parquet")
            source = UrlList([str(path)])
        case "wat":
            source = Wat([write_wat(path := tmp_path / "x.wat.gz")])
        case "huggingface":
            path = data_sets.write_huggingface(tmp_path)
            source = Huggingface(str(tmp_path))
        case "documents" | "parquet" | "webdataset":
            path = data_sets.WRITERS[name](tmp_path)
            source = {"documents": Documents, "parquet": Parquet, "webdataset": Webdataset}[name]([str(path)])
    (unit,) = source.units()
    spoil(path)
    report = Report()
    rows = [(table, row) for table, batch in source.read(unit, report) for row in batch.to_pylist()]
    errors = [row["error"] for table, row in rows if table == "fetches" and row["error"]]
    # Half a page is a page; all else is told, by the report or by a fetch.
    assert report.error or errors or (name == "html" and spoil in (cut, ruin))
    assert bool(report.error) == bool(report.messages)
