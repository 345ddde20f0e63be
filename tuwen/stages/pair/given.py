"""What a list or data set said about a row, as columns with types."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.tables import RESERVED, TABLES

_WHOLE, _NUMBER = r"[+-]?\d+(\.0*)?", r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_TYPES = {  # as recipes name them: DuckDB's name, and what a text has to look like
    "string": (pa.string(), "VARCHAR", ""),
    "bool": (pa.bool_(), "BOOLEAN", "true|false|True|False|TRUE|FALSE"),
    "int8": (pa.int8(), "TINYINT", _WHOLE),
    "int16": (pa.int16(), "SMALLINT", _WHOLE),
    "int32": (pa.int32(), "INTEGER", _WHOLE),
    "int64": (pa.int64(), "BIGINT", _WHOLE),
    "float32": (pa.float32(), "FLOAT", _NUMBER),
    "float64": (pa.float64(), "DOUBLE", _NUMBER),
}


@dataclass(frozen=True)
class Given:
    """Fields of `given` (JSON: what a list said besides URL and text) as columns of the types asked for.

    `similarity`  unless `columns` names others: cosine of image and text embedding, as LAION's lists give it

    `columns` maps each field to string, bool, int8 to int64, float32 or float64. Texts that spell a number become
    one, for lists such as CSV know nothing else; numbers that do not fit, lists and objects in a number's place become
    null, in a text's place they stay JSON. Lists with scores: Schuhmann et al., "LAION-5B: An open large-scale dataset
    for training next generation image-text models", 2022. https://arxiv.org/abs/2210.08402
    """

    columns: dict[str, str] = field(default_factory=lambda: {"similarity": "float32"})

    table = "pairs"
    reads = ("given",)
    writes: ClassVar[pa.Schema] = pa.schema([("similarity", pa.float32())])  # of the default

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("columns is empty; name at least one field, as in {similarity: float32}")
        names = [name.lower() for name in self.columns]  # rules do not tell upper case from lower
        for name, kind in self.columns.items():
            if kind not in _TYPES:
                raise ValueError(f"columns.{name} = {kind!r} is no type; known: {', '.join(_TYPES)}")
            if not name.isidentifier() or names.count(name.lower()) > 1:
                raise ValueError(f"columns.{name}: a column needs a name that rules can use; rename it in the source")
            if name.lower() in RESERVED:
                raise ValueError(f"columns.{name}: Lance has a column of that name; rename it in the source")
            if name.lower() in TABLES["pairs"].schema.names:
                raise ValueError(f"columns.{name}: every pair has a column of that name; rename it in the source")
        schema = pa.schema([(name, _TYPES[kind][0]) for name, kind in self.columns.items()])
        object.__setattr__(self, "writes", schema)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        paths = ", ".join(f"'$.\"{name}\"'" for name in self.columns)
        items = ", ".join(_cast(f"v[{place}]", kind) for place, kind in enumerate(self.columns.values(), 1))
        values = f"json_extract_string(CASE WHEN json_valid(given) THEN given END, [{paths}])"
        rows = _duckdb().cursor().register("rows", pa.table({"given": batch["given"]}))
        table = rows.sql(f"SELECT {items} FROM (SELECT {values} AS v FROM rows)").to_arrow_table()
        columns = [_one(column, part.type) for column, part in zip(table.columns, self.writes, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.writes)


def _cast(text: str, kind: str) -> str:
    _, name, pattern = _TYPES[kind]
    if not pattern:
        return text
    return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN TRY_CAST({text} AS {name}) END"


def _one(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """One array; numbers too large for a float are null."""
    values = pa.concat_arrays([pa.array([], kind), *(chunk.cast(kind) for chunk in column.chunks)])
    return pc.if_else(pc.is_finite(values), values, None) if pa.types.is_floating(kind) else values


@functools.lru_cache(maxsize=1)
def _duckdb() -> Any:
    import duckdb

    return duckdb.connect(config={"threads": 1})
