"""What DuckDB can read of what a corpus stores."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa


def readable_schema(schema: pa.Schema) -> pa.Schema:
    """The schema as DuckDB can read it: it knows no 16-bit floats, of which vectors are made."""
    return pa.schema([pa.field(field.name, _without_halves(field.type)) for field in schema])


def _without_halves(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_fixed_size_list(kind) and pa.types.is_float16(kind.value_type):
        return pa.list_(pa.float32(), kind.list_size)
    return kind


def spill_folder(path: Path) -> Path:
    """Where a query over the corpus at `path` spills; elsewhere for one that cannot be written. DuckDB makes it."""
    folder = path / "tmp"
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir())
    folder = folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
    return folder / f"duckdb-{os.getpid()}-{os.urandom(4).hex()}"
