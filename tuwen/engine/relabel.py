"""Freshness carried over when rows leave a corpus: what was up to date stays so, what was not stays stale.

A column file says what it was made from, by digests of whole fragments. When rows go, these digests change although no
remaining value would be another one. So each record is written again as a run over the remaining rows would write it.
Not carried over, because the values could be others: columns that survey the whole corpus and those that follow a list
of keys (the images of a document) into a fragment that lost rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tuwen.corpus.columns import (
    ColumnFile,
    ColumnWriter,
    FragmentState,
    TableState,
    commit_columns,
    freshness_of,
    read_record,
)
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.rewriting import Losing
from tuwen.corpus.scanning import scan_dataset
from tuwen.engine.plan import LISTS, Freshness, Order, Read, followed_contents
from tuwen.parts import name_of
from tuwen.stages import Stage, kind_of

Record = dict[str, Any]


@dataclass
class Relabelled:
    """Freshness records as they are to be: of fragments that lose rows, and of others whose record changes."""

    losing: dict[tuple[str, int], dict[str, Record]] = field(default_factory=dict)  # (table, fragment) → stage → record
    others: list[tuple[str, FragmentState, str, Record]] = field(default_factory=list)  # table, fragment, stage, record


def relabelled(corpus: Corpus, before: Order, after: Order, parts: Mapping[str, Sequence[Losing]]) -> Relabelled:
    """Records for the state in which the fragments `parts` (by table) have lost their rows.

    `after` are the stages as they are then: joins lose keys, too, and so become others.
    """
    then, now = Freshness(corpus, after), Freshness(corpus, before)
    for table, losing in parts.items():
        lost = {part.fragment.id: part.after for part in losing}
        state = now.state(table)
        left = [lost.get(fragment.id, fragment) for fragment in state.fragments]
        then.assume(TableState(table, state.version, [fragment for fragment in left if fragment.num_rows]))
    bases = {
        table: {part.fragment.base_content: part.after.base_content if part.keep.any() else None for part in losing}
        for table, losing in parts.items()
    }
    found, stages = Relabelled(), {name_of(stage): stage for stage in after.stages}
    for stage in before.stages:
        pending = {item.fragment.id for item in now.pending(stage, {})}
        identity = now.identity(stage) if kind_of(stage) == "corpus" else then.identity(stages[name_of(stage)])
        here = {part.fragment.id: part.after for part in parts.get(stage.table, ())}
        for fragment in now.state(stage.table).fragments:
            if fragment.id in pending:
                continue
            record = _record(corpus, stage, fragment, here.get(fragment.id, fragment), identity, bases, then)
            if record is None:
                continue
            if fragment.id in here:
                found.losing.setdefault((stage.table, fragment.id), {})[name_of(stage)] = record
            elif freshness_of(record) != _origin(stage, fragment).freshness:
                found.others.append((stage.table, fragment, name_of(stage), record))
    return found


def _origin(stage: Stage, fragment: FragmentState) -> Any:
    return fragment.columns[stage.writes.names[0]]


def _record(
    corpus: Corpus,
    stage: Stage,
    fragment: FragmentState,
    left: FragmentState,
    identity: Record,
    bases: Mapping[str, Mapping[str, str | None]],
    then: Freshness,
) -> Record | None:
    record = {**identity, "reads": then.reads(stage, left)}
    followed = [Read.parse(stage, name) for name in stage.reads if "." in name]
    if not followed:
        return record
    old = read_record(corpus, stage.table, _origin(stage, fragment).file).get("followed", {})
    led: dict[str, list[str]] = {}
    for read in followed:
        known = bases.get(read.table, {})
        met = [base for base, _ in old.get(read.name, ())]
        if (stage.table, read.name.partition(".")[0]) in LISTS and any(base in known for base in met):
            return None
        kept = (known.get(base, base) for base in met)
        led[read.table] = [base for base in kept if base is not None]
    record["followed"] = followed_contents(stage, led, then.state)
    return record


def relabel(corpus: Corpus, others: Sequence[tuple[str, FragmentState, str, Record]]) -> None:
    """Write column files of fragments that lose no rows again, with equal values and another record."""
    by_table: dict[str, list[ColumnFile]] = {}
    for table, fragment, stage, record in others:
        dataset = corpus.dataset(table)
        stored = dataset.get_fragment(fragment.id)
        assert stored is not None
        names = [name for name, origin in fragment.columns.items() if origin.stage == stage]
        schema = pa.schema([pa.field(name, dataset.schema.field(name).type) for name in names])
        writer = ColumnWriter(corpus.path, table, stage, schema)
        for batch in scan_dataset(stored, names):
            writer.write(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        name = writer.close(record)
        by_table.setdefault(table, []).append(ColumnFile(fragment.id, stage, name, writer.num_rows, fragment.base))
    for table, files in by_table.items():
        commit_columns(corpus, table, files)
