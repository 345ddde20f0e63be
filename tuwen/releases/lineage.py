"""recipe.json: how the corpus of a release was made, without a trace of where or in what order.

Paths and file names belong to a machine and the order of inputs to one run, so none is written. What was read is said
by the units instead: each by the fingerprint of its content, the part of `source_unit` after the last colon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.joins import joins_of
from tuwen.corpus.tables import TABLES
from tuwen.fetching.settings import FETCHED
from tuwen.releases.manifest import canonical_json

RECIPE = "recipe.json"
_WORD = re.compile(r"[\w-]+")
# What fetchers append is cut by time, so its units say nothing that another run would say again.
_DECIDING = ("obey", "site_files", "max_bytes", "max_pixels", "reencode", "select")
_UNIT_COLUMNS = ("source", "source_unit", "num_records", "num_bad_records", "error")


def lineage(corpus: Corpus) -> dict[str, Any]:
    """Name and description, sources, fetching, stages with parameters, joins, columns by their stages, units read."""
    recipe = corpus.recipe()
    units = [unit for unit in corpus.table("units", _UNIT_COLUMNS).to_pylist() if unit["source"] != FETCHED]
    return {
        "name": recipe.get("name"),
        "description": recipe.get("description"),
        "sources": _sorted([_without_paths(entry) for entry in recipe.get("sources") or []]),
        "fetch": _fetching(recipe.get("fetch")),
        "stages": _sorted([_without_folder(entry) for entry in recipe.get("stages") or []]),
        "joins": [record.provenance for record in joins_of(corpus.path)],
        "columns": {
            table: {name: stage for name, stage in corpus.columns(table).items() if stage is not None}
            for table in TABLES
        },
        "units": _sorted([{**unit, "source_unit": unit["source_unit"].rpartition(":")[2]} for unit in units]),
    }


def _fetching(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Those settings of the fetcher that decide what is kept: not who fetched, from where and how fast."""
    return None if settings is None else {name: settings[name] for name in _DECIDING if name in settings}


def _sorted(entries: list[Any]) -> list[Any]:
    return sorted(entries, key=canonical_json)


def _without_paths(entry: Any) -> Any:
    """A source without those parameters that could name a place: strings of more than a word, and lists."""
    if not isinstance(entry, Mapping):
        return entry
    return {
        name: {key: value for key, value in parameters.items() if _is_setting(value)}
        if isinstance(parameters, Mapping)
        else parameters
        for name, parameters in entry.items()
    }


def _without_folder(entry: Any) -> Any:
    """A stage that reads a folder with the folder's name alone, not where it lies."""
    if not isinstance(entry, Mapping):
        return entry
    return {
        name: {
            key: PurePath(value).name if key == "folder" and isinstance(value, str) else value
            for key, value in parameters.items()
        }
        if isinstance(parameters, Mapping)
        else parameters
        for name, parameters in entry.items()
    }


def _is_setting(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and bool(_WORD.fullmatch(value)))
    )
