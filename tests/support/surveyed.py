"""What `prepare` sees of a corpus, over Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from tuwen.corpus.readable import readable_schema


@dataclass
class Surveyed:
    """SQL over the named columns of the tables, and scans of them in small batches."""

    tables: Mapping[str, pa.Table]

    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        connection = duckdb.connect()
        for table, names in columns.items():
            chosen = self.tables[table].select(list(names))
            connection.register(table, chosen.cast(readable_schema(chosen.schema)))
        return connection.sql(query).to_arrow_table().to_reader()

    def scan(self, table: str, columns: Sequence[str]) -> pa.RecordBatchReader:
        chosen = self.tables[table].select(list(columns))
        return pa.RecordBatchReader.from_batches(chosen.schema, chosen.to_batches(max_chunksize=2))


def computed(stage: Any, tables: Mapping[str, pa.Table], batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The stage's columns for a batch, its state prepared from the tables."""
    state = stage.prepare(Surveyed(tables))
    state = state if isinstance(state, pa.Table) else state.read_all()
    rows: list[dict[str, Any]] = stage(batch, state=state).to_pylist()
    return rows
