"""`tuwen build`: bring a corpus up to date with a recipe, doing only what is not done yet."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuwen.corpus.columns import ColumnFile, commit_columns, declare_columns, remove_partial_files
from tuwen.corpus.corpus import Corpus, write_json
from tuwen.corpus.indexes import update_indexes
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import recover
from tuwen.corpus.versions import tag_version
from tuwen.engine.derive import add_rows, pending_fragments
from tuwen.engine.fetch import Fetched, check_fetch, fetch_images
from tuwen.engine.ingest import Ingested, NewUnit, ingest, new_units
from tuwen.engine.limits import Limits
from tuwen.engine.local import Workers
from tuwen.engine.mapper import Mapper
from tuwen.engine.plan import Freshness, Order, Pass, Work, estimated_bytes, written_schema
from tuwen.engine.progress import Progress, RunLog
from tuwen.engine.recipe import Recipe
from tuwen.engine.state import forget_fitted, write_state
from tuwen.engine.targets import count_targets, stages_before_fetching
from tuwen.engine.unfinished import commit_finished, forget_finished, note_finished
from tuwen.engine.work import Outcome, StageTask, Task, run
from tuwen.errors import TuwenError, UsageError
from tuwen.parts import name_of
from tuwen.selections.candidates import check_columns
from tuwen.selections.held import HeldFile
from tuwen.selections.ledger import Ledger, stored_ledger
from tuwen.selections.selection import parse_selections
from tuwen.stages import Stage, kind_of, option
from tuwen.stages.joined import joined_stages

NO_LIMITS = Limits()
IN_HAND = "in-hand"
COMMIT_EVERY_S = 10.0  # a commit costs milliseconds per thousand column files; a kill costs at most this much work


@dataclass(frozen=True)
class Step:
    """A stage in the plan: on how many fragments and rows it has to run, why, about how many bytes it will write."""

    stage: str
    table: str
    num_fragments: int
    num_rows: int
    num_bytes: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class PlannedUnit:
    """A unit that is not read yet."""

    source: str
    name: str
    location: str
    num_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a build would do."""

    units: list[PlannedUnit]
    steps: list[Step]
    stages: list[str]
    num_urls: int = 0
    """Images to fetch: URLs that are referenced now and have no final attempt. New units may bring more."""

    @property
    def nothing_to_do(self) -> bool:
        """True when the corpus is up to date with the recipe."""
        return not self.units and not self.steps and not self.num_urls


@dataclass
class Built:
    """What a build did: rows added, rows computed per stage, rows that stages failed on, the corpus version."""

    version: int = 0
    ingested: Ingested = field(default_factory=Ingested)
    fetched: Fetched | None = None
    stage_rows: dict[str, int] = field(default_factory=dict)
    added_rows: dict[str, int] = field(default_factory=dict)
    """Pairs that stages made, by stage; those that were there already are not counted."""
    errors: dict[str, dict[str, int]] = field(default_factory=dict)
    undone_unit: str | None = None
    log: Path | None = None
    wall_s: float = 0.0

    def note_added(self, stage: str, num_rows: int, errors: Mapping[str, int]) -> None:
        """Take down what a stage that adds rows came to."""
        if num_rows:
            self.added_rows[stage] = num_rows
        if errors:
            self.errors[stage] = dict(errors)

    @property
    def hopeless(self) -> list[str]:
        """Stages that failed on every row they ran on: the stage is at fault, not the data."""
        failed = {stage: sum(counts.values()) for stage, counts in self.errors.items()}
        return sorted(stage for stage, count in failed.items() if count and count == self.stage_rows.get(stage))

    @property
    def did_nothing(self) -> bool:
        """True when everything was up to date."""
        fetched = self.fetched is not None and self.fetched.num_attempts > 0
        return not self.ingested.num_units and not self.stage_rows and not self.added_rows and not fetched


def plan(recipe: Recipe | str | Path, path: str | Path, *, allow_code: bool = False, offline: bool = False) -> Plan:
    """The plan of `build`, without doing any of it. Works where there is no corpus yet.

    With `fetch.select`, images are counted by the ledger of that selection as it was left; before it was ever judged,
    every image that is referenced counts.
    """
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    order = _checked(recipe, Path(path), allow_code=allow_code)
    corpus = Corpus.open(path) if (Path(path) / "corpus.json").exists() else None
    units = new_units(corpus, recipe.sources)
    steps: list[Step] = []
    if corpus is not None:
        for stage, work in Freshness(corpus, order).work(order.stages_in_order()):
            steps += _step(stage, work)
        steps += [step for stage in order.adders for step in _adding(corpus, order, stage)]
    listed = [PlannedUnit(new.source_name, new.unit.name, new.unit.location, new.unit.num_bytes) for new in units]
    wanted = 0
    if corpus is not None and recipe.fetch is not None and not offline:
        wanted = count_targets(corpus, recipe.fetch, stored_ledger(corpus, recipe.fetch.select))
    return Plan(listed, steps, [name_of(stage) for stage in [*order.stages_in_order(), *order.adders]], wanted)


def _title(part: Pass, pending: list[Stage]) -> str:
    """Short enough to leave room for the bar."""
    named = name_of(pending[0]) if len(pending) == 1 else f"{len(pending)} stages"
    return f"{part.table}: {named}"


def _step(stage: Stage, work: list[Work]) -> Iterator[Step]:
    if work:
        rows = sum(item.fragment.num_rows for item in work)
        reasons = tuple(sorted({item.reason for item in work}))
        yield Step(name_of(stage), stage.table, len(work), rows, estimated_bytes(stage, rows), reasons)


def _adding(corpus: Corpus, order: Order, stage: Stage) -> Iterator[Step]:
    fragments = pending_fragments(corpus, order, stage)
    if fragments:
        rows = sum(fragment.num_rows for fragment in fragments)
        yield Step(name_of(stage), stage.table, len(fragments), rows, 0, ("adds pairs that are not made yet",))


def build(
    recipe: Recipe | str | Path,
    path: str | Path,
    *,
    workers: int = 1,
    refit: bool = False,
    quiet: bool = False,
    allow_code: bool = False,
    offline: bool = False,
    engine: str = "local",
    address: str | None = None,
    limits: Limits = NO_LIMITS,
) -> Built:
    """Bring the corpus at `path` (made if needed) up to date with a recipe or the YAML file that holds it.

    Killed at any point, the next call goes on from the last commit. `workers` is the number of processes and never
    changes a result; more than one needs a script with an `if __name__ == "__main__":` guard, as multiprocessing
    does. The default, one, works everywhere. `offline` leaves out what the recipe says about fetching.

    `engine` is "local", or "ray": on this machine, or on the cluster at `address`, whose machines all see `path` and
    what the recipe names under the same paths; `workers` then counts CPUs. The result is the same, byte for byte.
    """
    started = time.monotonic()
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    order = _checked(recipe, Path(path), allow_code=allow_code)
    for named in recipe.sources:
        named.source.units()  # refuse a source that names nothing before anything is made
    if recipe.fetch is not None and not offline:
        check_fetch(recipe.fetch)
    corpus = Corpus.create(path)
    built, progress = Built(), Progress(quiet=quiet)
    with corpus.writing(), limits.in_force(workers), mapper(corpus, engine, workers, address) as pool:
        log = RunLog(corpus.folder("logs"), "build")
        built.undone_unit = recover(corpus)
        commit_finished(corpus)
        remove_partial_files(corpus)
        clear_tmp(corpus)
        log.begin("start", recipe=recipe.mapping, workers=pool.number, undone_unit=built.undone_unit)
        if not _is_recipe_of(corpus, recipe):
            write_json(corpus.path / "recipe.json", recipe.mapping, sort_keys=False)  # selections keep their order
        units: list[NewUnit] = new_units(corpus, recipe.sources)
        built.ingested = ingest(corpus, units, pool, progress, log, limits)
        if refit:
            for stage in recipe.stages:
                forget_fitted(corpus, stage)
        runner = Runner(corpus, order, pool, progress, log, built, limits)
        if recipe.fetch is not None and not offline:
            kept = _choose(recipe, order, runner) if recipe.fetch.select else None
            built.fetched = fetch_images(corpus, recipe.fetch, kept, progress, log)
            if recipe.fetch.fallback:
                from tuwen.engine.fallback import fall_back

                built.fetched.num_images += fall_back(corpus, recipe.fetch, kept, pool, progress, log)
        for stage in order.adders:
            for part in Order.of(order.before(stage)).passes:
                runner.run(part)
            added, errors = add_rows(corpus, order, stage, pool, progress, log)
            built.note_added(name_of(stage), added, errors)
        for part in order.passes:
            runner.run(part)
        update_indexes(corpus)
        built.version = tag_version(corpus, "build")
        built.wall_s = time.monotonic() - started
        built.log = log.path if not built.did_nothing else None
        if not built.did_nothing:
            log.write(
                "end", version=built.version, stage_rows=built.stage_rows, errors=built.errors, wall_s=built.wall_s
            )
    return built


def mapper(corpus: Corpus, engine: str, workers: int, address: str | None) -> Mapper:
    """Where the tasks of a build run."""
    if engine == "local":
        if address is not None:
            raise UsageError(f"--address {address} is that of a Ray cluster; add --engine ray")
        return Workers(workers, corpus.path / IN_HAND)
    if engine == "ray":
        from tuwen.engine.ray import RayWorkers

        return RayWorkers(workers, address)
    raise UsageError(f"no engine {engine!r}; there are local and ray")


def _is_recipe_of(corpus: Corpus, recipe: Recipe) -> bool:
    """Whether the last build had this recipe; what it had is not asked of a file that is damaged."""
    try:
        return bool(recipe.mapping == corpus.recipe())
    except TuwenError:
        return False


def _checked(recipe: Recipe, path: Path, *, allow_code: bool) -> Order:
    """The order of the stages, joins included, after all that can be known to be wrong before anything runs."""
    order = Order.of([*recipe.stages, *joined_stages(path)])
    for stage in [*order.stages, *order.adders]:
        if model_hash := option(stage, "model_hash"):
            model_hash()  # a list or model that is not there: the corpus keeps the recipe that it was made with

    def columns(table: str) -> set[str]:
        written = {name for stage in order.stages if stage.table == table for name in written_schema(stage).names}
        return {*TABLES[table].schema.names, *written}

    for selection in parse_selections(recipe.mapping.get("selections") or {}, allow_code=allow_code).values():
        check_columns(selection, columns)
    return order


def clear_tmp(corpus: Corpus) -> None:
    """Remove what dead processes left; a funnel or release that runs right now keeps its spill files."""
    for path in corpus.folder("tmp").iterdir():
        number = path.name.partition("-")[2].partition("-")[0]
        if number.isdigit() and Path(f"/proc/{number}").exists() and int(number) != os.getpid():
            continue
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _choose(recipe: Recipe, order: Order, runner: Runner) -> HeldFile:
    """Run the stages that the fetch's selection needs, and judge: the ledger says which pairs are to be fetched."""
    assert recipe.fetch is not None and recipe.fetch.select is not None
    selections = parse_selections(recipe.mapping.get("selections") or {})
    for part in Order.of(stages_before_fetching(recipe.fetch.select, selections, order)).passes:
        runner.run(part)
    return Ledger.open_or_judge(runner.corpus, recipe.fetch.select).file


@dataclass
class Runner:
    """Runs passes of stages, one after the other, and notes in `built` what came of them. Only under the write lock."""

    corpus: Corpus
    order: Order
    pool: Mapper
    progress: Progress
    log: RunLog
    built: Built
    limits: Limits = NO_LIMITS

    def run(self, part: Pass) -> None:
        """Run one pass: prepare states, run tasks, commit as they finish."""
        freshness = Freshness(self.corpus, self.order)
        work: dict[int, list[Work]] = {}
        for _, items in freshness.work(part.stages):
            for item in items:
                work.setdefault(item.fragment.id, []).append(item)
        for stage in part.stages:  # of an empty table too: others may follow keys into it
            declare_columns(self.corpus, part.table, name_of(stage), written_schema(stage))
        if not work:
            return
        busy = {name_of(item.stage) for items in work.values() for item in items}
        pending = [stage for stage in part.stages if name_of(stage) in busy]
        states: dict[str, Path] = {}
        for stage in pending:
            if kind_of(stage) != "local":
                states[name_of(stage)] = write_state(self.corpus, stage)
        identities = {name_of(stage): Freshness(self.corpus, self.order).identity(stage) for stage in pending}
        tasks = [self._task(part, items, freshness, identities, states) for items in work.values()]
        self._execute(part, tasks, title=_title(part, pending))
        for path in states.values():
            if path.parent.name == "tmp":
                path.unlink()

    def _task(
        self, part: Pass, items: list[Work], freshness: Freshness, identities: dict[str, Any], states: dict[str, Path]
    ) -> Task:
        fragment = items[0].fragment
        stages = []
        for item in items:
            name = name_of(item.stage)
            record = {**identities[name], "reads": freshness.reads(item.stage, fragment)}
            stages.append(StageTask(item.stage, record, states.get(name)))
        return Task(
            self.corpus.path,
            part.table,
            fragment.id,
            fragment.base,
            fragment.num_rows,
            tuple(stages),
        )

    def _execute(self, part: Pass, tasks: list[Task], title: str) -> None:
        finished: list[ColumnFile] = []
        last = time.monotonic()
        total = sum(task.num_rows for task in tasks)
        with self.progress.phase(title, total, "rows") as phase:
            try:
                for outcome in self.pool.unordered(run, tasks):
                    finished += outcome.files
                    note_finished(self.corpus, part.table, outcome.files)
                    self._note(outcome)
                    phase.advance(outcome.num_rows)
                    if time.monotonic() - last >= COMMIT_EVERY_S:
                        self._commit(part.table, finished)
                        finished, last = [], time.monotonic()
                        self.limits.check_disk(self.corpus.path)
            except BaseException:  # a failed task must not cost what the others have finished
                with contextlib.suppress(Exception):  # and its error is the one to tell
                    commit_columns(self.corpus, part.table, finished)
                raise
        self._commit(part.table, finished)

    def _commit(self, table: str, files: list[ColumnFile]) -> None:
        commit_columns(self.corpus, table, files)
        forget_finished(self.corpus)

    def _note(self, outcome: Outcome) -> None:
        for file in outcome.files:
            self.built.stage_rows[file.stage] = self.built.stage_rows.get(file.stage, 0) + file.num_rows
        for stage, counts in outcome.errors.items():
            known = self.built.errors.setdefault(stage, {})
            for kind, count in counts.items():
                known[kind] = known.get(kind, 0) + count
        self.log.write(
            "fragment",
            table=outcome.task.table,
            fragment=outcome.task.fragment_id,
            stages=[file.stage for file in outcome.files],
            rows=outcome.num_rows,
            errors=outcome.errors,
            examples=outcome.examples,
            cpu_s=round(outcome.cpu_s, 3),
            stage_cpu_s={stage: round(seconds, 3) for stage, seconds in outcome.stage_cpu_s.items()},
        )
