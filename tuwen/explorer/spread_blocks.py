"""What the page of distributions asks: a block for each question that the columns of a corpus can answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuwen.explorer.columns import Column
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.selections.selection import UNITS

UNIT_OF = {table: unit for unit, table in UNITS.items()}


@dataclass(frozen=True)
class Block:
    """One question: a `kind` of answer, about `names` of the columns of the rows of a view. `title`: its columns."""

    kind: str
    view: View
    names: tuple[str, ...]
    title: str

    @property
    def url(self) -> str:
        """Where its answer is."""
        return self.view.url("/spread", kind=self.kind, columns=",".join(self.names))


_WANTED: dict[str, tuple[tuple[str, str, str], ...]] = {  # section → (kind, table, column)
    "hosts": (("hosts", "documents", "url"), ("hosts", "pairs", "image_ref")),
    "languages": (("values", "pairs", "language"), ("values", "documents", "language")),
    "sources": (("values", "pairs", "text_source"), ("values", "pairs", "region"), ("values", "pairs", "source")),
    "lengths": (
        ("numbers", "pairs", "num_characters"),
        ("numbers", "pairs", "num_words"),
        ("numbers", "documents", "num_characters"),
        ("numbers", "documents", "num_images"),
    ),
    "images": (("values", "images", "format"), ("numbers", "images", "num_bytes")),
    "duplicates": (("numbers", "images", "num_pages"), ("numbers", "images", "num_hosts")),
    "fetches": (("values", "pairs", "fetch_error"), ("values", "images", "decode_error")),
}
SECTIONS = [
    "hosts",
    "languages",
    "sources",
    "lengths",
    "images",
    "duplicates",
    "optouts",
    "fetches",
    "concepts",
    "scores",
]


def is_whole(view: View) -> bool:
    """Whether a view asks for no rows in particular."""
    return not (view.where or view.terms or view.lasso)


def sections(snapshot: Snapshot, view: View) -> dict[str, list[Block]]:
    """The blocks of each section: about the tables as they are, or, where the view asks for some rows, about these and
    what belongs to them. A section without a block is left out."""
    scope = _Scope(snapshot, view)
    found = {section: scope.blocks(_WANTED.get(section, ())) for section in SECTIONS}
    found["images"] = [*scope.sizes(), *found["images"]]
    found["duplicates"] = [*scope.clusters(), *found["duplicates"]]
    found["optouts"] = scope.optouts()
    if is_whole(view) and snapshot.corpus.count("fetches"):
        found["fetches"] = [Block("fetches", View(), (), "fetches"), *found["fetches"]]
    found["concepts"] = [
        block
        for table in UNITS.values()
        for column in scope.columns(table)
        if column.kind == "list" and (column.stage or "").startswith("concepts.")
        if (block := scope.block("concepts", table, column.stored))
    ]
    found["scores"] = scope.scores(
        {(each.view.unit, name) for blocks in found.values() for each in blocks for name in each.names}
    )
    return {section: blocks for section, blocks in found.items() if blocks}


class _Scope:
    """Names the columns that a view's rows can be asked about."""

    def __init__(self, snapshot: Snapshot, view: View) -> None:
        self._snapshot = snapshot
        self._view = view.changed(q="", like="", image="", sort="")
        self._whole = is_whole(view)

    def columns(self, table: str) -> list[Column]:
        """Of a table, those that can be asked about."""
        unit = UNIT_OF[table] if self._whole else self._view.unit
        if self._whole and not self._snapshot.num_rows(unit):
            return []
        return [each for each in self._snapshot.columns[unit].values() if each.table == table]

    def view(self, table: str) -> View:
        return View(unit=UNIT_OF[table]) if self._whole else self._view

    def block(self, kind: str, table: str, *stored: str) -> Block | None:
        """A block about columns of a table; None where one is not there."""
        names = {column.stored: column.name for column in self.columns(table)}
        if not all(name in names for name in stored):
            return None
        return Block(kind, self.view(table), tuple(names[name] for name in stored), f"{table}.{', '.join(stored)}")

    def blocks(self, wanted: Sequence[tuple[str, str, str]]) -> list[Block]:
        """Those (kind, table, column) that are there."""
        return [block for kind, table, stored in wanted if (block := self.block(kind, table, stored))]

    def sizes(self) -> list[Block]:
        block = self.block("sizes", "images", "width", "height")
        return [block] if block else []

    def clusters(self) -> list[Block]:
        names = [(table, c.stored) for table in ("images", "pairs", "documents") for c in self.columns(table)
                 if c.kind == "number" and c.stored.endswith("cluster_size")]  # fmt: skip
        return [block for table, name in names if (block := self.block("clusters", table, name))]

    def optouts(self) -> list[Block]:
        """Flags and lists of stages that look for objections, and the evidence that was found."""
        found = []
        for table in ("documents", "pairs"):
            names = [
                column.stored
                for column in self.columns(table)
                if (column.stage or "").endswith(".opt_out") and column.kind in ("flag", "list")
            ]
            if names and (block := self.block("flags", table, *names)):
                found.append(replace(block, title=table))
        wanted = (
            ("values", "documents", "license"),
            ("rights", "documents", "rights"),
            ("rights", "pairs", "image_rights"),
        )
        return found + self.blocks(wanted)

    def scores(self, taken: set[tuple[str, str]]) -> list[Block]:
        """All other numbers, those of one stage together. A hash is no number, for all that it is stored as one."""
        found = []
        for table in ("pairs", "images", "documents"):
            by_stage: dict[str | None, list[str]] = {}
            for column in self.columns(table):
                known = (self.view(table).unit, column.name) in taken or column.stored.endswith("hash")
                if column.kind == "number" and not known:
                    by_stage.setdefault(column.stage, []).append(column.stored)
            for stage, names in by_stage.items():
                block = self.block("numbers", table, *names)
                found += [replace(block, title=stage or table)] if block else []
        return sorted(found, key=lambda block: block.title in UNIT_OF)  # what came with the rows last
