"""One scene in words, and the choices of a wording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.truth import Truth, place_of

Choice = TypeVar("Choice")


class Drawn(NamedTuple):
    """An object of a scene, in English words."""

    shape: str
    colour: str
    texture: str
    size: str
    place: str
    name: str = ""


@dataclass(frozen=True)
class Scene:
    """A scene in English words; the first object is the main one. `relations`: (object, relation, object)."""

    objects: tuple[Drawn, ...]
    relations: tuple[tuple[int, str, int], ...]
    background: str
    style: str

    def recoloured(self, colours: Sequence[str]) -> Scene:
        """The same with other colours of its first objects."""
        new = [each._replace(colour=colour) for each, colour in zip(self.objects, colours, strict=False)]
        return replace(self, objects=(*new, *self.objects[len(new) :]))


def scene_of(truth: Truth, row: int, *, named: bool = False) -> Scene:
    """Scene number `row`; its objects have proper names where `named`."""
    count = int(truth.number[row])
    down, along = place_of(truth.centre[row])
    objects = []
    for each in range(count):
        concept = int(truth.concepts[row, each]) if named else 0
        objects.append(
            Drawn(
                words.SHAPES[truth.shape[row, each]],
                words.COLOURS[truth.colour[row, each]],
                words.TEXTURES[truth.texture[row, each]],
                words.SIZES[truth.size[row, each]],
                words.PLACES[down[each]][along[each]],
                str(concept) if named else "",
            )
        )
    relations = [(0, words.RELATIONS[truth.relation[row, 0]], 1), (2, words.RELATIONS[truth.relation[row, 1]], 0)]
    style, paper = words.STYLES[truth.style[row]], words.BACKGROUNDS[truth.background[row]]
    return Scene(tuple(objects), tuple(relations[: count - 1]), paper, style)


def converse(relation: str) -> str:
    """`left of` of `right of`."""
    return words.RELATIONS[words.RELATIONS.index(relation) ^ 1]


class Wording:
    """Choices that follow from a number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        """One of them."""
        self._number, place = divmod(self._number, len(choices))
        return choices[place]

    def chance(self, parts: int) -> bool:
        """True once in so many."""
        self._number, place = divmod(self._number, parts)
        return place == 0
