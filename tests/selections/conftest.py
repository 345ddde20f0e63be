"""Corpora made of a few rows written by hand; columns beside the base columns are committed as a stage's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tuwen.corpus.columns import ColumnFile, ColumnWriter, TableState, commit_columns, declare_columns
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows

# Fixed ids that read well: image("a") is "a000…", and so on.
TYPES = {
    "image_id": pa.string(),
    "image_ids": pa.list_(pa.string()),
    "width": pa.int32(),
    "height": pa.int32(),
    "score": pa.float32(),
    "language": pa.string(),
    "concepts": pa.list_(pa.string()),
    "cluster": pa.int64(),
    "phash": pa.uint64(),
    "decode_error": pa.string(),
    "noai": pa.bool_(),
}


def add_rows(corpus: Corpus, table: str, rows: Sequence[Mapping[str, Any]], stage: str | None = None) -> None:
    """Append rows and commit their further columns as those of `stage`."""
    base = TABLES[table].schema
    extra = pa.schema(
        [(name, TYPES[name]) for name in TYPES if any(name in row and name not in base.names for row in rows)]
    )
    append_rows(corpus, table, [pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=base)])
    if not extra.names:
        return
    stage = stage or {"pairs": "pair.resolve", "documents": "document.resolve"}.get(table, "image.properties")
    declare_columns(corpus, table, stage, extra)
    files = []
    for fragment in TableState.read(corpus, table).fragments:
        if fragment.columns:
            continue
        keys = corpus.dataset(table).get_fragment(fragment.id).to_table(columns=[TABLES[table].key])[0].to_pylist()
        by_key = {row[TABLES[table].key]: row for row in rows}
        writer = ColumnWriter(corpus.path, table, stage, extra)
        values = [{name: by_key[key].get(name) for name in extra.names} for key in keys]
        writer.write(pa.RecordBatch.from_pylist(values, schema=extra))
        name = writer.close({"stage": stage})
        files.append(ColumnFile(fragment.id, stage, name, len(keys), fragment.base))
    commit_columns(corpus, table, files)


def hex_id(name: object) -> str:
    """An id that reads well: its name as text, then zeros."""
    return str(name).encode().hex().ljust(32, "0")


@pytest.fixture
def key() -> Callable[[object], str]:
    return hex_id


@pytest.fixture
def add() -> Callable[..., None]:
    return add_rows


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Corpus]:
    """`make_corpus(pairs=[{…}], images=[…], …)`: a new corpus with these rows."""
    made = []

    def make(**tables: Sequence[Mapping[str, Any]]) -> Corpus:
        corpus = Corpus.create(tmp_path / f"corpus{len(made)}")
        made.append(corpus)
        for table, rows in tables.items():
            add_rows(corpus, table, rows)
        return corpus

    return make
