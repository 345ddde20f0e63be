"""Stages that add rows: texts for the images of pairs, appended as units of their own.

What a stage makes from one fragment of pairs is one unit of a source that is called like the stage. Its name is a
digest of the stage (parameters, version, model, fitted state) and of the fragment's keys, so that a fragment is worked
through once: the rows stay, as those of a source do, whatever happens to the columns they were made from later.
Another parameter makes new rows beside the old ones, which `tuwen status` then reports as outdated.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.columns import FragmentState, TableState, freshness_of
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES, digest, source_schema
from tuwen.corpus.units import SealedUnit, UnitAppender, append_rows, sealed_units
from tuwen.engine.apart import Failed, StageProcess, is_of_the_machine
from tuwen.engine.mapper import Mapper
from tuwen.engine.plan import Freshness, Order, columns_read
from tuwen.engine.progress import Progress, RunLog
from tuwen.engine.state import read_state, write_state
from tuwen.engine.work import APART, BATCH, Columns
from tuwen.errors import TuwenError
from tuwen.parts import name_of
from tuwen.stages import DERIVED, Stage, kind_of, option

INHERITED = ("document_id", "image_ref", "position", "region")
SOURCE_PREFIX = "generated:"


@dataclass(frozen=True)
class _Task:
    """A stage and a fragment of pairs to make rows from; picklable."""

    corpus: Path
    stage: Stage
    fragment_id: int
    state: Path | None
    file: Path
    name: str
    deaths: int = 0

    @property
    def key(self) -> str:
        return self.name

    @property
    def device(self) -> str | None:
        found: str | None = option(self.stage, "device")
        return found


@dataclass
class _Made:
    task: _Task
    num_read: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0


def reader_of_adder(corpus: Corpus, order: Order, stage: Stage) -> str:
    """What decides which rows a stage makes of a pair, as `units.reader` holds it."""
    return json.dumps(_identity(corpus, order, stage), sort_keys=True)


def pending_fragments(corpus: Corpus, order: Order, stage: Stage) -> list[FragmentState]:
    """Fragments with original pairs of which the stage has not made rows yet."""
    identity = _identity(corpus, order, stage)
    sealed = {name for source, name in sealed_units(corpus) if source == name_of(stage)}
    waiting = [
        fragment
        for fragment in TableState.read(corpus, stage.table).fragments
        if _unit_name(identity, fragment) not in sealed
    ]
    return [each for each in waiting if _fragment(corpus, stage, each.id).count_rows("derived_from IS NULL")]


def add_rows(
    corpus: Corpus, order: Order, stage: Stage, workers: Mapper, progress: Progress, log: RunLog
) -> tuple[int, Counter[str]]:
    """Make and append the rows that are still to be made: (rows added, errors). Only under the write lock."""
    fragments = pending_fragments(corpus, order, stage)
    added, errors = 0, Counter[str]()
    if not fragments:
        return added, errors
    state = write_state(corpus, stage) if kind_of(stage) != "local" else None
    identity = _identity(corpus, order, stage)  # with the state that it was fitted to just now
    folder = corpus.folder("tmp") / f"derived-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tasks = [
        _Task(corpus.path, stage, fragment.id, state, folder / f"{fragment.id}.arrow", _unit_name(identity, fragment))
        for fragment in fragments
    ]
    appender = UnitAppender(corpus)
    try:
        with progress.phase(f"adding: {name_of(stage)}", sum(each.num_rows for each in fragments), "rows") as phase:
            for made, fragment in zip(workers.ordered(_make, tasks), fragments, strict=True):
                added += _append(appender, made, json.dumps(identity, sort_keys=True), log)
                errors += made.errors
                phase.advance(fragment.num_rows, f"{added} pairs")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if state is not None and state.parent.name == "tmp":
            state.unlink(missing_ok=True)
    return added, errors


def seal_again(
    corpus: Corpus, order: Order, stage: Stage, rewritten: Sequence[tuple[FragmentState, FragmentState]]
) -> None:
    """Note that a stage is through with fragments that lost rows, under the names that they have now."""
    identity = _identity(corpus, order, stage)
    sealed = {name for source, name in sealed_units(corpus) if source == name_of(stage)}
    rows = [
        {
            **dict.fromkeys(("num_records", "num_documents", "num_images", "num_pairs", "num_fetches"), 0),
            "source": name_of(stage),
            "source_unit": _unit_name(identity, after),
            "location": f"pairs, fragment {before.id}, which lost rows",
            "reader": json.dumps(identity, sort_keys=True),
            "num_bad_records": 0,
        }
        for before, after in rewritten
        if after.num_rows and _unit_name(identity, before) in sealed and _unit_name(identity, after) not in sealed
    ]
    append_rows(corpus, "units", [pa.RecordBatch.from_pylist(rows, TABLES["units"].schema)] if rows else [])


def _fragment(corpus: Corpus, stage: Stage, number: int) -> lance.LanceFragment:
    fragment = corpus.dataset(stage.table).get_fragment(number)
    if fragment is None:
        raise TuwenError(f"{stage.table}, fragment {number}: the fragment is gone; run the build again")
    return fragment


def _identity(corpus: Corpus, order: Order, stage: Stage) -> dict[str, Any]:
    """Without what a stage surveyed: a corpus that grows does not make its rows anew."""
    identity = Freshness(corpus, order).identity(stage)
    return {key: value for key, value in identity.items() if key not in ("surveys", "writes")}


def _unit_name(identity: dict[str, Any], fragment: FragmentState) -> str:
    return freshness_of({**identity, "rows": fragment.base_content})


def _append(appender: UnitAppender, made: _Made, reader: str, log: RunLog) -> int:
    task, num_bad = made.task, made.errors.total()
    message = ", ".join(f"{kind}: {count}" for kind, count in sorted(made.errors.items())) or None
    unit = SealedUnit(
        name_of(task.stage),
        task.name,
        f"pairs, fragment {task.fragment_id}",
        reader,
        made.num_read,
        num_bad,
        None,
        message,
    )
    rows = appender.append(unit, {"pairs": task.file}, whole_documents=False)
    task.file.unlink()
    log.write(
        "added", stage=unit.source, source_unit=unit.name, rows=rows, errors=made.errors, cpu_s=round(made.cpu_s, 3)
    )
    return rows["pairs"]


def _make(task: _Task) -> _Made:
    """Run the stage over a fragment's original pairs and spool what it makes. Runs in a worker."""
    with closing(_Call(task.stage, task.state, apart=task.deaths >= APART)) as call:
        try:
            return _made(task, call)
        except MemoryError:
            if call.apart is not None:
                raise TuwenError(f"pairs, fragment {task.fragment_id}: no memory to read it") from None
    return _make(replace(task, deaths=APART))


class _Call:
    """A stage's call with its state; `apart`: in a process of its own."""

    def __init__(self, stage: Stage, state: Path | None, *, apart: bool) -> None:
        self.stage: Any = stage
        self.apart = StageProcess(stage, state) if apart else None
        self._state = {} if state is None or apart else {"state": read_state(state)}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return self.apart(batch, {}) if self.apart else self.stage(batch, **self._state)

    def close(self) -> None:
        if self.apart:
            self.apart.close()


def _made(task: _Task, call: _Call) -> _Made:
    started = time.process_time()
    corpus, made = Corpus.open(task.corpus), _Made(task)
    fragment = _fragment(corpus, task.stage, task.fragment_id)
    read = [name for table, name in columns_read(task.stage) if table == task.stage.table]
    names = list(dict.fromkeys(["pair_id", "derived_from", *INHERITED, *read]))
    schema = source_schema("pairs")
    with pa.OSFile(str(task.file), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in scan_dataset(fragment, names, rows=BATCH):
            originals = batch.filter(pc.is_null(batch["derived_from"]))
            made.num_read += originals.num_rows
            columns = Columns(corpus, task.stage.table, originals)
            for first, part in _results(call, columns.batch(task.stage), made.errors):
                writer.write_batch(_pairs(name_of(task.stage), originals, first, part))
    made.cpu_s = time.process_time() - started
    return made


def _results(
    call: _Call, batch: pa.RecordBatch, errors: Counter[str], first: int = 0
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(first row, what the stage makes of the rows from there); where it raises, the rows at fault make nothing."""
    if not batch.num_rows:
        return
    try:
        result = call(batch)
    except (TuwenError, MemoryError):
        raise
    except Exception as error:
        if is_of_the_machine(error):
            raise TuwenError(f"{name_of(call.stage)}: {type(error).__name__}: {error}") from error
        if batch.num_rows == 1:
            errors[error.kind if isinstance(error, Failed) else type(error).__name__] += 1
            return
        half = batch.num_rows // 2
        yield from _results(call, batch.slice(0, half), errors, first)
        yield from _results(call, batch.slice(half), errors, first + half)
        return
    _check(call.stage, batch, result)
    yield first, result


def _check(stage: Stage, batch: pa.RecordBatch, result: pa.RecordBatch) -> None:
    if not isinstance(result, pa.RecordBatch) or not result.schema.equals(DERIVED):
        raise TuwenError(f"{name_of(stage)} adds rows: it has to return a RecordBatch of {DERIVED.names}")
    rows = result["row"]
    if rows.null_count or (len(rows) and not 0 <= pc.min(rows).as_py() <= pc.max(rows).as_py() < batch.num_rows):
        raise TuwenError(f"{name_of(stage)} returned rows for places outside of its batch of {batch.num_rows}")


def _pairs(stage: str, originals: pa.RecordBatch, first: int, made: pa.RecordBatch) -> pa.RecordBatch:
    """Complete pairs; texts that are null or empty are none."""
    made = made.filter(pc.fill_null(pc.greater(pc.binary_length(made["text"]), 0), False))
    owners = originals.take(pc.add(made["row"], pa.scalar(first, pa.int32())))
    inherited = {name: owners[name].to_pylist() for name in INHERITED}
    source, rows = f"{SOURCE_PREFIX}{stage}", []
    for place, (own, text, others) in enumerate(
        zip(owners["pair_id"].to_pylist(), made["text"].to_pylist(), made["derived_from"].to_pylist(), strict=True)
    ):
        row = {name: values[place] for name, values in inherited.items()}
        pair_id = digest(row["document_id"], row["position"], source, row["image_ref"], text)
        origins = list(dict.fromkeys([own, *(others or ())]))
        rows.append({**row, "pair_id": pair_id, "text": text, "text_source": source, "derived_from": origins})
    return pa.RecordBatch.from_pylist(rows, schema=source_schema("pairs"))
