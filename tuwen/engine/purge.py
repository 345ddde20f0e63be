"""Physical removal of what was taken down: afterwards its bytes and texts are nowhere in the corpus folder.

1. `rewriting`: fragments of pairs, documents and images that hold such rows are written again without them, and joins
   without their keys. What was up to date stays so, columns that look at the whole corpus apart: they count rows that
   are gone, and the next build computes them anew. Killed here, everything is put back as it was.
2. `cleaning`: earlier corpus versions are given up, superseded files, ledgers, replies of judges, examples in logs and
   spooled attempts go, indexes are made anew. Killed here, the next purge goes on; each step may be repeated.

Attempts (`fetches`) and tombstones stay: they hold addresses and digests, neither bytes nor texts, and keep what was
taken down from coming back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.corpus.columns import remove_partial_files
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import build_index, drop_indexes, remove_rubbish
from tuwen.corpus.joins import JoinRecord, joins_of, save_join, unnamed_states
from tuwen.corpus.keys import packed_keys
from tuwen.corpus.rewriting import (
    CLEANING,
    JOURNAL,
    Losing,
    advance,
    begin,
    finish,
    forget_versions,
    losing,
    replace_fragments,
    write_again,
)
from tuwen.corpus.tables import TABLES
from tuwen.corpus.tombstones import Barred
from tuwen.corpus.units import recover
from tuwen.corpus.versions import tag_version, version_numbers
from tuwen.engine.build import clear_tmp
from tuwen.engine.derive import seal_again
from tuwen.engine.fetch import FOLDER as SPOOLS
from tuwen.engine.joins_without import joins_without
from tuwen.engine.plan import Order, surveyed
from tuwen.engine.recipe import Recipe
from tuwen.engine.relabel import relabel, relabelled
from tuwen.fetching.spool import rewrite_left_over
from tuwen.parts import name_of
from tuwen.releases.footprint import gone
from tuwen.stages import kind_of
from tuwen.stages.joined import JoinedColumns, joined_stages

RELATIONS = {"pairs": "gone_rows", "documents": "gone_documents", "images": "gone_images"}
"""Tables that lose rows, in this order, and the relation that holds their ids."""


@dataclass
class Purged:
    """What a purge did. `fitted`: states fitted to rows that are gone; they hold no row, but may hold words of them."""

    rows: dict[str, int] = field(default_factory=dict)  # removed, per table
    num_fragments: int = 0  # written again
    versions: list[int] = field(default_factory=list)  # corpus versions that were given up
    fitted: list[str] = field(default_factory=list)
    version: int | None = None
    num_bytes_freed: int = 0
    went_on: bool = False  # with the cleaning of a purge that was killed

    @property
    def did_nothing(self) -> bool:
        """Whether there was nothing to remove."""
        return not self.rows and not self.went_on


def purge(corpus: Corpus | str | Path, *, allow_code: bool = False) -> Purged:
    """Remove what was taken down from the disk, and finish what a killed purge had begun. Takes the write lock.

    `TuwenError` if another tuwen writes; `UsageError` where the recipe names code and `allow_code` is not given.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    recipe = Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    done = Purged()
    with corpus.writing():
        size = _size(corpus.path)
        recover(corpus)
        remove_partial_files(corpus)
        remove_rubbish(corpus)
        left = JOURNAL.begun(corpus)
        if left is not None and left["phase"] == CLEANING:
            _clean(corpus, left, done)
            done.went_on = True
        parts = {table: losing(corpus, table, ids) for table, ids in gone_ids(corpus).items()}
        if any(parts.values()):
            _rewrite(corpus, Order.of([*recipe.stages, *joined_stages(corpus.path)]), parts, done)
            begun = JOURNAL.begun(corpus)
            assert begun is not None
            _clean(corpus, begun, done)
        done.num_bytes_freed = max(0, size - _size(corpus.path))
    return done


def gone_ids(corpus: Corpus) -> dict[str, NDArray[Any]]:
    """Per table the ids of the rows that were taken down and are still there, ascending, 16 bytes each."""
    if not corpus.count("tombstones"):
        return {}
    found = {}
    with gone(corpus) as connection:
        for table, relation in RELATIONS.items():
            key = TABLES[table].key
            query = f"SELECT {key} FROM {table} WHERE {key} IN (FROM {relation})"
            pieces = [packed_keys(batch.column(0)) for batch in connection.sql(query).to_arrow_reader(65_536)]
            found[table] = np.sort(np.concatenate([np.empty(0, "S16"), *pieces]))
    return found


def _rewrite(corpus: Corpus, order: Order, parts: Mapping[str, list[Losing]], done: Purged) -> None:
    """Phase 1. Whatever is written before its commit is named by nothing, and is swept away in phase 2 or the next."""
    lost = {
        table: np.concatenate([_lost(corpus, table, part) for part in found]) for table, found in parts.items() if found
    }
    old, new = joins_without(corpus, lost)
    after = _with_joins(order, new, corpus.path)
    records = relabelled(corpus, order, after, parts)
    indexed = [[table, column] for table in RELATIONS if parts[table] for column in _indexed(corpus, table)]
    fitted = [name_of(stage) for stage in order.stages if kind_of(stage) == "fitted" and _saw(stage, parts)]
    begin(corpus, [asdict(record) for record in old], indexes=indexed, fitted=fitted)
    for record in new:
        save_join(corpus.path, record)
    for table, found in parts.items():
        if not found:
            continue
        drop_indexes(corpus, table)
        written = [
            write_again(corpus, table, part, records.losing.get((table, part.fragment.id), {})) for part in found
        ]
        replace_fragments(
            corpus, table, [part.fragment.id for part in found], [each for each in written if each is not None]
        )
        done.rows[table] = sum(part.num_lost for part in found)
        done.num_fragments += len(found)
    relabel(corpus, records.others)
    for stage in order.adders:
        seal_again(corpus, after, stage, [(part.fragment, part.after) for part in parts.get(stage.table, [])])
    advance(corpus, rows=done.rows)


def _lost(corpus: Corpus, table: str, part: Losing) -> NDArray[Any]:
    fragment = corpus.dataset(table).get_fragment(part.fragment.id)
    assert fragment is not None
    keys = fragment.to_table(columns=[TABLES[table].key]).column(0).combine_chunks()
    return np.asarray(packed_keys(keys)[~part.keep])


def _with_joins(order: Order, new: list[JoinRecord], path: Path) -> Order:
    changed = {record.stage: JoinedColumns.of(record, path) for record in new}
    return Order.of([*(changed.get(name_of(stage), stage) for stage in order.stages), *order.adders])  # type: ignore[list-item]


def _indexed(corpus: Corpus, table: str) -> list[str]:
    from tuwen.corpus.indexes import index_states

    return [state.column for state in index_states(corpus) if state.table == table]


def _saw(stage: Any, parts: Mapping[str, list[Losing]]) -> bool:
    tables = {stage.table, *(table for table, _ in surveyed(stage))}
    return any(parts.get(table) for table in tables)


def _clean(corpus: Corpus, begun: Mapping[str, Any], done: Purged) -> None:
    """Phase 2. Every step may be repeated; the journal goes last."""
    for name in ("ledgers", "cache"):
        shutil.rmtree(corpus.path / name, ignore_errors=True)
    for path in sorted((corpus.path / "logs").glob("*.jsonl")):
        _without_examples(path)
    barred = Barred(corpus)
    rewrite_left_over(corpus.path / SPOOLS, lambda attempt: not barred.holds(attempt.url, attempt.image_id))
    clear_tmp(corpus)
    joins = {record.name: record for record in joins_of(corpus.path)}
    for path in unnamed_states(corpus.path, joins):
        path.unlink()
    for table, column in begun["indexes"]:
        if column in corpus.dataset(table).schema.names:  # a join may have been dropped since it was cut off
            build_index(corpus, table, column)
    done.version = tag_version(corpus, "purge")
    done.versions += [number for number in version_numbers(corpus.path) if number < done.version]
    forget_versions(corpus, done.versions)
    done.fitted = sorted({*done.fitted, *begun["fitted"]})
    finish(corpus)


def _without_examples(path: Path) -> None:
    """A log without what quotes rows: tracebacks of stages that failed on some."""
    lines = path.read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line]
    if not any(event.get("examples") for event in events):
        return
    partial = path.with_name(f".{path.name}.partial")
    kept = ({name: value for name, value in event.items() if name != "examples"} for event in events)
    partial.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in kept), encoding="utf-8")
    partial.replace(path)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
