"""The plan of a build: which units to read, which stages to run on which fragments, in which passes, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tuwen.corpus.columns import FragmentState, Origin, TableState, freshness_of, read_record
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.joins import PREFIX
from tuwen.corpus.tables import TABLES
from tuwen.engine.state import fitted_digest
from tuwen.errors import UsageError
from tuwen.parts import name_of, parameters_of
from tuwen.stages import Stage, adds_rows, error_column, kind_of, option, stage_that_writes

FOLLOWS = {"image": ("images", "image_id"), "document": ("documents", "document_id")}
LISTS = {("documents", "image"): "image_ids"}  # of a table whose rows have many of these keys
BYTES_OF_TEXT = 16  # a guess at what a short string costs on disk, for the estimate that --dry-run prints


@dataclass(frozen=True)
class Read:
    """One entry of a stage's `reads`: a column of its own table, or one followed through a key."""

    name: str
    table: str
    column: str
    key: str | None = None

    @classmethod
    def parse(cls, stage: Stage, name: str) -> Read:
        prefix, dot, column = name.partition(".")
        if not dot:
            return cls(name, stage.table, name)
        if prefix not in FOLLOWS:
            raise UsageError(f"{name_of(stage)} reads {name!r}; only {', '.join(FOLLOWS)} can be followed")
        table, key = FOLLOWS[prefix]
        return cls(name, table, column, LISTS.get((stage.table, prefix), key))


@dataclass
class Work:
    """One stage on one fragment, and why it has to run."""

    stage: Stage
    fragment: FragmentState
    reason: str


@dataclass
class Pass:
    """Stages of one table that run together: every fragment is read once, every image decoded once."""

    table: str
    stages: list[Stage]


@dataclass
class Order:
    """The stages of a recipe in an order that respects what they read, cut into passes; apart, those that add rows."""

    stages: Sequence[Stage]
    adders: Sequence[Stage] = ()
    passes: list[Pass] = field(default_factory=list)
    writer: dict[tuple[str, str], Stage] = field(default_factory=dict)

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Order:
        """Order stages; `UsageError` for columns that nobody writes, that two write, or that wait for each other."""
        order = cls(
            [stage for stage in stages if not adds_rows(stage)], [stage for stage in stages if adds_rows(stage)]
        )
        stages = order.stages
        for stage in [*stages, *order.adders]:
            if stage.table not in TABLES:
                raise UsageError(f"{name_of(stage)} works on unknown table {stage.table!r}")
        for stage in stages:
            for column in stage.writes.names:
                other = order.writer.get((stage.table, column))
                if other is not None or column in TABLES[stage.table].schema.names:
                    owner = name_of(other) if other else "the table itself"
                    raise UsageError(f"{name_of(stage)} and {owner} both write {stage.table}.{column}")
                order.writer[stage.table, column] = stage
        level: dict[str, int] = {}
        for stage in stages:
            order._place(stage, level, ())
        for stage in order.adders:
            order.before(stage)
        groups: dict[tuple[int, str], list[Stage]] = {}
        for stage in order._sorted(level):
            groups.setdefault((level[name_of(stage)], stage.table), []).append(stage)
        order.passes = [Pass(table, grouped) for (_, table), grouped in sorted(groups.items(), key=lambda g: g[0])]
        return order

    def stages_in_order(self) -> list[Stage]:
        """All stages, writers before their readers."""
        return [stage for part in self.passes for stage in part.stages]

    def inputs(self, stage: Stage) -> list[tuple[str, str]]:
        """(table, column) of everything the stage reads, in its calls and in `prepare`."""
        return [*columns_read(stage), *surveyed(stage)]

    def before(self, stage: Stage) -> list[Stage]:
        """The stages whose columns a stage reads, and theirs in turn."""
        needed: dict[str, Stage] = {}
        waiting = [stage]
        while waiting:
            reader = waiting.pop()
            writers = [self._writer_of(reader, table, column) for table, column in self.inputs(reader)]
            new = {name_of(each): each for each in writers if each is not None and name_of(each) not in needed}
            needed |= new
            waiting += new.values()
        return [each for each in self.stages if name_of(each) in needed]

    def _place(self, stage: Stage, level: dict[str, int], waiting: tuple[str, ...]) -> int:
        name = name_of(stage)
        if name in waiting:
            raise UsageError(f"stages wait for each other: {' → '.join([*waiting, name])}")
        if name not in level:
            needed = 0
            for table, column in self.inputs(stage):
                writer = self._writer_of(stage, table, column)
                if writer is None:
                    continue
                below = self._place(writer, level, (*waiting, name))
                same_pass = writer.table == stage.table and (table, column) not in surveyed(stage)
                needed = max(needed, below if same_pass else below + 1)
            level[name] = needed
        return level[name]

    def _writer_of(self, stage: Stage, table: str, column: str) -> Stage | None:
        if table not in TABLES:
            raise UsageError(f"{name_of(stage)} reads from unknown table {table!r}")
        if column in TABLES[table].schema.names:
            return None
        if (table, column) in self.writer:
            return self.writer[table, column]
        found = stage_that_writes(table, column)
        hint = f"; add the stage {found} to the recipe" if found else ""
        if name_of(stage).startswith(PREFIX):
            hint += f"; or take the join away: tuwen join DIR --drop {name_of(stage).removeprefix(PREFIX)}"
        raise UsageError(f"{name_of(stage)} reads {table}.{column}, which no stage of the recipe writes{hint}")

    def _sorted(self, level: Mapping[str, int]) -> list[Stage]:
        """Within a pass, writers come before their readers; otherwise the recipe's order holds."""
        done: list[Stage] = []
        for depth in sorted(set(level.values())):
            waiting = [stage for stage in self.stages if level[name_of(stage)] == depth]
            while waiting:
                for stage in waiting:
                    writers = {id(self.writer.get(read)) for read in columns_read(stage)}
                    if not writers & {id(other) for other in waiting}:
                        waiting.remove(stage)
                        done.append(stage)
                        break
        return done


def columns_read(stage: Stage) -> list[tuple[str, str]]:
    """(table, column) of everything the stage's calls read, the keys that are followed included."""
    found = []
    for name in stage.reads:
        read = Read.parse(stage, name)
        if read.key is not None:
            found.append((stage.table, read.key))
        found.append((read.table, read.column))
    if option(stage, "pixels") is not None:
        found.append((stage.table, "bytes"))
    return list(dict.fromkeys(found))


def surveyed(stage: Stage) -> list[tuple[str, str]]:
    """(table, column) of everything that the stage's `prepare` reads."""
    return [(table, column) for table, _, column in (name.partition(".") for name in option(stage, "surveys", ()))]


def written_schema(stage: Stage) -> pa.Schema:
    """The columns of a stage's file: what it writes and its error column."""
    return stage.writes.append(pa.field(error_column(stage), pa.string()))


class Freshness:
    """Compares what columns were made from with what they would be made from now. Reads manifests once per table."""

    def __init__(self, corpus: Corpus, order: Order) -> None:
        self._corpus, self._order = corpus, order
        self._tables: dict[str, TableState] = {}

    def state(self, table: str) -> TableState:
        """Manifest of a table, read once."""
        if table not in self._tables:
            self._tables[table] = TableState.read(self._corpus, table)
        return self._tables[table]

    def assume(self, state: TableState) -> None:
        """Take a table to be as it is not yet."""
        self._tables[state.table] = state

    def identity(self, stage: Stage) -> dict[str, Any]:
        """The part of a freshness record that is the same in every fragment: what the stage is and what it surveyed."""
        record: dict[str, Any] = {
            "stage": name_of(stage),
            "version": option(stage, "version", 1),
            "parameters": {name: repr(value) for name, value in parameters_of(stage).items()},
            "writes": written_schema(stage).to_string(show_field_metadata=False, show_schema_metadata=False),
        }
        if model := option(stage, "model_hash"):
            record["model"] = model()
        if (short_side := option(stage, "pixels")) is not None:
            record["pixels"] = short_side  # what a stage sees depends on the scale of decoding
        if kind_of(stage) == "corpus":
            record["surveys"] = {f"{table}.{name}": self.state(table).content(name) for table, name in surveyed(stage)}
        elif kind_of(stage) == "fitted":
            record["fitted"] = fitted_digest(self._corpus, stage)
        return record

    def work(self, stages: Iterable[Stage]) -> Iterator[tuple[Stage, list[Work]]]:
        """For each stage, in an order that writers lead, the fragments on which it has to run."""
        ahead: dict[str, set[int]] = {}
        for stage in stages:
            work = self.pending(stage, ahead)
            ahead[name_of(stage)] = {item.fragment.id for item in work}
            yield stage, work

    def pending(self, stage: Stage, ahead: Mapping[str, set[int]]) -> list[Work]:
        """Fragments on which the stage has to run, given those on which stages before it will run (`ahead`)."""
        everywhere, here = self._upstream(stage, ahead)
        identity = None if everywhere else self.identity(stage)
        work = []
        for fragment in self.state(stage.table).fragments:
            waits = sorted({*everywhere, *(name for name in here if fragment.id in ahead[name])})
            origins = [fragment.columns.get(name) for name in written_schema(stage).names]
            if any(origin is None or origin.stage != name_of(stage) for origin in origins):
                work.append(Work(stage, fragment, "not computed yet"))
            elif waits:
                work.append(Work(stage, fragment, f"may change with {', '.join(waits)}"))
            elif reason := self._staleness(stage, fragment, origins[0], identity or {}):
                work.append(Work(stage, fragment, reason))
        return work

    def _upstream(self, stage: Stage, ahead: Mapping[str, set[int]]) -> tuple[set[str], set[str]]:
        """Stages ahead whose columns this one reads: those that concern all its fragments, those that go row by row."""
        everywhere: set[str] = set()
        here: set[str] = set()
        for table, column in self._order.inputs(stage):
            writer = self._order.writer.get((table, column))
            if writer is None or not ahead.get(name_of(writer)):
                continue
            local = table == stage.table and (table, column) not in surveyed(stage)
            (here if local else everywhere).add(name_of(writer))
        return everywhere, here

    def reads(self, stage: Stage, fragment: FragmentState) -> dict[str, str | None]:
        """Content of the fragment's own columns that the stage reads."""
        return {name: fragment.content(name) for table, name in columns_read(stage) if table == stage.table}

    def _staleness(
        self, stage: Stage, fragment: FragmentState, origin: Origin | None, identity: dict[str, Any]
    ) -> str | None:
        assert origin is not None
        record = {**identity, "reads": self.reads(stage, fragment)}
        old: dict[str, Any] | None = None
        if any("." in name for name in stage.reads):
            # Which fragments the rows lead to is written in the file; it holds as long as the keys read are the same.
            old = read_record(self._corpus, stage.table, origin.file)
            bases = {
                Read.parse(stage, name).table: [base for base, _ in entries]
                for name, entries in old.get("followed", {}).items()
            }
            record["followed"] = followed_contents(stage, bases, self.state)
        if freshness_of(record) == origin.freshness:
            return None
        return difference(old or read_record(self._corpus, stage.table, origin.file), record)


def followed_contents(
    stage: Stage, bases: Mapping[str, Collection[str]], state: Callable[[str], TableState]
) -> dict[str, list[list[str | None]]]:
    """Content of followed columns in the fragments, given by digest of their keys, that rows lead to."""
    found: dict[str, list[list[str | None]]] = {}
    for read in (Read.parse(stage, name) for name in stage.reads):
        if read.key is None:
            continue
        fragments = {fragment.base_content: fragment for fragment in state(read.table).fragments}
        found[read.name] = [
            [base, fragments[base].content(read.column) if base in fragments else "gone"]
            for base in sorted(bases.get(read.table, ()))
        ]
    return found


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In a few words, what made a column stale."""
    changed = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            names = [name for name in sorted(set(before) | set(after)) if before.get(name) != after.get(name)]
            if key == "parameters":
                changed += [f"{name} changed from {before.get(name)} to {after.get(name)}" for name in names]
            else:
                changed += [f"{name} changed" for name in names]
        else:
            changed.append(f"{key} changed" if key != "version" else f"version {before} became {after}")
    return ", ".join(changed) or "its record changed"


def estimated_bytes(stage: Stage, num_rows: int) -> int:
    """Rough size on disk of a stage's columns for `num_rows` rows."""
    width = 0
    for column in written_schema(stage):
        try:
            width += max(1, column.type.bit_width // 8)
        except ValueError:
            width += BYTES_OF_TEXT
    return width * num_rows
