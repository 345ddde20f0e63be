"""What DuckDB reads of a stored table: the columns that a query names, and every row that its filter keeps."""

from __future__ import annotations

from pathlib import Path

import duckdb
import lance
import pyarrow as pa
import pytest

from tuwen.corpus import scanning
from tuwen.corpus.scanning import Stored

ROWS = pa.table(
    {
        "id": [f"{number:04d}" for number in range(3_000)],
        "长度": pa.array([None if number % 7 == 0 else number % 50 for number in range(3_000)], pa.int32()),
        "sh'are": [float("nan") if number % 11 == 0 else number / 3_000 for number in range(3_000)],
        "text": [None if number % 13 == 0 else f"文 {number % 90}" for number in range(3_000)],
        "rights": pa.array(
            [[{"kind": "robots", "value": None}] * (number % 3) for number in range(3_000)],
            pa.list_(pa.struct([("kind", pa.string()), ("value", pa.string())])),
        ),
        "vector": pa.array([[number, 1] for number in range(3_000)], pa.list_(pa.float16(), 2)),
    }
)
QUERIES = [
    "count(*) FROM rows",
    "count(DISTINCT id) FROM rows",
    'sum("长度"), count(*) FROM rows WHERE "长度" BETWEEN 3 AND 20 AND id > \'0100\'',
    'count(*) FROM rows WHERE "长度" IS NULL OR "长度" IN (1, 2)',
    'count(*) FROM rows WHERE "sh\'are" > 0.5',
    'count(*) FROM rows WHERE "sh\'are" <= 0.5 AND text IS NOT NULL',
    "min(id) FROM rows WHERE text = '文 7'",
    "max(id) FROM rows WHERE text LIKE '文 1%' AND NOT \"长度\" = 3",
    "count(*) FROM rows WHERE rights[1].kind = 'robots'",
    'list(id ORDER BY id) FROM rows WHERE "长度" = 49',
    'count(*) FROM rows a JOIN rows b USING (id) WHERE a.text < b.text OR a."长度" > 40',
    "count(*) FROM rows WHERE vector[1] > 2990",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> lance.LanceDataset:
    return lance.write_dataset(ROWS, str(tmp_path_factory.mktemp("rows") / "rows.lance"), max_rows_per_file=700)


def answers(rows: object, query: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect()
    connection.register("rows", rows)
    return connection.execute(f"SELECT {query}").fetchall()


@pytest.mark.parametrize("query", QUERIES)
def test_filters_and_columns_change_no_answer(dataset: lance.LanceDataset, query: str) -> None:
    readable = ROWS.cast(ROWS.schema.set(5, pa.field("vector", pa.list_(pa.float32(), 2))))
    assert answers(Stored(dataset, ROWS.column_names), query) == answers(readable, query)


def test_a_query_reads_the_columns_that_it_names(dataset: lance.LanceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = scanning.scan_dataset

    def spy(source: lance.LanceDataset, columns: list[str]) -> pa.RecordBatchReader:
        read.extend(columns)
        return whole(source, columns)

    monkeypatch.setattr(scanning, "scan_dataset", spy)
    stored = Stored(dataset, ROWS.column_names)
    assert answers(stored, 'sum("长度") FROM rows') and read == ["长度"]
    read.clear()
    assert answers(stored, "min(id) FROM rows WHERE text = '文 7'") and sorted(read) == ["id", "text"]
    read.clear()
    assert answers(stored, "count(*) FROM rows") and len(read) <= 1


def test_only_what_was_named_is_there(dataset: lance.LanceDataset) -> None:
    with pytest.raises(duckdb.BinderException, match="text"):
        answers(Stored(dataset, ["id"]), "text FROM rows")


def test_rows_come_in_storage_order(dataset: lance.LanceDataset, tmp_path: Path) -> None:
    connection = duckdb.connect()
    connection.register("rows", Stored(dataset, ["id", "text"]))
    kept = [text is not None for text in ROWS["text"].to_pylist()]
    found = connection.sql("SELECT id FROM rows WHERE text IS NOT NULL").to_arrow_table()
    assert found["id"].to_pylist() == ROWS.filter(pa.array(kept))["id"].to_pylist()
