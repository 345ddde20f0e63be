"""The rows a selection starts from: one SQL query with exactly the columns that its steps read.

Columns keep the names that rules use: bare for the selection's own table, `image.width` and `document.title` for the
rows that a pair belongs to. Some columns exist only here: `within:NAME`, `num_kept_images`, and the tombstone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuwen.corpus.tables import TABLES
from tuwen.errors import UsageError
from tuwen.selections.held import HeldFile
from tuwen.selections.selection import NUM_KEPT_IMAGES, UNITS, Selection
from tuwen.selections.steps import ID, WITHIN
from tuwen.selections.takedowns import Takedowns
from tuwen.selections.tree import quoted
from tuwen.stages import stage_that_writes

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

TOMBSTONE = "_tombstone"  # why the row was taken down; null for nearly all

_KEYS = {unit: TABLES[table].key for unit, table in UNITS.items()}
_JOINED = {"pair": ("image", "document"), "image": (), "document": ()}
# Where a row's relations to other units are written, and by which stage.
_LINKS = {"pairs": ("image_id", "pair.resolve"), "documents": ("image_ids", "document.resolve")}


@dataclass
class Candidates:
    """`sql` gives `ID` and the columns asked for; it sees the columns `tables` of the corpus' tables.

    `others` are the files that it reads, open as long as this is there.
    """

    sql: str = ""
    tables: dict[str, list[str]] = field(default_factory=dict)
    others: Mapping[str, Kept] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """What another selection keeps, as a file: its unit, and a Parquet with id and step (null: kept)."""

    unit: str
    file: HeldFile

    @property
    def sql(self) -> str:
        return f"(SELECT id FROM {self.file.sql} WHERE step IS NULL)"


def candidates(corpus: Corpus, selection: Selection, others: Mapping[str, Kept]) -> Candidates:
    """The query for a selection, given what the selections that it builds on keep.

    `UsageError` for a column that does not exist, with the nearest name or the stage that would write it.
    """
    return _Query(corpus, selection, others).build()


def check_columns(selection: Selection, columns: Callable[[str], Collection[str]]) -> None:
    """`UsageError` for a column that `columns(table)` will not have: so that a long build fails before it begins."""
    for name in selection.reads():
        made_up = selection.unit == "document" and name == NUM_KEPT_IMAGES and selection.images
        if not name.startswith(WITHIN) and not made_up:
            resolved(selection, name, columns)


def resolved(
    selection: Selection, name: str, columns: Callable[[str], Collection[str]], stages: Collection[str] = ()
) -> tuple[str, str]:
    """(unit, column) that a name in a rule means; `UsageError` where there is none, or where one of `stages` was to
    write it."""
    own = selection.unit
    prefix, _, column = name.rpartition(".")
    unit = prefix or own
    if unit != own and unit not in _JOINED[own]:
        joined = " and ".join(f"{other}.NAME" for other in _JOINED[own])
        raise UsageError(
            f"selection {selection.name}: no column {name!r}; a rule on {own}s reads columns of {UNITS[own]}"
            + (f", and {joined}" if joined else "")
        )
    table = UNITS[unit]
    known = columns(table)
    if column not in known:
        raise UsageError(f"selection {selection.name}: {_unknown(table, name, column, known, stages)}")
    if column in TABLES[table].blobs:
        raise UsageError(f"selection {selection.name}: {name!r} holds image bytes, which no rule can judge")
    return unit, column


class _Query:
    def __init__(self, corpus: Corpus, selection: Selection, others: Mapping[str, Kept]) -> None:
        self._corpus = corpus
        self._selection = selection
        self._others = others
        self._joins: dict[str, str] = {}
        self._used: dict[str, dict[str, None]] = {}

    def build(self) -> Candidates:
        unit, table = self._selection.unit, self._selection.table
        key = _KEYS[unit]
        self._use(table, key)
        columns = [f"{unit}.{key} AS {ID}"]
        columns += [f"{self._column(name)} AS {quoted(name)}" for name in self._selection.reads()]
        columns.append(f"{self._tombstone()} AS {quoted(TOMBSTONE)}")
        sql = " ".join([f"SELECT {', '.join(columns)} FROM {table} AS {unit}", *self._joins.values()])
        return Candidates(sql, {name: list(used) for name, used in self._used.items()}, self._others)

    def _use(self, table: str, *columns: str) -> None:
        self._used.setdefault(table, {}).update(dict.fromkeys(columns))

    def _link(self, table: str) -> str:
        """The column of `table` that names images; without its stage nothing can be related."""
        column, stage = _LINKS[table]
        if column not in self._corpus.columns(table):
            raise UsageError(
                f"selection {self._selection.name} follows {table} to their images, but {table} have no {column!r}; "
                f"{_advice(stage, self._corpus.named_stages())}"
            )
        self._use(table, TABLES[table].key, column)
        return column

    def _join(self, unit: str) -> str:
        """Join the row that a pair belongs to; the alias is the unit's name."""
        if unit not in self._joins:
            link = self._link("pairs") if unit == "image" else "document_id"
            self._use("pairs", link)
            self._use(UNITS[unit], _KEYS[unit])
            self._joins[unit] = f"LEFT JOIN {UNITS[unit]} AS {unit} ON {unit}.{_KEYS[unit]} = pair.{link}"
        return unit

    def _column(self, name: str) -> str:
        own = self._selection.unit
        if name.startswith(WITHIN):
            return self._within(name.removeprefix(WITHIN))
        if own == "document" and name == NUM_KEPT_IMAGES and self._selection.images:
            return self._num_kept_images(self._selection.images)
        corpus = self._corpus
        unit, column = resolved(self._selection, name, corpus.current_columns, corpus.named_stages())
        alias = own if unit == own else self._join(unit)
        self._use(UNITS[unit], column)
        return f"{alias}.{quoted(column)}"

    def _within(self, name: str) -> str:
        """True, false, or null where the row belongs to nothing that could be kept."""
        kept, own = self._others[name], self._selection.unit
        alias = quoted(f"kept {name}")
        if kept.unit == own or own == "pair":
            key = f"{own}.{_KEYS[kept.unit]}"
            if kept.unit == "image" and own == "pair":
                self._link("pairs")
            elif kept.unit != own:
                self._use("pairs", _KEYS[kept.unit])
            self._joins[alias] = f"LEFT JOIN {kept.sql} AS {alias} ON {alias}.id = {key}"
            return f"CASE WHEN {key} IS NOT NULL THEN {alias}.id IS NOT NULL END"
        self._joins[alias] = (
            f"LEFT JOIN (SELECT DISTINCT id FROM ({self._belonging(kept)})) AS {alias} "
            f"ON {alias}.id = {own}.{_KEYS[own]}"
        )
        return f"({alias}.id IS NOT NULL)"

    def _belonging(self, kept: Kept) -> str:
        """Ids of the selection's own unit that the kept rows of a smaller or other unit belong to."""
        own = self._selection.unit
        if kept.unit == "pair":
            key = self._link("pairs") if own == "image" else "document_id"
            self._use("pairs", "pair_id", key)
            return f"SELECT {key} AS id FROM pairs JOIN {kept.sql} AS k ON k.id = pairs.pair_id"
        self._link("documents")
        shown = "(SELECT document_id, unnest(image_ids) AS image_id FROM documents)"
        return f"SELECT s.{_KEYS[own]} AS id FROM {shown} AS s JOIN {kept.sql} AS k ON k.id = s.{_KEYS[kept.unit]}"

    def _num_kept_images(self, images: str) -> str:
        self._link("documents")
        shown = "(SELECT DISTINCT document_id, unnest(image_ids) AS image_id FROM documents)"
        self._joins[NUM_KEPT_IMAGES] = (
            f"LEFT JOIN (SELECT document_id, count(*) AS n FROM {shown} AS s JOIN {self._others[images].sql} AS k "
            f"ON k.id = s.image_id GROUP BY document_id) AS kept_images "
            "ON kept_images.document_id = document.document_id"
        )
        return "coalesce(kept_images.n, 0)"

    def _tombstone(self) -> str:
        """SQL of the reason of a takedown; costs nothing while there is none."""
        if not self._corpus.count("tombstones"):
            return "CAST(NULL AS VARCHAR)"
        own = self._selection.unit
        gone = Takedowns.of(self._corpus, self._use)
        sources = {
            "image": [("image_id", gone.images)],
            "document": [("url", gone.urls("documents", "url"))],
            "pair": [("image_ref", gone.urls("pairs", "image_ref")), ("document_id", gone.documents)],
        }[own]
        if own == "pair":
            knows_images = "image_id" in self._corpus.columns("pairs")
            sources += [("image_id", gone.images)] if knows_images else []
            sources.append(("pair_id", gone.derived(knows_images)))
        reasons = []
        for column, relation in sources:
            alias = quoted(f"gone by {column}")
            self._use(self._selection.table, column)
            self._joins[alias] = f"LEFT JOIN ({relation}) AS {alias} ON {alias}.gone = {own}.{column}"
            reasons.append(f"{alias}.reason")
        return f"coalesce({', '.join(reasons)})"


def _advice(stage: str, stages: Collection[str]) -> str:
    """What brings the columns of a stage (or of `this or that`), when the recipe has `stages`."""
    if planned := [name for name in stage.split(" or ") if name in stages]:
        return f"the stage {planned[0]} of the recipe has not run; run tuwen build to its end"
    return f"add the stage {stage} to the recipe and run tuwen build"


def _unknown(table: str, name: str, column: str, known: Collection[str], stages: Collection[str]) -> str:
    if stage := stage_that_writes(table, column):
        return f"no column {name!r} yet; {_advice(stage, stages)}"
    close = difflib.get_close_matches(column, list(known), n=1)
    prefix = name[: len(name) - len(column)]
    return (
        f"{table} have no column {column!r}; "
        + (f"did you mean {prefix + close[0]!r}?" if close else f"they have {', '.join(known)}")
        + "; what a join brought and was dropped comes back with tuwen join DIR FILE --on KEY"
    )
