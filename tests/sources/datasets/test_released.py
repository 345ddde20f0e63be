"""Rows of releases that a read-back of the demo does not hold: embedded images, several captures, false claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hostile_images
import pyarrow as pa
import pyarrow.parquet as pq

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import digest
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe
from tuwen.sources import Report
from tuwen.sources.parquet import Parquet

URL = "https://a.test/logo.png"
MORNING = datetime(2026, 1, 1, 6, tzinfo=UTC)


def released(seed: int, url: str | None, captured_at: datetime, **more: Any) -> dict[str, Any]:
    """As the format `parquet` writes a pair."""
    data = hostile_images.jpeg(seed)
    document_id = digest("https://a.test/", captured_at.isoformat())
    reference = url or f"data:sha256,{digest(data)}"
    return {
        "image": {"bytes": data, "path": "x.jpg"},
        "image_id": digest(data),
        "image_url": url,
        "pair_id": digest(document_id, 3, "alt", reference, "a logo"),
        "document_id": document_id,
        "position": 3,
        "text": "a logo",
        "text_source": "alt",
        "given": '{"similarity":0.3,"language":"old"}',
        "expected_hash": None,
        "language": "en",
        "image_rights": [{"kind": "x_robots_tag", "value": "noai"}],
        "document_url": "https://a.test/",
        "document_captured_at": captured_at,
        "document_rights": [],
        **more,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def test_each_capture_finds_the_image_that_it_had(tmp_path: Path) -> None:
    """The address stood for another image every few hours, once for one that was embedded."""
    rows = [released(seed, URL, MORNING + timedelta(hours=5 * seed)) for seed in range(5)]
    rows.append(released(7, None, MORNING))
    mapping = {"sources": [{"parquet": {"paths": [write(tmp_path / "x.parquet", rows)]}}], "stages": ["pair.resolve"]}
    build(Recipe.from_mapping(mapping), tmp_path / "corpus", workers=1)
    pairs = Corpus.open(tmp_path / "corpus").table(
        "pairs", ["pair_id", "image_id", "image_ref", "image_rights", "given"]
    )
    found = {row["pair_id"]: row for row in pairs.to_pylist()}
    assert found.keys() == {row["pair_id"] for row in rows}
    for row in rows:
        pair = found[row["pair_id"]]
        assert pair["image_id"] == row["image_id"]
        assert pair["image_ref"] == (row["image_url"] or f"data:sha256,{row['image_id']}")
        assert pair["image_rights"] == (row["image_rights"] if row["image_url"] else None)
        assert pair["given"] == '{"language":"en","similarity":0.3}'


def test_an_index_says_what_nobody_can_fetch_again(tmp_path: Path) -> None:
    rows = [
        released(1, URL, MORNING),
        released(2, None, MORNING),
        released(3, URL + "2", MORNING, expected_hash="md5:" + "0" * 32),
    ]
    for row in rows:
        del row["image"]
    source = Parquet([write(tmp_path / "x.parquet", rows)])
    (unit,) = source.units()
    report = Report()
    tables = dict(source.read(unit, report))
    assert tables.keys() == {"pairs", "documents"}
    assert tables["pairs"]["expected_hash"].to_pylist() == [f"sha256:{rows[0]['image_id']}", "md5:" + "0" * 32]
    assert report.messages == [
        "1 rows of an index have no image_url: their images were embedded in pages and cannot be fetched again"
    ]


def test_false_claims_are_refused(tmp_path: Path) -> None:
    rows = [
        released(1, URL, MORNING, image_id="0" * 32),
        released(2, URL, MORNING, pair_id="../../etc"),
        released(3, URL, MORNING, document_id="x"),
    ]
    source = Parquet([write(tmp_path / "x.parquet", rows)])
    (unit,) = source.units()
    report = Report()
    tables = dict(source.read(unit, report))
    assert tables["pairs"]["document_id"].to_pylist() == [None]
    assert tables["images"].num_rows == 1
    assert report.num_bad_records == 2 and len(report.messages) == 2
