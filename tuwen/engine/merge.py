"""Two corpora as one: the rows of the first, and those of the second that the first does not have.

A merged corpus is what one build would have made that read the units of the first and then those of the second: no
image, page, attempt or pair twice; of a page that both have, the first one's pairs. What one of the two has taken down
does not come in with the second. What was computed comes along and stays up to date, columns that look at the whole
corpus apart, which the next build computes anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lance.fragment import DataFile, FragmentMetadata
from numpy.typing import NDArray

from tuwen.corpus.columns import parse_name
from tuwen.corpus.corpus import LOCK, STAGE_KEY, Corpus, write_json
from tuwen.corpus.indexes import drop_indexes, update_indexes
from tuwen.corpus.joins import joins_of
from tuwen.corpus.keys import are_among, packed_keys
from tuwen.corpus.rewriting import forget_versions, losing, replace_fragments, write_again
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows, recover, sealed_units
from tuwen.corpus.versions import tag_version, version_numbers
from tuwen.engine.derive import seal_again
from tuwen.engine.plan import Order
from tuwen.engine.purge import gone_ids, purge
from tuwen.engine.recipe import Recipe
from tuwen.engine.relabel import relabel, relabelled
from tuwen.errors import TuwenError, UsageError
from tuwen.stages.joined import joined_stages

MERGED = ("documents", "fetches", "images", "pairs")
_LEFT_BEHIND = shutil.ignore_patterns(LOCK, "ledgers", "logs", "tmp", "cache", "fetching", "*-journal.json", ".*")


@dataclass
class Merged:
    """Rows of the second corpus, per table: those that were added, those that the first had already, and those that
    stayed out because they were taken down. `hidden`: rows of the first that are taken down and wait for a purge."""

    added: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    barred: dict[str, int] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def merge(first: str | Path, second: str | Path, to: str | Path, *, allow_code: bool = False) -> Merged:
    """Make the new corpus `to` of two; both stay as they are. Needs room for both, and locks both meanwhile.

    The recipe is that of the first with the sources, and those stages and selections, that only the second has. Raises
    `UsageError` for a folder that is taken or lies in one of the two, for joins of one name and different content, and
    where a recipe names code and `allow_code` is not given.
    """
    one, two, target = Corpus.open(first), Corpus.open(second), Path(to).resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is not an empty folder; name a new one")
    if one.path.resolve() == two.path.resolve():
        raise UsageError(f"{one.path} and {two.path} are one corpus; name two")
    for corpus in (one, two):
        if target.is_relative_to(corpus.path.resolve()):
            raise UsageError(f"{target} lies in the corpus {corpus.path}; name a folder elsewhere")
        Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed merge left
    merged = Merged()
    try:
        with one.writing(), two.writing():
            for corpus in (one, two):
                recover(corpus)
            _check_joins(one, two)
            shutil.copytree(one.path, partial, ignore=_LEFT_BEHIND)
            shutil.copytree(two.path, partial / "tmp" / "second", ignore=_LEFT_BEHIND)
        _merge(Corpus.open(partial), Corpus.open(partial / "tmp" / "second"), merged, allow_code)
        if target.exists():
            target.rmdir()
        partial.rename(target)  # a corpus appears whole or not at all
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return merged


def _merge(corpus: Corpus, other: Corpus, merged: Merged, allow_code: bool) -> None:
    recipe = Recipe.from_mapping(other.recipe(), allow_code=allow_code)
    with other.writing():
        _append_new(other, corpus, "tombstones", ["kind", "value"])
    merged.barred = purge(other, allow_code=allow_code).rows
    merged.known = _drop_known(corpus, other, Order.of([*recipe.stages, *joined_stages(other.path)]))
    with corpus.writing():
        for table in MERGED:
            drop_indexes(other, table)
            merged.added[table] = _adopt(corpus, other, table, merged)
        _append_units(corpus, other)
        _append_new(corpus, other, "tombstones", ["kind", "value"])
        _adopt_files(corpus, other)
        united = _recipe(corpus.recipe(), other.recipe(), merged, allow_code)
        write_json(corpus.path / "recipe.json", united, sort_keys=False)
        shutil.rmtree(corpus.path / "tmp")
        update_indexes(corpus)
        number = tag_version(corpus, "merge")
        forget_versions(corpus, [each for each in version_numbers(corpus.path) if each < number])
    merged.hidden = {table: len(ids) for table, ids in gone_ids(corpus).items() if len(ids)}


def _drop_known(corpus: Corpus, other: Corpus, order: Order) -> dict[str, int]:
    """Take out of `other` what `corpus` has, so that what is left can be added as it is."""
    known = {table: _known(corpus, other, table) for table in MERGED}
    parts = {table: losing(other, table, ids) for table, ids in known.items()}
    records = relabelled(other, order, order, parts)
    for table, found in parts.items():
        if found:
            written = [
                write_again(other, table, part, records.losing.get((table, part.fragment.id), {})) for part in found
            ]
            old = [part.fragment.id for part in found]
            replace_fragments(other, table, old, [each for each in written if each is not None])
    relabel(other, records.others)
    for stage in order.adders:
        seal_again(other, order, stage, [(part.fragment, part.after) for part in parts.get(stage.table, [])])
    return {table: len(ids) for table, ids in known.items()}


def _known(corpus: Corpus, other: Corpus, table: str) -> NDArray[Any]:
    """Ids of rows of `other` that `corpus` has, or, of original pairs, whose page it has; ascending."""
    key = TABLES[table].key
    have = _keys(corpus, table, key)
    pages = _keys(corpus, "documents", "document_id") if table == "pairs" else have[:0]
    found = [have[:0]]
    for batch in other.scan(table, [key, *(["document_id", "derived_from"] if table == "pairs" else [])]):
        keys = packed_keys(batch.column(0))
        mask = are_among(keys, have)
        if table == "pairs":
            original = batch["derived_from"].is_null().to_numpy(zero_copy_only=False)
            listed = batch["document_id"].is_valid().to_numpy(zero_copy_only=False)
            mask |= are_among(packed_keys(batch["document_id"]), pages) & original & listed
        found.append(keys[mask])
    return np.sort(np.concatenate(found))


def _keys(corpus: Corpus, table: str, key: str) -> NDArray[Any]:
    pieces = [packed_keys(batch.column(0)) for batch in scan_dataset(corpus.dataset(table), [key])]
    return np.sort(np.concatenate([np.empty(0, "S16"), *pieces]))


def _adopt(corpus: Corpus, other: Corpus, table: str, merged: Merged) -> int:
    """Move the fragments of `other` into `corpus`, with the columns of stages that fit there; returns their rows."""
    stages = _declared(corpus, other, table, merged)
    target, fragments, num_rows = corpus.dataset(table), [], 0
    data = corpus.path / f"{table}.lance" / "data"
    for fragment in other.dataset(table).get_fragments():
        metadata: FragmentMetadata = fragment.metadata
        files = []
        for file in metadata.files:
            name = str(file.path)
            origin = parse_name(name)
            if origin is not None and origin.stage not in stages:
                continue
            for path in _with_blobs(other.path / f"{table}.lance" / "data", name):
                shutil.move(path, data / path.name)
            files.append(file if origin is None else DataFile.create(target, name))
        metadata.id = 0  # Lance gives it one
        metadata.files = files
        fragments.append(metadata)
        num_rows += fragment.physical_rows
    if fragments:
        replace_fragments(corpus, table, [], fragments)
    return num_rows


def _with_blobs(data: Path, name: str) -> list[Path]:
    return [path for path in (data / name, data / name.removesuffix(".lance")) if path.exists()]


def _declared(corpus: Corpus, other: Corpus, table: str, merged: Merged) -> set[str]:
    """Stages of `other` whose columns `corpus` has, or can have, under the same names and types."""
    theirs: dict[str, list[pa.Field]] = {}
    for column in other.dataset(table).schema:
        if stage := (column.metadata or {}).get(STAGE_KEY, b"").decode():
            theirs.setdefault(stage, []).append(column)
    fitting = set()
    for stage, columns in theirs.items():
        schema = corpus.dataset(table).schema
        ours = {c.name: c.type for c in schema if (c.metadata or {}).get(STAGE_KEY, b"").decode() == stage}
        if not ours and not {column.name for column in columns} & set(schema.names):
            corpus.dataset(table).add_columns(pa.schema(columns))
        elif ours != {column.name: column.type for column in columns}:
            merged.notes.append(f"columns of {stage} in {table} differ in the two; the next build computes them")
            continue
        fitting.add(stage)
    return fitting


def _append_units(corpus: Corpus, other: Corpus) -> None:
    known = sealed_units(corpus)
    rows = [row for row in other.table("units").to_pylist() if (row["source"], row["source_unit"]) not in known]
    append_rows(corpus, "units", [pa.RecordBatch.from_pylist(rows, TABLES["units"].schema)] if rows else [])


def _append_new(corpus: Corpus, other: Corpus, table: str, keys: list[str]) -> None:
    known = {tuple(row.values()) for row in corpus.table(table, keys).to_pylist()}
    rows = [row for row in other.table(table).to_pylist() if tuple(row[key] for key in keys) not in known]
    append_rows(corpus, table, [pa.RecordBatch.from_pylist(rows, TABLES[table].schema)] if rows else [])


def _check_joins(one: Corpus, two: Corpus) -> None:
    ours = {record.name: record for record in joins_of(one.path)}
    for record in joins_of(two.path):
        known = ours.get(record.name)
        if known is not None and (known.content, known.table, known.on) != (record.content, record.table, record.on):
            raise UsageError(
                f"both corpora have a join {record.name!r}, of different content; join both files to one under another "
                f"--name, or take one away: tuwen join {two.path} --drop {record.name}"
            )


def _adopt_files(corpus: Corpus, other: Corpus) -> None:
    """Joins, fitted states and saved selections that only the second has."""
    for folder in ("joins", "states", "selections"):
        for path in sorted((other.path / folder).glob("*")):
            if not (corpus.path / folder / path.name).exists():
                shutil.copy(path, corpus.folder(folder) / path.name)


def _recipe(one: Mapping[str, Any], two: Mapping[str, Any], merged: Merged, allow_code: bool) -> dict[str, Any]:
    """The first recipe, and what only the second has."""
    recipe = dict(one) or dict(two)
    recipe["sources"] = _sources(one.get("sources") or [], two.get("sources") or [], merged)
    stages = list(one.get("stages") or [])
    names = {_name(each) for each in stages}
    recipe["stages"] = [*stages, *(each for each in two.get("stages") or [] if _name(each) not in names)]
    selections = dict(two.get("selections") or {}) | dict(one.get("selections") or {})
    for name, definition in (two.get("selections") or {}).items():
        if selections[name] != definition:
            merged.notes.append(f"the selection {name} is that of the first; the second defines it otherwise")
    recipe["selections"] = selections
    try:
        Recipe.from_mapping(recipe, allow_code=allow_code)
    except TuwenError as error:
        raise UsageError(f"the recipes of the two do not fit together: {error}") from error
    return recipe


def _sources(one: Sequence[Any], two: Sequence[Any], merged: Merged) -> list[Any]:
    """Sources of both. Those of one name, by which units are known, become one that reads what the two read."""
    first, second = ([{each: {}} if isinstance(each, str) else each for each in entries] for entries in (one, two))
    sources = {_source_name(each): each for each in first}
    for entry in second:
        name = _source_name(entry)
        known = sources.setdefault(name, entry)
        if known == entry:
            continue
        kind = next(key for key in entry if key != "as")
        ours, theirs = dict(known.get(kind) or {}), dict(entry.get(kind) or {})
        lists = {
            key: value for key, value in theirs.items() if isinstance(value, list) and isinstance(ours.get(key), list)
        }
        united = {key: [*ours[key], *(each for each in value if each not in ours[key])] for key, value in lists.items()}
        if kind in known and {**ours, **united} == {**theirs, **united}:
            sources[name] = {**known, kind: {**ours, **united}}
        else:
            merged.notes.append(f"the source {name} of the recipe is that of the first; what the second read is there")
    return list(sources.values())


def _source_name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("as") or next(key for key in entry if key != "as"))


def _name(stage: Any) -> str:
    return str(next(iter(stage)) if isinstance(stage, Mapping) else stage)
