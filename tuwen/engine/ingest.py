"""Reading the units of sources into the corpus: workers read and spool, the driver commits, in the units' order."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import source_schema
from tuwen.corpus.units import SealedUnit, UnitAppender, sealed_units
from tuwen.engine.limits import Limits
from tuwen.engine.mapper import Mapper
from tuwen.engine.progress import Progress, RunLog
from tuwen.engine.recipe import NamedSource
from tuwen.parts import name_of, parameters_of
from tuwen.sources import Report, Source, Unit

DISK_EVERY_S = 10.0  # walking through a large corpus takes a while
ATTEMPTS = 3  # at a unit whose readers die
LOST = "kills its reader"
CHANGED = "changed"
SPOOL_ROWS = 4_096  # small batches keep the driver's memory flat when it reads them again


@dataclass(frozen=True)
class NewUnit:
    """A unit that the corpus does not hold yet."""

    source_name: str
    source: Source
    unit: Unit


@dataclass(frozen=True)
class _Job:
    new: NewUnit
    folder: Path
    deaths: int = 0

    @property
    def alone(self) -> bool:
        """Whether one more death would cost the unit its place in this build: no other may bring that about."""
        return self.deaths == ATTEMPTS - 1


@dataclass(frozen=True)
class _Spooled:
    new: NewUnit
    folder: Path
    report: Report
    cpu_s: float
    lost: bool = False


@dataclass
class Ingested:
    """What reading new units added, in rows per table, and the units that could not be read to their end."""

    num_units: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    num_bad_records: int = 0
    """Records that could not be used; `tuwen status` and the log tell which."""


def reader_of(source: Source) -> str:
    """What decides how a source reads a unit: its name, version and parameters, those that only name places apart."""
    places: tuple[str, ...] = getattr(source, "places", ())
    parameters = {name: value for name, value in parameters_of(source).items() if name not in places}
    return json.dumps([name_of(source), source.version, parameters], sort_keys=True, default=repr)


def outdated_units(corpus: Corpus, sources: Sequence[NamedSource]) -> list[dict[str, str]]:
    """Units whose rows were made by another version or with other parameters than the recipe's source has now, and
    files that were read more than once because their bytes changed.

    Their rows stay as they are: ids and everything computed hang on them. A new corpus reads them anew.
    """
    readers = {named.name: reader_of(named.source) for named in sources}
    units = corpus.table("units", ["source", "source_unit", "location", "reader"]).to_pylist()
    outdated = [
        {
            "location": unit["location"],
            "message": f"was read by {unit['reader']}, not {readers[unit['source']]}: only a new corpus reads it anew",
        }
        for unit in units
        if unit["reader"] != readers.get(unit["source"], unit["reader"])
    ]
    readings: dict[tuple[str, str], set[str]] = {}
    for unit in units:
        name = re.escape(Path(unit["location"]).name)  # as `file_unit` gives it; html's units are parts of a folder
        if name != "folder" and (file := re.fullmatch(rf"{name}:([0-9a-f]{{12}})(:[0-9-]+)?", unit["source_unit"])):
            readings.setdefault((unit["source"], unit["location"]), set()).add(file[1])
    return outdated + [
        {
            "location": location,
            "message": f"was read {len(names)} times, as its bytes changed: rows of each reading stay; "
            "only a new corpus holds those of the last alone",
        }
        for (_, location), names in readings.items()
        if len(names) > 1
    ]


def new_units(corpus: Corpus | None, sources: Sequence[NamedSource]) -> list[NewUnit]:
    """Units that are not sealed in the corpus, in the order of the recipe and of each source."""
    sealed = sealed_units(corpus) if corpus is not None else set()
    found: dict[tuple[str, str], NewUnit] = {}
    for named in sources:
        for unit in named.source.units():
            if (named.name, unit.name) not in sealed:
                found.setdefault((named.name, unit.name), NewUnit(named.name, named.source, unit))
    return list(found.values())


def ingest(
    corpus: Corpus,
    units: Sequence[NewUnit],
    workers: Mapper,
    progress: Progress,
    log: RunLog,
    limits: Limits | None = None,
) -> Ingested:
    """Read units and append them, each exactly once. Only under the write lock."""
    result, due = Ingested(), 0.0
    appender = UnitAppender(corpus)
    if not units:
        return result
    folder = corpus.folder("tmp") / f"units-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        jobs = [_Job(new, folder / f"{number:06d}") for number, new in enumerate(units)]
        with progress.phase("reading", len(units), "units") as phase:
            for spooled in workers.ordered(_spool, jobs):
                counts = {} if spooled.lost else _append(appender, spooled)
                _record(result, spooled, counts, log)
                if limits is not None and time.monotonic() >= due:
                    limits.check_disk(corpus.path)
                    due = time.monotonic() + DISK_EVERY_S
                phase.advance(note=", ".join(f"{count} {table}" for table, count in result.rows.items() if count))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _append(appender: UnitAppender, spooled: _Spooled) -> dict[str, int]:
    new, report = spooled.new, spooled.report
    sealed = SealedUnit(
        new.source_name,
        new.unit.name,
        new.unit.location,
        reader_of(new.source),
        report.num_records,
        report.num_bad_records,
        report.error,
        "; ".join(report.messages) or None,
    )
    rows = {path.stem: path for path in spooled.folder.glob("*.arrow")}
    counts = appender.append(sealed, rows, whole_documents=getattr(new.source, "whole_documents", True))
    shutil.rmtree(spooled.folder)
    return counts


def _record(result: Ingested, spooled: _Spooled, counts: dict[str, int], log: RunLog) -> None:
    report = spooled.report
    result.num_units += not spooled.lost
    for table, count in counts.items():
        result.rows[table] = result.rows.get(table, 0) + count
    result.num_bad_records += report.num_bad_records
    if report.error:
        result.damaged.append((spooled.new.unit.location, f"{report.error}: {'; '.join(report.messages)}"))
    log.write(
        "unit",
        source=spooled.new.source_name,
        source_unit=spooled.new.unit.name,
        location=spooled.new.unit.location,
        records=report.num_records,
        rows=counts,
        error=report.error,
        messages=report.messages,
        cpu_s=round(spooled.cpu_s, 3),
    )


def _spool(job: _Job) -> _Spooled:
    """Read one unit into one Arrow IPC file per table. Runs in a worker; memory is bounded by the source's batches.

    A unit that has killed its readers, or whose files changed meanwhile, is left for the next build: sealing it would
    say that it was read.
    """
    new, folder, report = job.new, job.folder, Report()
    started = time.process_time()
    shutil.rmtree(folder, ignore_errors=True)  # of a reader that died
    if job.deaths >= ATTEMPTS:
        report.error = LOST
        report.messages.append(f"{job.deaths} processes died reading it; left out of this build, the next tries again")
        return _Spooled(new, folder, report, 0.0, lost=True)
    folder.mkdir(parents=True)
    writers: dict[str, tuple[pa.OSFile, pa.RecordBatchStreamWriter]] = {}
    try:
        for table, batch in new.source.read(new.unit, report):
            if table not in writers:
                sink = pa.OSFile(str(folder / f"{table}.arrow"), "wb")
                writers[table] = (sink, pa.ipc.new_stream(sink, source_schema(table)))
            for start in range(0, batch.num_rows, SPOOL_ROWS):
                writers[table][1].write_batch(batch.slice(start, SPOOL_ROWS))
    finally:
        for sink, writer in writers.values():
            writer.close()
            sink.close()
    if problem := new.unit.problem:
        report = Report(error=CHANGED, messages=[f"{problem}; left out of this build, the next reads what is there"])
        return _Spooled(new, folder, report, time.process_time() - started, lost=True)
    return _Spooled(new, folder, report, time.process_time() - started)
