"""The ledger of a selection: for every candidate the first step that refused it, with rule and value, or that it stays.

It lies in the corpus as `ledgers/NAME.parquet`, sorted by id (id, step, rule, value, weight; step null: kept, 0: taken
down; weight: how often a kept row is to be drawn, null where no step gives weights) and `ledgers/NAME.json`
(definition, counts, fingerprint). The fingerprint covers the definition and the content of every column that was read,
so that a ledger is judged again when, and only when, something it depends on changed. Both files bear it: where they
differ, two judged at once, and neither is believed. An open ledger holds its Parquet, so that it stays the one that was
opened while others judge the same selection.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tuwen.corpus.columns import TableState
from tuwen.corpus.corpus import Corpus, table_digest, write_json
from tuwen.corpus.tables import digest
from tuwen.errors import TuwenError
from tuwen.selections.candidates import Candidates, Kept, candidates
from tuwen.selections.held import FINGERPRINT, HeldFile, held_ledger
from tuwen.selections.judgement import Judgement, judgement
from tuwen.selections.selection import Selection, selection_named, selections_of

if TYPE_CHECKING:
    import duckdb

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("step", pa.int16()),
        ("rule", pa.string()),
        ("value", pa.string()),
        ("weight", pa.float64()),
    ]
)
VERSION = 2  # of what a ledger holds for equal input; part of the fingerprint
ROWS_PER_GROUP = 122_880  # as DuckDB sorts, so that batches become row groups without a copy

_STORING = threading.Lock()  # of the threads of a process, whose temporary files have one name


@dataclass(frozen=True)
class RuleCount:
    """Rows that one condition of a step refused."""

    rule: str
    lost: int


@dataclass(frozen=True)
class FunnelStep:
    """What one step did: rows judged = rows lost + rows left. Step 0, takedowns, appears only where it refused rows.

    `expected`: for a step that draws each row with a probability of its own, the rows that should be left; else None.
    """

    step: int
    name: str
    judged: int
    lost: int
    left: int
    rules: tuple[RuleCount, ...] = ()
    expected: int | None = None


@dataclass(frozen=True)
class LedgerRow:
    """The verdict on one row: step null means kept; `value` holds what the rule saw."""

    id: str
    step: int | None
    name: str | None
    rule: str | None
    value: Any

    @property
    def kept(self) -> bool:
        return self.step is None


class Ledger:
    """A judged selection. `open_or_judge` gives it, fresh.

    `file` is what to read; at `path` lies whatever was judged last under this name.
    """

    def __init__(self, selection: Selection, path: Path, described: Mapping[str, Any], file: HeldFile) -> None:
        self.selection = selection
        self.path = path
        self.file = file
        self._described = described

    @classmethod
    def stored(
        cls, corpus: Corpus, selection: Selection | str, selections: Mapping[str, Selection] | None = None
    ) -> Ledger | None:
        """The stored ledger if it is fresh, as those are that it builds on; None if it has to be judged."""
        selection, selections = _resolved(corpus, selection, selections)
        others = {name: cls.stored(corpus, name, selections) for name in selection.others()}
        fresh = {name: ledger for name, ledger in others.items() if ledger is not None}
        if len(fresh) < len(others):
            return None
        fingerprint = _fingerprint(corpus, selection, fresh, candidates(corpus, selection, _kept(fresh)))
        return _fresh(corpus, selection, fingerprint)

    @classmethod
    def open_or_judge(
        cls, corpus: Corpus, selection: Selection | str, selections: Mapping[str, Selection] | None = None
    ) -> Ledger:
        """The stored ledger if it is fresh, else a new one. `selections`: default, those of the corpus' recipe."""
        selection, selections = _resolved(corpus, selection, selections)
        others = _others(corpus, selection, selections)
        rows = candidates(corpus, selection, _kept(others))
        fingerprint = _fingerprint(corpus, selection, others, rows)
        return _fresh(corpus, selection, fingerprint) or _judge(corpus, selection, rows, fingerprint)

    @property
    def num_rows(self) -> int:
        """Rows judged."""
        return int(self._described["num_rows"])

    @property
    def num_kept(self) -> int:
        """Rows kept."""
        return self.num_rows - sum(int(entry["lost"]) for entry in self._described["conditions"])

    @property
    def is_weighted(self) -> bool:
        """Whether a step gives sampling weights: then every kept row has one."""
        return any(entry["weighted"] for entry in self._described["conditions"])

    @property
    def fingerprint(self) -> str:
        """Digest of the definition and of everything that was read."""
        return str(self._described["fingerprint"])

    def funnel(self) -> list[FunnelStep]:
        """Rows judged, lost and left, step by step."""
        return _funnel(self.num_rows, self._described["conditions"])

    def kept(self) -> pa.RecordBatchReader:
        """Ids of the kept rows in ascending order: one column, `id`, streamed."""
        schema = pa.schema([SCHEMA.field("id")])

        def batches() -> Iterator[pa.RecordBatch]:
            with pq.ParquetFile(self.file.path) as file:
                for batch in file.iter_batches(columns=["id", "step"]):
                    yield batch.select(["id"]).filter(batch["step"].is_null())

        return pa.RecordBatchReader.from_batches(schema, batches())

    def rows(self, ids: Iterable[str]) -> dict[str, LedgerRow]:
        """Verdicts by id; ids that were not judged are absent."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        names = {entry["step"]: entry["name"] for entry in self._described["conditions"]}
        found = pq.read_table(self.file.path, filters=[("id", "in", wanted)]).to_pylist()
        return {
            row["id"]: LedgerRow(
                row["id"],
                row["step"],
                names.get(row["step"]),
                row["rule"],
                json.loads(row["value"]) if row["value"] is not None else None,
            )
            for row in found
        }

    def row(self, row_id: str) -> LedgerRow:
        """The verdict on one row. `TuwenError` if it was not judged."""
        found = self.rows([row_id])
        if row_id not in found:
            raise TuwenError(f"selection {self.selection.name} judges {self.selection.table}; {row_id} is none of them")
        return found[row_id]


def judge(corpus: Corpus, selection: Selection | str, selections: Mapping[str, Selection] | None = None) -> Ledger:
    """Judge a selection anew and store its ledger, whatever is stored already."""
    selection, selections = _resolved(corpus, selection, selections)
    others = _others(corpus, selection, selections)
    rows = candidates(corpus, selection, _kept(others))
    return _judge(corpus, selection, rows, _fingerprint(corpus, selection, others, rows))


def preview(
    corpus: Corpus,
    selection: Selection | str,
    selections: Mapping[str, Selection] | None = None,
    *,
    memory: str | None = None,
    watch: Callable[[duckdb.DuckDBPyConnection], AbstractContextManager[object]] = nullcontext,
) -> list[FunnelStep]:
    """The funnel that a selection would have, without storing its ledger: for trying thresholds.

    `memory` ("400MB") limits DuckDB's. `watch` is entered with the connection while it works, so that someone can
    interrupt it (`TuwenError` then).
    """
    selection, selections = _resolved(corpus, selection, selections)
    rows = candidates(corpus, selection, _kept(_others(corpus, selection, selections)))
    with _told(selection), corpus.connect(memory) as connection, watch(connection):
        judged = judgement(connection, corpus, selection, rows)
        counts = connection.sql(f"SELECT _failed, count(*) FROM ({judged.sql}) GROUP BY ALL").fetchall()
    lost = dict(counts)
    return _funnel(sum(lost.values()), _described_conditions(judged, lost))


def _resolved(
    corpus: Corpus, selection: Selection | str, selections: Mapping[str, Selection] | None
) -> tuple[Selection, Mapping[str, Selection]]:
    known = dict(selections_of(corpus) if selections is None else selections)
    if isinstance(selection, str):
        return selection_named(known, selection), known
    return selection, {**known, selection.name: selection}


def _others(corpus: Corpus, selection: Selection, selections: Mapping[str, Selection]) -> dict[str, Ledger]:
    return {
        name: Ledger.open_or_judge(corpus, selection_named(selections, name), selections) for name in selection.others()
    }


def _kept(others: Mapping[str, Ledger]) -> dict[str, Kept]:
    return {name: Kept(ledger.selection.unit, ledger.file) for name, ledger in others.items()}


def _fingerprint(corpus: Corpus, selection: Selection, others: Mapping[str, Ledger], rows: Candidates) -> str:
    contents = {"tombstones": table_digest(corpus.scan("tombstones", ["kind", "value", "reason"]))}
    for table, columns in rows.tables.items():
        state = TableState.read(corpus, table)
        contents.update({f"{table}.{column}": state.content(column) for column in columns})
    definition = {**selection.to_mapping(), "description": None}
    record = {
        "version": VERSION,
        "definition": definition,
        "steps": [getattr(named.step, "version", 1) for named in selection.steps],
        "others": {name: ledger.fingerprint for name, ledger in others.items()},
        "contents": contents,
    }
    return digest(json.dumps(record, sort_keys=True, ensure_ascii=False))


def stored_ledger(corpus: Corpus, name: str | None) -> HeldFile | None:
    """The rows of a selection's ledger, however old; None if it was never judged."""
    stored = held_ledger(_path(corpus, name)) if name is not None else None
    return stored[0] if stored else None


def stored_ledgers(corpus: Corpus) -> Iterator[tuple[str, HeldFile, Mapping[str, Any]]]:
    """The ledgers that lie in a corpus, however old: name, rows and description."""
    for path in sorted(corpus.path.glob("ledgers/*.parquet")):
        if stored := held_ledger(path):
            yield path.stem, *stored


def _path(corpus: Corpus, name: str) -> Path:
    return corpus.path / "ledgers" / f"{name}.parquet"


def _fresh(corpus: Corpus, selection: Selection, fingerprint: str) -> Ledger | None:
    path = _path(corpus, selection.name)
    stored = held_ledger(path)
    if stored is None or stored[1]["fingerprint"] != fingerprint:
        return None
    file, described = stored
    return Ledger(selection, path, described, file)


def _judge(corpus: Corpus, selection: Selection, rows: Candidates, fingerprint: str) -> Ledger:
    path = _path(corpus, selection.name)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(exist_ok=True)
        with _told(selection), corpus.connect() as connection:
            judged = judgement(connection, corpus, selection, rows)
            verdicts = f"SELECT * FROM ({judged.settled(connection)}) ORDER BY _id"
            batches = connection.sql(verdicts).to_arrow_reader(ROWS_PER_GROUP)
            lost = _write(temporary, judged, batches, fingerprint)
        described = {
            "selection": selection.name,
            "definition": selection.to_mapping(),
            "fingerprint": fingerprint,
            "num_rows": sum(lost.values()),
            "conditions": _described_conditions(judged, lost),
            "corpus_version": corpus.version(),
        }
        file = HeldFile(temporary)
        with _STORING, suppress(FileNotFoundError):  # a purge removed the folder: what was judged holds all the same
            # The JSON vouches for the Parquet beside it, so it goes first and comes back last.
            path.with_suffix(".json").unlink(missing_ok=True)
            temporary.replace(path)
            write_json(path.with_suffix(".json"), described)
        return Ledger(selection, path, described, file)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise TuwenError(f"the verdicts of {selection.name} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _told(selection: Selection) -> Iterator[None]:
    """Errors that only the data bring about, as a sentence."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise TuwenError(f"selection {selection.name}: set TUWEN_MEMORY=4GB, say, and repeat ({error})") from error
    except duckdb.Error as error:
        raise TuwenError(f"selection {selection.name}: {str(error).splitlines()[0]}") from error


def _write(path: Path, judged: Judgement, batches: Iterable[pa.RecordBatch], fingerprint: str) -> dict[int | None, int]:
    """Write the ledger's Parquet; returns rows per failed condition (None: kept)."""
    steps = pa.array([numbered.step for numbered in judged.conditions], pa.int16())
    rules = pa.array([numbered.condition.rule for numbered in judged.conditions], pa.string())
    counts = np.zeros(len(judged.conditions) + 1, dtype=np.int64)
    schema = SCHEMA.with_metadata({FINGERPRINT: fingerprint})
    with pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=["rule"], write_statistics=["id"]
    ) as writer:
        for batch in _rechunked(batches):
            ids, failed, value, weight = batch.columns
            columns = [ids, steps.take(failed), rules.take(failed), value, weight]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA), row_group_size=ROWS_PER_GROUP)
            counts += np.bincount(failed.fill_null(len(steps)).to_numpy(), minlength=len(counts))
    lost: dict[int | None, int] = {index: int(count) for index, count in enumerate(counts[:-1])}
    return {**lost, None: int(counts[-1])}


def _rechunked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Equal rows in batches of equal size, however they come: row groups must not depend on DuckDB's threads."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if not waiting and batch.num_rows == ROWS_PER_GROUP:
            yield batch
            continue
        waiting.append(batch)
        while sum(part.num_rows for part in waiting) >= ROWS_PER_GROUP:
            joined = pa.concat_batches(waiting)
            yield joined.slice(0, ROWS_PER_GROUP)
            rest = joined.slice(ROWS_PER_GROUP)
            waiting = [rest] if rest.num_rows else []
    if waiting:
        yield pa.concat_batches(waiting)


def _described_conditions(judged: Judgement, lost: Mapping[int | None, int]) -> list[dict[str, Any]]:
    return [
        {
            "step": numbered.step,
            "name": numbered.name,
            "rule": numbered.condition.rule,
            "lost": lost.get(index, 0),
            "expected": judged.expected.get(index),
            "weighted": numbered.condition.weight is not None,
        }
        for index, numbered in enumerate(judged.conditions)
    ]


def _funnel(num_rows: int, conditions: Iterable[Mapping[str, Any]]) -> list[FunnelStep]:
    steps: list[FunnelStep] = []
    left = num_rows
    by_step: dict[int, list[Mapping[str, Any]]] = {}
    for entry in conditions:
        by_step.setdefault(entry["step"], []).append(entry)
    for step, entries in by_step.items():
        lost = sum(entry["lost"] for entry in entries)
        if step or lost:
            rules = tuple(RuleCount(entry["rule"], entry["lost"]) for entry in entries)
            expected = entries[-1].get("expected")
            steps.append(FunnelStep(step, entries[0]["name"], left, lost, left - lost, rules, expected))
        left -= lost
    return steps


def funnel_json(steps: Iterable[FunnelStep]) -> list[dict[str, Any]]:
    """Plain values of a funnel: a list of step, name, judged, lost, left, rules (rule, lost) and expected."""
    return [asdict(step) for step in steps]
