"""What a corpus holds and what is out of date, as plain values."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tuwen.corpus.columns import TableState
from tuwen.corpus.corpus import FORMAT, Corpus
from tuwen.corpus.joins import joins_of
from tuwen.corpus.tables import TABLES
from tuwen.corpus.versions import version_numbers
from tuwen.engine.checkup.journals import check_journals
from tuwen.engine.derive import pending_fragments, reader_of_adder
from tuwen.engine.ingest import outdated_units
from tuwen.engine.plan import Freshness, Order
from tuwen.engine.recipe import Recipe
from tuwen.parts import name_of
from tuwen.selections.saved import saved_names
from tuwen.stages import error_column
from tuwen.stages.joined import joined_stages

_UNIT_COLUMNS = ("source", "source_unit", "location", "num_records", "num_bad_records", "error", "message")


def status(path: str | Path, *, allow_code: bool = False) -> dict[str, Any]:
    """Tables, stages with their freshness and errors, damaged units, selections, versions. Reads no source."""
    corpus = Corpus.open(path)
    recipe = Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    order = Order.of([*recipe.stages, *joined_stages(corpus.path)])
    tables = {}
    for name in TABLES:
        state = TableState.read(corpus, name)
        rows = sum(fragment.num_rows for fragment in state.fragments)
        tables[name] = {
            "num_rows": rows,
            "num_fragments": len(state.fragments),
            "num_columns": len(corpus.columns(name)),
        }
    return {
        "path": str(path),
        "format": FORMAT,
        "versions": version_numbers(corpus.path),
        "tables": tables,
        "stages": _stages(corpus, order, tables),
        "joins": [asdict(record) for record in joins_of(corpus.path)],
        "unfinished": [f"{finding.what}; {finding.advice}" for finding in check_journals(corpus)],
        "selections": list(recipe.mapping.get("selections") or {}),
        "saved_selections": saved_names(corpus),
        "outdated_units": [*outdated_units(corpus, recipe.sources), *_outdated_rows(corpus, order)],
        "damaged_units": corpus.table("units", _UNIT_COLUMNS, "error IS NOT NULL OR num_bad_records > 0").to_pylist(),
    }


def _stages(corpus: Corpus, order: Order, tables: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for stage, work in Freshness(corpus, order).work(order.stages_in_order()):
        total = tables[stage.table]["num_rows"]
        found.append(
            {
                "stage": name_of(stage),
                "table": stage.table,
                "num_rows": total,
                "num_fresh": total - sum(item.fragment.num_rows for item in work),
                "reasons": sorted({item.reason for item in work}),
                "errors": _errors(corpus, stage.table, error_column(stage)),
            }
        )
    for stage in order.adders:
        waiting = pending_fragments(corpus, order, stage)
        total = tables[stage.table]["num_rows"]
        found.append(
            {
                "stage": name_of(stage),
                "table": stage.table,
                "num_rows": total,
                "num_fresh": total - sum(fragment.num_rows for fragment in waiting),
                "reasons": ["adds pairs that are not made yet"] if waiting else [],
                "errors": {},
            }
        )
    return found


def _outdated_rows(corpus: Corpus, order: Order) -> list[dict[str, str]]:
    """Units of rows that a stage added with other parameters than it has now; they stay."""
    readers = {name_of(stage): reader_of_adder(corpus, order, stage) for stage in order.adders}
    return [
        {"location": unit["location"], "message": f"rows that {unit['source']} added when it was another: they stay"}
        for unit in corpus.table("units", ["source", "location", "reader"]).to_pylist()
        if unit["reader"] != readers.get(unit["source"], unit["reader"])
    ]


def _errors(corpus: Corpus, table: str, column: str) -> dict[str, int]:
    if column not in corpus.columns(table):
        return {}
    query = f'select "{column}" as kind, count(*) as n from {table} where "{column}" is not null group by 1 order by 1'
    return {row["kind"]: row["n"] for row in corpus.sql(query, {table: [column]}).read_all().to_pylist()}
