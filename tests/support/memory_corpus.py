"""What `prepare` of a stage sees of a corpus, from tables in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa


class MemoryCorpus:
    """`MemoryCorpus(pairs={"text": [...]})`; columns that a stage asks for and that are not given are all null."""

    def __init__(self, **tables: Any) -> None:
        self.tables = {
            name: table if isinstance(table, pa.Table) else pa.table(table) for name, table in tables.items()
        }

    def _chosen(self, table: str, names: Sequence[str]) -> pa.Table:
        found = self.tables[table]
        return pa.table(
            {
                name: found[name] if name in found.schema.names else pa.nulls(found.num_rows, pa.string())
                for name in names
            }
        )

    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        connection = duckdb.connect()
        for table, names in columns.items():
            connection.register(table, self._chosen(table, names))
        return connection.sql(query).to_arrow_table().to_reader()

    def scan(self, table: str, columns: Sequence[str]) -> pa.RecordBatchReader:
        chosen = self._chosen(table, columns)
        return pa.RecordBatchReader.from_batches(chosen.schema, chosen.to_batches(max_chunksize=7))
