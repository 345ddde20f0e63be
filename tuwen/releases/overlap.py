"""Evaluation overlap of a release: what was compared with benchmarks, and which released rows stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tuwen.errors import TuwenError, UsageError
from tuwen.releases.content import Content

EXAMPLES = 3
_TABLES = {"images": ("images", "image", "overlap.images"), "texts": ("pairs", "text", "overlap.texts")}
_DOCUMENTS = ("documents", "text", "overlap.documents")


@dataclass(frozen=True)
class Overlap:
    """Of the released images, texts or documents (`what`): how many, how many were compared, how many overlap.

    `num_items`: of the benchmarks that they were compared with. `folder`: its name, without where it lies.
    Where nothing was compared `checked` is 0 and `folder` null.
    """

    what: str
    stage: str
    remedy: str  # what to add to which selection, to leave overlapping rows out
    released: int
    checked: int = 0
    overlapping: int = 0
    num_items: int = 0
    folder: str | None = None
    examples: Sequence[tuple[str, str]] = ()  # id, path in the folder

    def counts(self) -> dict[str, Any]:
        """For the manifest."""
        names = ("what", "folder", "num_items", "released", "checked", "overlapping")
        return {name: getattr(self, name) for name in names}

    @property
    def sentence(self) -> str:
        """For people."""
        if self.folder is None:
            return f"{self.what}: not checked against any benchmark (no column of the stage {self.stage})."
        unchecked = f" {self.released - self.checked:,} could not be checked." if self.checked < self.released else ""
        return (
            f"{self.what}: {self.checked:,} of {self.released:,} were compared with the {self.num_items:,} items of "
            f"the benchmarks in {self.folder!r}; {self.overlapping:,} overlap.{unchecked}"
        )


def overlaps(content: Content) -> list[Overlap]:
    """For everything that the release holds. The images of documents are known once the documents are written."""
    folders = dict(_folders(content.corpus.recipe().get("stages") or []))
    held = {"pair": ("images", "texts"), "image": ("images",), "document": ("images", "documents")}[content.unit]
    return [_overlap(content, what, folders) for what in held]


def check_clean(found: Sequence[Overlap]) -> None:
    """`UsageError` where something was not compared, `TuwenError` where something overlaps, with what to do."""
    for overlap in found:
        if overlap.released and overlap.folder is None:
            raise UsageError(
                f"--require-clean: the {overlap.what} were compared with no benchmark; add `{overlap.stage}: {{folder: "
                "BENCHMARKS}` to the stages of the recipe and run tuwen build"
            )
        if overlap.overlapping or overlap.checked < overlap.released:
            examples = "; ".join(f"{key} is in {name!r}" for key, name in overlap.examples)
            raise TuwenError(
                f"--require-clean: {overlap.sentence} {examples + '; ' if examples else ''}{overlap.remedy}"
            )


def _folders(stages: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for entry in stages:
        for name, parameters in entry.items() if isinstance(entry, Mapping) else ():
            if isinstance(parameters, Mapping) and isinstance(parameters.get("folder"), str):
                yield str(name), PurePath(parameters["folder"]).name


def _overlap(content: Content, what: str, folders: Mapping[str, str]) -> Overlap:
    table, kind, stage = _TABLES.get(what, _DOCUMENTS)
    key = f"{table[:-1]}_id"
    column, items = f"evaluation_{kind}", f"num_evaluation_{kind}s"
    held = "kept_images" if (content.unit, what) == ("document", "images") else "released"
    rows = f"{table} JOIN (SELECT DISTINCT {key} FROM {held}) USING ({key})"
    followed = "image." if (content.unit, what) == ("pair", "images") else ""
    which = "the selection that its `images` names" if held == "kept_images" else "the selection"
    remedy = f"add `- rule: {followed}{column} is null and {followed}{items} is not null` to {which}"
    ((released,),) = content.query(f"SELECT count(*) FROM {rows}")
    if not {column, items} <= content.corpus.current_columns(table).keys():
        return Overlap(what, stage, remedy, released)
    ((checked, overlapping, num_items),) = content.query(
        f"SELECT count({items}), count({column}), coalesce(max({items}), 0) FROM {rows}"
    )
    examples = content.query(
        f"SELECT {key}, {column} FROM {rows} WHERE {column} IS NOT NULL ORDER BY {key} LIMIT {EXAMPLES}"
    )
    folder = folders.get(stage, "a folder that the recipe no longer names")
    return Overlap(what, stage, remedy, released, checked, overlapping, num_items, folder, examples)
