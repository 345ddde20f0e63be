"""The way out and back: every table, column and ledger as plain Parquet, and an equal corpus made from it.

    OUT/corpus.json              format, and per table and fragment: file, rows, and the freshness record of each stage
    OUT/<table>/00000.parquet    one file per fragment, every column of the table (null where not computed)
    OUT/ledgers/ OUT/states/ OUT/joins/ OUT/recipe.json    as they are in the corpus

Two corpora are equal when every column of every table has the same content digest in fragments of the same rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tuwen.corpus.columns import (
    ColumnFile,
    ColumnWriter,
    FragmentState,
    TableState,
    commit_columns,
    declare_columns,
    read_record,
)
from tuwen.corpus.corpus import FORMAT, STAGE_KEY, Corpus, check_format, read_json, write_json
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.corpus.versions import tag_version
from tuwen.errors import TuwenError, UsageError

FOLDERS = ("ledgers", "states", "joins")


def export_corpus(corpus: Corpus, to: str | Path) -> dict[str, int]:
    """Write the corpus to the new folder `to`; returns rows per table. Memory: one batch."""
    target = Path(to)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is not an empty folder; name a new one")
    to = target.with_name(f".{target.name}.partial")
    shutil.rmtree(to, ignore_errors=True)  # what a killed export left
    described: dict[str, Any] = {}
    for table in TABLES:
        (to / table).mkdir(parents=True)
        state = TableState.read(corpus, table)
        described[table] = [
            _export_fragment(corpus, table, fragment, to / table / f"{number:05d}.parquet")
            for number, fragment in enumerate(state.fragments)
        ]
    for name in FOLDERS:
        shutil.copytree(corpus.folder(name), to / name)
    write_json(to / "recipe.json", corpus.recipe(), sort_keys=False)
    write_json(to / "corpus.json", {"format": FORMAT, "tables": described})
    if target.exists():
        target.rmdir()
    to.rename(target)  # an export appears whole or not at all
    return {table: sum(fragment["num_rows"] for fragment in fragments) for table, fragments in described.items()}


def import_corpus(folder: str | Path, path: str | Path) -> Corpus:
    """Make a corpus at the new folder `path` from an export; equal to the one exported, and as up to date."""
    folder, path = Path(folder), Path(path)
    if not (folder / "corpus.json").is_file():
        raise UsageError(f"{folder} holds no complete export: it has no corpus.json")
    described = read_json(folder / "corpus.json")
    check_format(folder, described.get("format"))
    if set(described.get("tables") or ()) != set(TABLES):
        raise UsageError(f"{folder} holds no complete export: corpus.json does not list the tables {', '.join(TABLES)}")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"{path} is not empty; name a new folder")
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed import left
    try:
        _import(described["tables"], folder, Corpus.create(partial))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if path.exists():
        path.rmdir()
    partial.rename(path)  # a corpus appears whole or not at all
    return Corpus.open(path)


def _import(tables: dict[str, Any], folder: Path, corpus: Corpus) -> None:
    with corpus.writing():
        for table, fragments in tables.items():
            try:
                _import_table(corpus, table, fragments, folder / table)
            except (OSError, KeyError, pa.ArrowException) as error:
                raise TuwenError(f"{folder / table} is damaged: {error}") from error
        for name in FOLDERS:
            if (folder / name).is_dir():  # exports of older versions have fewer
                shutil.copytree(folder / name, corpus.folder(name), dirs_exist_ok=True)
        recipe = read_json(folder / "recipe.json")
        if recipe:
            write_json(corpus.path / "recipe.json", recipe, sort_keys=False)
        tag_version(corpus, "import")


def _export_fragment(corpus: Corpus, table: str, fragment: FragmentState, file: Path) -> dict[str, Any]:
    dataset = corpus.dataset(table)
    source = next(part for part in dataset.get_fragments() if part.fragment_id == fragment.id)
    schema = pa.schema([pa.field(column.name, column.type) for column in corpus.schema(table)])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in scan_dataset(source, schema.names):
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    stages = {}
    for origin in fragment.columns.values():
        if origin.stage not in stages:
            owned = [f.name for f in dataset.schema if (f.metadata or {}).get(STAGE_KEY) == origin.stage.encode()]
            record = read_record(corpus, table, origin.file)
            stages[origin.stage] = {"columns": owned, "record": record, "content": origin.content}
    return {"file": file.name, "num_rows": fragment.num_rows, "stages": stages}


def _import_table(corpus: Corpus, table: str, fragments: list[dict[str, Any]], folder: Path) -> None:
    base = TABLES[table].schema
    for described in fragments:
        added = append_rows(corpus, table, _batches(folder / described["file"], base))
        if added != described["num_rows"]:
            raise TuwenError(f"{folder / described['file']}: {added} rows, {described['num_rows']} were exported")
    files = []
    for described, fragment in zip(fragments, TableState.read(corpus, table).fragments, strict=True):
        for stage, written in described["stages"].items():
            path = folder / described["file"]
            stored = pq.read_schema(path)
            schema = pa.schema([pa.field(name, _with_items(stored.field(name).type)) for name in written["columns"]])
            declare_columns(corpus, table, stage, schema)
            writer = ColumnWriter(corpus.path, table, stage, schema)
            for batch in _batches(path, schema):
                writer.write(batch)
            if writer.content() != written["content"]:
                raise TuwenError(f"{path}: the columns of {stage} are not what was exported")
            files.append(
                ColumnFile(fragment.id, stage, writer.close(written["record"]), writer.num_rows, fragment.base)
            )
    commit_columns(corpus, table, files)


def _with_items(kind: pa.DataType) -> pa.DataType:
    """Parquet calls the items of a list `element`; stages, and so freshness, call them `item`."""
    return pa.list_(_with_items(kind.value_type)) if pa.types.is_list(kind) else kind


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows = 256 if "bytes" in schema.names else 8_192
    for batch in pq.ParquetFile(path).iter_batches(batch_size=rows, columns=schema.names):
        yield pa.RecordBatch.from_arrays([batch[field.name].cast(field.type) for field in schema], schema=schema)
