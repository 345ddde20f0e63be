"""Membership in another selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuwen.selections.steps import WITHIN, Condition, require
from tuwen.selections.tree import quoted


@dataclass(frozen=True)
class Within:
    """Keep the rows that belong to what another selection keeps.

    A pair belongs to its image and to its document. An image or a document belongs to a selection of pairs that keeps
    any of its pairs, an image to a selection of documents that keeps any that shows it, and a document to a selection
    of images that keeps any of its images. A pair without an image belongs to no selection of images (value null).
    """

    selection: str

    def __post_init__(self) -> None:
        require(bool(self.selection), "within takes the name of another selection")

    @property
    def reads(self) -> tuple[str, ...]:
        return (WITHIN + self.selection,)

    def conditions(self, types: Mapping[str, str]) -> list[Condition]:
        kept = quoted(WITHIN + self.selection)
        return [Condition(kept, str(self), {str(self): kept}, alone=True)]

    def __str__(self) -> str:
        return f"within {self.selection}"
