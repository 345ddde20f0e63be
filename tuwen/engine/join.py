"""`tuwen join`: bring columns that were computed elsewhere into a corpus, as columns with provenance.

The rows of the file are sorted into the corpus' folder `joins`; a stage `join.NAME` then finds each row of the table
its values. From there on a join is like any other stage: builds keep it up to date when rows are added, selections,
releases and `why` see its columns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.columns import remove_partial_files
from tuwen.corpus.corpus import STAGE_KEY, Corpus
from tuwen.corpus.joins import (
    FOLDER,
    PREFIX,
    JoinRecord,
    forget_join,
    joins_of,
    save_join,
    state_path,
    unnamed_states,
)
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import recover
from tuwen.corpus.versions import tag_version
from tuwen.engine.build import Built, Runner, clear_tmp
from tuwen.engine.join_request import JoinRequest
from tuwen.engine.local import Workers
from tuwen.engine.plan import Order, Pass
from tuwen.engine.progress import Progress, RunLog
from tuwen.engine.recipe import Recipe
from tuwen.engine.sorted_rows import DifferentDuplicates, write_sorted
from tuwen.engine.state import read_state
from tuwen.errors import TuwenError, UsageError
from tuwen.parts import name_of, nearest
from tuwen.selections.candidates import check_columns
from tuwen.selections.selection import selections_of
from tuwen.stages.joined import JoinedColumns, comparable
from tuwen.stages.lookup import find_unique, keys_of

NUM_EXAMPLES = 3  # of keys that found nothing


@dataclass
class Joined:
    """What a join came to. Rows of the file count once per key; examples are keys that the other side lacks;
    a list of ids is not meant to name all rows of the table, so it has none of those."""

    name: str
    table: str
    on: str
    columns: list[str]
    num_rows: int
    num_matched: int
    num_table_rows: int
    num_table_matched: int
    num_duplicates: int
    num_without_key: int
    unmatched: list[str] = field(default_factory=list)
    unmatched_in_table: list[str] = field(default_factory=list)
    num_rows_computed: int = 0
    version: int = 0
    wall_s: float = 0.0


def join(
    corpus: Corpus | str | Path,
    file: str | Path,
    on: str,
    *,
    name: str | None = None,
    columns: Sequence[str] | Mapping[str, str] = (),
    key: str | None = None,
    rows: str | Path | None = None,
    duplicates: str = "refuse",
    workers: int = 1,
    quiet: bool = True,
    allow_code: bool = False,
) -> Joined:
    """Attach the columns of `file` (see `tuwen.engine.keyed`) to the rows of a corpus that have its keys.

    `on` names the key: image_id, sha256, pair_id, url, document_id, a column of pairs (uid), or TABLE.COLUMN. `key` is
    the file's column that holds it (default: of the same name), `columns` those to take (default: all; a mapping, or
    `old=new`, renames), `name` that of the join (default: the file's stem). A file without other columns is a list of
    ids and becomes one boolean column `name`. `rows`: the file with the keys of an `.npy`. Of rows with equal keys and
    different values `duplicates="first"` takes the first; else they are refused.

    The same file again does nothing; a changed one replaces what it gave. Raises `TuwenError` where nothing matches.
    """
    started = time.monotonic()
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    request = JoinRequest.of(
        corpus,
        Path(file),
        on,
        name=name,
        columns=columns,
        key=key,
        rows=Path(rows) if rows else None,
        duplicates=duplicates,
    )
    recipe = Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    with corpus.writing(), Workers(workers) as pool:
        recover(corpus)
        remove_partial_files(corpus)
        clear_tmp(corpus)
        _remove_leftovers(corpus)
        record, joined, order = _settled(corpus, request, recipe)
        stage = next(stage for stage in order.stages if name_of(stage) == record.stage)
        built, log = Built(), RunLog(corpus.folder("logs"), "join")
        log.begin("start", join=record.name, table=record.table, on=record.on, file=record.file)
        Runner(corpus, order, pool, Progress(quiet=quiet), log, built).run(Pass(record.table, [stage]))
        joined.num_rows_computed = built.stage_rows.get(record.stage, 0)
        joined.version = tag_version(corpus, "join")
    joined.wall_s = time.monotonic() - started
    return joined


def _settled(corpus: Corpus, request: JoinRequest, recipe: Recipe) -> tuple[JoinRecord, Joined, Order]:
    """The join as the corpus has it, made if it is not there; what matches; all stages in order.

    Until the join is saved, nothing is changed that anybody sees.
    """
    known = {record.name: record for record in joins_of(corpus.path)}
    described, old = request.described(), known.get(request.name)
    is_new = old is None or (old.request, old.table, old.on) != (described, request.table, request.on)
    try:
        record = _stored(corpus, request, described) if old is None or is_new else old
        if is_new and request.described() != described:
            raise TuwenError(f"{request.file} changed while it was read; join it again when it is complete")
        stages = {name: JoinedColumns.of(each, corpus.path) for name, each in {**known, record.name: record}.items()}
        joined = _matched(corpus, request, record, stages[record.name])
        order = Order.of([*recipe.stages, *stages.values()])  # type: ignore[list-item]
        if is_new:
            save_join(corpus.path, record)
    finally:
        _remove_leftovers(corpus)
    return record, joined, order


def drop_join(corpus: Corpus | str | Path, name: str) -> list[str]:
    """Remove a join, its sorted rows and its columns; earlier corpus versions keep theirs. Returns the columns."""
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    with corpus.writing():
        recover(corpus)
        names = [record.name for record in joins_of(corpus.path)]
        known = forget_join(corpus.path, name)
        columns = _remove_leftovers(corpus)
        if not known and not columns:
            raise UsageError(f"{corpus.path} has no join {name!r}; {nearest(name, names)}")
        tag_version(corpus, "join")
    return columns


def broken_selections(corpus: Corpus | str | Path, *, allow_code: bool = False) -> list[str]:
    """Selections of the recipe that read a column which nothing in the corpus writes, or no more."""
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    try:
        selections = selections_of(corpus, allow_code=allow_code)
    except UsageError:  # of code that may not be run
        return []
    broken = []
    for name, selection in selections.items():
        try:
            check_columns(selection, corpus.current_columns)
        except UsageError:
            broken.append(name)
    return broken


def _remove_leftovers(corpus: Corpus) -> list[str]:
    """Remove sorted rows and columns of joins that are no more; returns the columns. Only under the write lock."""
    joins = {record.name: record for record in joins_of(corpus.path)}
    for file in unnamed_states(corpus.path, joins):
        file.unlink()
    removed = []
    for table in TABLES:
        dataset = corpus.dataset(table)
        left = []
        for column in dataset.schema:
            stage = (column.metadata or {}).get(STAGE_KEY, b"").decode()
            record = joins.get(stage.removeprefix(PREFIX)) if stage.startswith(PREFIX) else None
            if stage.startswith(PREFIX) and (record is None or record.table != table):
                left.append(column.name)
        if left:
            dataset.drop_columns(left)
            removed += left
    return [column for column in removed if not column.endswith("_error")]


def _stored(corpus: Corpus, request: JoinRequest, described: dict[str, Any]) -> JoinRecord:
    """Sort the rows of the file into the corpus. Nothing names them yet."""
    schema = request.types()
    partial = corpus.folder(FOLDER) / f".{request.name}.{os.getpid()}"
    try:
        found = write_sorted(corpus, request.rows(schema), schema, partial, first=request.duplicates == "first")
    except DifferentDuplicates as error:
        example = next(_texts_of(request, schema, error.key), "?")
        raise TuwenError(
            f"{request.file} has rows with one key and different values, for example {example!r}; "
            "make them one, or take the first: --duplicates first"
        ) from error
    if not found.num_rows + found.num_without_key:
        raise UsageError(f"{request.file} holds no rows")
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())  # before the JSON that names it
    partial.rename(corpus.path / state_path(request.name, found.content))
    origins = request.columns or {request.key: request.name}
    return JoinRecord(
        name=request.name,
        table=request.table,
        on=request.on,
        content=found.content,
        is_list=request.is_list,
        columns={
            new: {"column": old, "type": str(kind)}
            for (old, new), kind in zip(origins.items(), schema.types, strict=True)
        },
        request=described,
        file=request.file,
        num_rows=found.num_rows,
        num_duplicates=found.num_duplicates,
        num_without_key=found.num_without_key,
        joined_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _texts_of(request: JoinRequest, schema: pa.Schema, key: int) -> Iterator[str]:
    for batch in request.rows(schema):
        for place in np.flatnonzero(keys_of(batch.column(0)) == key):
            yield batch.column(0)[int(place)].as_py()


def _matched(corpus: Corpus, request: JoinRequest, record: JoinRecord, stage: JoinedColumns) -> Joined:
    """Count what will match, before anything is written; `TuwenError` where nothing does."""
    state = read_state(stage.state_file(corpus.path))
    seen = np.zeros(state.num_rows, dtype=bool)
    total, matched = 0, 0
    lacking: list[str] = []
    for batch in corpus.scan(record.table, [record.on]):
        texts = comparable(batch.column(0))
        rows, _ = find_unique(state, texts, [])
        hit = rows >= 0
        seen[rows[hit]] = True
        total += len(rows)
        matched += int(hit.sum())
        if len(lacking) < NUM_EXAMPLES and not hit.all():
            missing = texts.filter(pa.array(~hit)).drop_null()
            lacking += missing.slice(0, NUM_EXAMPLES - len(lacking)).to_pylist()
    unmatched = _unmatched(request, state, seen)
    if total and not matched:
        raise TuwenError(
            f"no row of {record.table} has a key of {record.file}: {record.table}.{record.on} is for example "
            f"{next(iter(lacking), None)!r}, {request.key!r} of the file {next(iter(unmatched), None)!r}; "
            "name other columns with --on and --key"
        )
    return Joined(
        record.name,
        record.table,
        record.on,
        list(record.columns),
        record.num_rows,
        int(seen.sum()),
        total,
        matched,
        record.num_duplicates,
        record.num_without_key,
        unmatched,
        [] if record.is_list else lacking,
    )


def _unmatched(request: JoinRequest, state: pa.Table, seen: Any) -> list[str]:
    """Keys of the file that no row has, the first in the file's order."""
    found: list[str] = []
    if seen.all():
        return found
    bare = replace(request, columns={})
    for batch in bare.rows(pa.schema([(request.name, pa.bool_())])):
        texts = batch.column(0).drop_null()
        rows, _ = find_unique(state, texts, [])
        lacking = texts.filter(pa.array(~seen[rows])).unique()
        found = list(dict.fromkeys([*found, *lacking.to_pylist()]))[:NUM_EXAMPLES]
        if len(found) == NUM_EXAMPLES:
            break
    return found
