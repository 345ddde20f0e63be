"""Recurrence over a handful of pages, counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from tuwen.stages.image.recurrence import Recurrence

PAGES = [
    ("http://a.test/1", ["logo", "figure", None, "logo"]),
    ("http://a.test/2", ["logo"]),
    ("http://a.test/2#part", ["logo"]),  # the same page, captured twice
    ("http://user@A.test:8080/3?x=http://b.test/", ["logo", None]),
    ("http://a.test/4", None),
    ("https://b.test", ["figure"]),
]


class Documents:
    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        urls, ids = zip(*PAGES, strict=True)
        table = pa.table({"url": urls, "image_ids": pa.array(ids, pa.list_(pa.string()))})
        connection = duckdb.connect()
        connection.register("documents", table.select(list(columns["documents"])))
        return connection.sql(query).to_arrow_table().to_reader()


def test_counts() -> None:
    stage = Recurrence()
    state = stage.prepare(Documents()).read_all()  # type: ignore[arg-type]
    batch = pa.record_batch({"image_id": pa.array(["figure", "logo", "never shown"])})
    assert stage(batch, state=state).to_pylist() == [
        {"num_pages": 2, "num_hosts": 2, "host_pages": 1, "host_share": 1.0},
        {"num_pages": 3, "num_hosts": 1, "host_pages": 3, "host_share": 0.75},
        {"num_pages": 0, "num_hosts": 0, "host_pages": 0, "host_share": 0.0},
    ]
