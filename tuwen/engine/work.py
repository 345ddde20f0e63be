"""The work function: all pending stages of one pass on one fragment. The same in a local process and in a Ray task."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.columns import ColumnFile, ColumnWriter, TableState
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.keys import KeyIndex
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.engine.apart import Failed, StageProcess, is_of_the_machine
from tuwen.engine.plan import Read, columns_read, followed_contents, written_schema
from tuwen.engine.state import read_state
from tuwen.errors import TuwenError
from tuwen.parts import name_of
from tuwen.stages import Stage, option
from tuwen.stages.nodes import regroup

BATCH = 4_096
WIDE_BATCH = 256  # rows of a batch that carries image bytes or the nodes of pages: about 8 MB of ordinary ones
WIDE_COLUMNS = frozenset({"bytes", "nodes"})
APART = 2  # deaths of a task from which on its stages are called in processes of their own: the first may be chance


@dataclass(frozen=True)
class StageTask:
    """A stage to run, what is known of its freshness record, and where its state lies."""

    stage: Stage
    record: Mapping[str, Any]
    state: Path | None = None


@dataclass(frozen=True)
class Task:
    """One fragment of one pass; picklable. `deaths`: processes that have died working on it."""

    corpus: Path
    table: str
    fragment_id: int
    base: str
    num_rows: int
    stages: tuple[StageTask, ...]
    deaths: int = 0

    @property
    def key(self) -> str:
        """The fragment, for a note that outlives this process."""
        return f"{self.table} {self.fragment_id} {self.base}"

    @property
    def device(self) -> str | None:
        """Where the models of its stages run: `cuda` before `cpu`; None: it has no models."""
        return max((found for part in self.stages if (found := option(part.stage, "device"))), default=None)


@dataclass
class Outcome:
    """What a task came to: files to commit, rows seen, rows that stages failed on (stage → error → count)."""

    task: Task
    files: list[ColumnFile] = field(default_factory=list)
    num_rows: int = 0
    errors: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    cpu_s: float = 0.0
    stage_cpu_s: dict[str, float] = field(default_factory=dict)
    """CPU seconds in the calls of each stage; those of reading, decoding and writing are in `cpu_s` alone."""


def run(task: Task) -> Outcome:
    """Run a task: read the fragment once, call each stage on each batch, write one file per stage.

    After deaths, or where memory runs out, the stages are called apart, so that only the rows at fault go without.
    """
    try:
        return _run(task)
    except MemoryError:
        if task.deaths >= APART:
            raise TuwenError(f"{task.table}, fragment {task.fragment_id}: no memory to read it") from None
        return _run(replace(task, deaths=APART))


def _run(task: Task) -> Outcome:
    started = time.process_time()
    corpus = Corpus.open(task.corpus)
    fragment = corpus.dataset(task.table).get_fragment(task.fragment_id)
    if fragment is None:
        raise TuwenError(f"{task.table}, fragment {task.fragment_id}: the fragment is gone; run the build again")
    outcome = Outcome(task)
    runs = [_StageRun(corpus, part, outcome, apart=task.deaths >= APART) for part in task.stages]
    try:
        for batch in _batches(fragment, task):
            columns = Columns(corpus, task.table, batch)
            for stage_run in runs:
                stage_run.call(columns)
            outcome.num_rows += batch.num_rows
        contents: dict[str, str] = {}
        for stage_run in runs:
            outcome.files.append(stage_run.finish(task, outcome.num_rows, contents))
    except BaseException:
        for stage_run in runs:
            stage_run.writer.abandon()
        raise
    finally:
        for stage_run in runs:
            stage_run.close()
    outcome.cpu_s = time.process_time() - started
    return outcome


def _batches(fragment: Any, task: Task) -> Iterator[pa.RecordBatch]:
    """The fragment's rows with every stored column that some stage of the task reads and none of them writes."""
    written = {name for part in task.stages for name in part.stage.writes.names}
    read = [column for part in task.stages for table, column in columns_read(part.stage) if table == task.table]
    stored = [name for name in dict.fromkeys(read) if name not in written] or [TABLES[task.table].key]
    wide = any(column in WIDE_COLUMNS for part in task.stages for _, column in columns_read(part.stage))
    rows = WIDE_BATCH if wide else BATCH
    for batch in scan_dataset(fragment, stored, rows=rows):
        yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


class Columns:
    """The columns that the stages of one batch see: stored, just written, followed, and decoded pixels."""

    def __init__(self, corpus: Corpus, table: str, batch: pa.RecordBatch) -> None:
        self._corpus, self._table = corpus, table
        self._arrays: dict[str, pa.Array] = dict(zip(batch.schema.names, batch.columns, strict=True))
        self._followed: dict[str, tuple[pa.Array, set[str]]] = {}
        self._pixels: dict[int, list[Any]] = {}
        self.num_rows = batch.num_rows

    def add(self, batch: pa.RecordBatch) -> None:
        """Make a stage's result visible to the stages after it."""
        self._arrays.update(zip(batch.schema.names, batch.columns, strict=True))

    def batch(self, stage: Stage) -> pa.RecordBatch:
        """Exactly the columns that the stage reads."""
        reads = [Read.parse(stage, name) for name in stage.reads]
        arrays = [self._arrays[read.name] if read.key is None else self._follow(read)[0] for read in reads]
        if not arrays:
            return pa.RecordBatch.from_struct_array(pa.nulls(self.num_rows, pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, names=list(stage.reads))

    def bases(self, stage: Stage) -> dict[str, set[str]]:
        """Table → digests of the fragments' keys that followed reads of this batch lead to."""
        found: dict[str, set[str]] = {}
        for read in (Read.parse(stage, name) for name in stage.reads):
            if read.key is not None:
                found.setdefault(read.table, set()).update(self._follow(read)[1])
        return found

    def pixels(self, short_side: int) -> list[Any]:
        """Each image decoded once for all stages that ask for this scale.

        Never from a larger scale that another stage has asked for: what a stage sees is a function of the bytes.
        """
        if short_side not in self._pixels:
            from tuwen.stages.image.pixels import decode

            self._pixels[short_side] = [decode(data.as_py(), short_side) for data in self._arrays["bytes"]]
        return self._pixels[short_side]

    def _follow(self, read: Read) -> tuple[pa.Array, set[str]]:
        if read.name not in self._followed:
            assert read.key is not None
            target = _target(self._corpus, read.table)
            keys = self._arrays[read.key]
            lists = keys if pa.types.is_list(keys.type) else None
            positions = np.array(target.index.find(keys if lists is None else lists.flatten()), dtype=np.int64)
            known = np.unique(positions[positions >= 0])
            places = pa.array(np.searchsorted(known, positions), mask=positions < 0)
            values = target.take(known, read.column).take(places)
            values = values if lists is None else regroup(values, lists)
            self._followed[read.name] = (values, target.bases_of(known))
        return self._followed[read.name]


class _Target:
    """A table that reads are followed into: where each key is, and which fragment holds it."""

    def __init__(self, corpus: Corpus, table: str) -> None:
        state = TableState.read(corpus, table)
        self._dataset = corpus.dataset(table)
        self.state = state
        self.index = KeyIndex.of(scan_dataset(self._dataset, [TABLES[table].key]))
        self._ends = np.cumsum([fragment.num_rows for fragment in state.fragments])
        self._bases = [fragment.base_content for fragment in state.fragments]

    def take(self, positions: Any, column: str) -> pa.Array:
        """Values of a column at ascending positions."""
        if not len(positions):
            return pa.nulls(0, self._dataset.schema.field(column).type)
        if column == "bytes":
            found = self._dataset.read_blobs("bytes", indices=positions.tolist(), preserve_order=True)
            return pa.array([data for _, data in found], pa.large_binary())
        return self._dataset.take(positions.tolist(), columns=[column])[column].combine_chunks()

    def bases_of(self, positions: Any) -> set[str]:
        """Digests of the keys of the fragments that hold these positions."""
        return {self._bases[number] for number in np.unique(np.searchsorted(self._ends, positions, side="right"))}


_targets: dict[tuple[Path, str], _Target] = {}


def _target(corpus: Corpus, table: str) -> _Target:
    """Cached per process while the table stays as it is: the key index takes a scan of the whole key column."""
    cached = _targets.get((corpus.path, table))
    if cached is None or cached.state != TableState.read(corpus, table):
        cached = _targets[corpus.path, table] = _Target(corpus, table)
    return cached


class _StageRun:
    """One stage on one fragment: calls, isolation of failing rows, and the file that is written."""

    def __init__(self, corpus: Corpus, part: StageTask, outcome: Outcome, *, apart: bool) -> None:
        self.stage: Any = part.stage
        self._corpus, self._part, self._outcome = corpus, part, outcome
        self._apart = StageProcess(part.stage, part.state) if apart else None  # reads state and pixels itself
        self._state = read_state(part.state) if part.state and not apart else None
        self._schema = written_schema(part.stage)
        self._bases: dict[str, set[str]] = {}
        self.writer = ColumnWriter(corpus.path, part.stage.table, name_of(part.stage), self._schema)

    def call(self, columns: Columns) -> None:
        """Run the stage on a batch and write the result."""
        extras: dict[str, Any] = {}
        if self._state is not None:
            extras["state"] = self._state
        if (short_side := option(self.stage, "pixels")) is not None and not self._apart:
            extras["pixels"] = columns.pixels(short_side)
        if option(self.stage, "cached"):
            extras["cache"] = self._corpus.folder("cache")
        batch, started = columns.batch(self.stage), time.process_time()
        result = self._isolated(batch, extras)
        spent = self._outcome.stage_cpu_s
        spent[name_of(self.stage)] = spent.get(name_of(self.stage), 0.0) + time.process_time() - started
        for table, bases in columns.bases(self.stage).items():
            self._bases.setdefault(table, set()).update(bases)
        columns.add(result)
        self.writer.write(result)

    def close(self) -> None:
        """End the process of a stage that was called apart."""
        if self._apart:
            self._apart.close()

    def finish(self, task: Task, num_rows: int, contents: dict[str, str]) -> ColumnFile:
        """Close the file with its full record; `contents` collects what this task wrote, column by column."""
        record = {**self._part.record}
        record["reads"] = {**record["reads"], **{name: contents[name] for name in record["reads"] if name in contents}}
        followed = followed_contents(self.stage, self._bases, lambda table: TableState.read(self._corpus, table))
        if followed:
            record["followed"] = followed
        contents.update(dict.fromkeys(self._schema.names, self.writer.content()))
        name = self.writer.close(record)
        return ColumnFile(task.fragment_id, name_of(self.stage), name, num_rows, task.base)

    def _isolated(self, batch: pa.RecordBatch, extras: dict[str, Any]) -> pa.RecordBatch:
        """The stage's result; where it raises, halve the batch until only the rows at fault are without one."""
        try:
            result = self._apart(batch, extras) if self._apart else self.stage(batch, **extras)
        except (TuwenError, MemoryError):
            raise  # not the row's fault: says what is wrong and what to do; or not known yet: `run` goes on
        except Exception as error:
            if is_of_the_machine(error):  # would be a permanent mark on rows that are fine
                raise TuwenError(f"{name_of(self.stage)}: {type(error).__name__}: {error}") from error
            if batch.num_rows > 1:
                pieces = error.pieces if isinstance(error, Failed) else 2
                length = -(-batch.num_rows // pieces)
                cuts = [slice(start, start + length) for start in range(0, batch.num_rows, length)]
                parts = [self._isolated(*_part(batch, extras, rows)) for rows in cuts]
                return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
            return self._failed(batch.num_rows, error)
        self._check(batch, result)
        errors = pa.nulls(result.num_rows, pa.string())
        return pa.RecordBatch.from_arrays([*result.columns, errors], schema=self._schema)

    def _failed(self, num_rows: int, error: Exception) -> pa.RecordBatch:
        name, kind = name_of(self.stage), error.kind if isinstance(error, Failed) else type(error).__name__
        counts = self._outcome.errors.setdefault(name, {})
        counts[kind] = counts.get(kind, 0) + num_rows
        self._outcome.examples.setdefault(name, "".join(traceback.format_exception(error, limit=-4)))
        nulls = [pa.nulls(num_rows, column.type) for column in self.stage.writes]
        return pa.RecordBatch.from_arrays([*nulls, pa.array([kind] * num_rows, pa.string())], schema=self._schema)

    def _check(self, batch: pa.RecordBatch, result: pa.RecordBatch) -> None:
        if not isinstance(result, pa.RecordBatch):
            raise TuwenError(f"{name_of(self.stage)} returned {type(result).__name__}; it has to return a RecordBatch")
        if result.num_rows != batch.num_rows or not result.schema.equals(self.stage.writes):
            raise TuwenError(
                f"{name_of(self.stage)} returned {result.num_rows} rows of {result.schema.names} for {batch.num_rows} "
                f"rows; it has to return the same rows with exactly {self.stage.writes.names}"
            )


def _part(batch: pa.RecordBatch, extras: dict[str, Any], rows: slice) -> tuple[pa.RecordBatch, dict[str, Any]]:
    part = {name: value[rows] if isinstance(value, list) else value for name, value in extras.items()}
    return batch[rows], part
