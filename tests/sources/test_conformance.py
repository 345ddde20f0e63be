"""What every source promises. A new source adds one line to `sources`."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tuwen.corpus.tables import TABLES, digest
from tuwen.parts import load, name_of, names_in, parameters_of
from tuwen.sources import Report, Source, Unit
from tuwen.sources.html import Html
from tuwen.sources.warc import Warc

MAX_BATCH_BYTES = (32 + 64) << 20  # what is collected before a flush, and one image of the largest size
NAMES = ["html", "warc"]


@pytest.fixture(params=NAMES)
def source(request: pytest.FixtureRequest, hostile_warc: Any, hostile_folder: Path) -> Source:
    """Every source, on hostile input."""
    sources: dict[str, Source] = {
        "warc": Warc([str(hostile_warc.folder)]),
        "html": Html(str(hostile_folder), base_url="https://example.org/"),
    }
    return sources[request.param]


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
    assert tables == {"documents", "fetches", "images", "pairs"}


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
        documents = {row["document_id"]: row for row in rows["documents"]}
        images = {row["image_id"] for row in rows["images"]}
        assert {row["document_id"] for row in rows.get("pairs", [])} <= documents.keys()
        assert {row["image_id"] for row in rows["fetches"]} - {None} <= images
        assert all(row["error"] is None or row["image_id"] is None for row in rows["fetches"])
        for pair in rows.get("pairs", []):
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
    if name == "warc":
        (path := tmp_path / "x.warc.gz").write_bytes(demo_crawl.read_bytes()[:200_000])
        source = Warc([str(path)])
    else:
        (path := tmp_path / "x.html").write_bytes(b"<p>text" * 100)
        source = Html(str(tmp_path))
    (unit,) = source.units()
    spoil(path)
    report = Report()
    rows = [(table, row) for table, batch in source.read(unit, report) for row in batch.to_pylist()]
    errors = [row["error"] for table, row in rows if table == "fetches" and row["error"]]
    # Half a page is a page; all else is told, by the report or by a fetch.
    assert report.error or errors or (name == "html" and spoil in (cut, ruin))
    assert bool(report.error) == bool(report.messages)
