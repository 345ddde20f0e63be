"""URLs per image over a handful of fetches, counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from tuwen.stages.image.urls import Urls

FETCHES = [
    ("http://a.test/1.png", "gone"),
    ("https://a.test/1.png", "gone"),  # the same address
    ("http://a.test/1.png#top", "gone"),
    ("http://a.test/1.png?width=300", "gone"),
    ("http://A.test/2.png", "gone"),
    ("http://b.test:8080/2.png", "gone"),
    ("http://b.test/3.png", "figure"),
    ("http://b.test/3.png", "figure"),  # asked twice
    ("http://b.test/4.png", None),
]


class Fetches:
    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        urls, ids = zip(*FETCHES, strict=True)
        connection = duckdb.connect()
        connection.register("fetches", pa.table({"url": urls, "image_id": ids}).select(list(columns["fetches"])))
        return connection.sql(query).to_arrow_table().to_reader()


def test_counts() -> None:
    stage = Urls()
    state = stage.prepare(Fetches()).read_all()  # type: ignore[arg-type]
    batch = pa.record_batch({"image_id": pa.array(["figure", "gone", "embedded", None])})
    assert stage(batch, state=state).to_pylist() == [
        {"num_urls": 1, "num_url_hosts": 1},
        {"num_urls": 4, "num_url_hosts": 2},
        {"num_urls": 0, "num_url_hosts": 0},
        {"num_urls": 0, "num_url_hosts": 0},
    ]
