"""Selections as recipes define them: a unit, and ordered steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuwen import parts
from tuwen.errors import UsageError
from tuwen.parts import nearest
from tuwen.selections.steps import WITHIN, Step

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

PACKAGE = "tuwen.selections.steps"
UNITS = {"pair": "pairs", "image": "images", "document": "documents"}
NUM_KEPT_IMAGES = "num_kept_images"  # virtual column of documents: how many of their images `images` keeps

_KEYS = ("unit", "description", "images", "steps")
_NAME = re.compile(r"[^\W_][\w-]{0,99}")


@dataclass(frozen=True)
class NamedStep:
    """A step and what people call it: its own words unless the recipe gives it a name."""

    step: Step
    given_name: str | None = None

    @property
    def name(self) -> str:
        return self.given_name or str(self.step)


@dataclass(frozen=True)
class Selection:
    """What to keep of a corpus, and why. Judged by `tuwen.selections.ledger`.

    `unit`: what is kept, pair, image or document. `images`: for documents, the selection that says which images stay
    in them.
    """

    name: str
    unit: str
    steps: tuple[NamedStep, ...] = ()
    images: str | None = None
    description: str | None = None

    @property
    def table(self) -> str:
        """The table whose rows it judges."""
        return UNITS[self.unit]

    def reads(self) -> tuple[str, ...]:
        """Columns that its steps read, each once."""
        return tuple(dict.fromkeys(name for named in self.steps for name in named.step.reads))

    def others(self) -> tuple[str, ...]:
        """Names of the selections that this one builds on."""
        names = [name.removeprefix(WITHIN) for name in self.reads() if name.startswith(WITHIN)]
        return tuple(dict.fromkeys([*names, *([self.images] if self.images else [])]))

    @classmethod
    def from_mapping(cls, name: str, mapping: Mapping[str, Any], *, allow_code: bool = False) -> Selection:
        """From a recipe's `selections.NAME`. `UsageError` says which key is wrong and what is known."""
        where = f"selections.{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{where}: a name is made of letters, digits, _ and -, and starts with a letter or digit")
        if not isinstance(mapping, Mapping):
            raise UsageError(f"{where} must be a mapping with {', '.join(_KEYS)}; got {mapping!r}")
        for key in mapping:
            if key not in _KEYS:
                raise UsageError(f"{where}: unknown key {key!r}; {nearest(str(key), _KEYS)}")
        unit = mapping.get("unit")
        if unit not in UNITS:
            raise UsageError(f"{where}.unit must be one of {', '.join(UNITS)}; got {unit!r}")
        if mapping.get("images") is not None and unit != "document":
            raise UsageError(f"{where}.images is for selections of documents; this one is of unit {unit}")
        for key in ("images", "description"):
            if not isinstance(mapping.get(key), (str, type(None))):
                raise UsageError(f"{where}.{key} must be a text, got {mapping[key]!r}")
        steps = mapping.get("steps")
        if not isinstance(steps, (list, tuple, type(None))):
            raise UsageError(f"{where}.steps must be a list, got {steps!r}")
        named = tuple(_step(f"{where}.steps[{index}]", entry, allow_code) for index, entry in enumerate(steps or ()))
        return cls(name, unit, named, mapping.get("images"), mapping.get("description"))

    def to_mapping(self, *, brief: bool = False) -> dict[str, Any]:
        """Plain values with every parameter spelt out; `from_mapping` makes the same selection of them.

        `brief`: without parameters that have their default, as people write it.
        """
        entries = []
        for named in self.steps:
            parameters = {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in parts.parameters_of(named.step).items()
                if not brief or value != _default(named.step, key)
            }
            if named.given_name:
                parameters["name"] = named.given_name
            kind = parts.name_of(named.step).removeprefix("steps.")
            entries.append({kind: _short(named.step, kind, parameters) if brief else parameters})
        optional = {key: value for key in ("description", "images") if (value := getattr(self, key)) is not None}
        return {"unit": self.unit, **optional, "steps": entries}


def parse_selections(mapping: Mapping[str, Any], *, allow_code: bool = False) -> dict[str, Selection]:
    """All selections of a recipe, checked against each other: names that exist, units that fit, no circles."""
    if not isinstance(mapping, Mapping):
        raise UsageError(f"selections must be a mapping from names, got {mapping!r}")
    selections = {
        name: Selection.from_mapping(name, definition, allow_code=allow_code) for name, definition in mapping.items()
    }
    for selection in selections.values():
        check_relations(selections, selection)
    return selections


def check_relations(selections: Mapping[str, Selection], selection: Selection) -> None:
    """`UsageError` unless the selections that one builds on exist, fit, and do not build on it."""
    for other in selection.others():
        if other not in selections:
            raise UsageError(f"selections.{selection.name}: no selection {other!r}; {nearest(other, selections)}")
    if selection.images and selections[selection.images].unit != "image":
        raise UsageError(
            f"selections.{selection.name}.images must name a selection of images; "
            f"{selection.images} is of unit {selections[selection.images].unit}"
        )
    _refuse_circles(selections, (selection.name,))


def selections_of(corpus: Corpus, *, allow_code: bool = False) -> dict[str, Selection]:
    """The selections of the recipe that the corpus was last built with, and those that were saved in it."""
    from tuwen.selections.saved import with_saved

    recipe = parse_selections(corpus.recipe().get("selections") or {}, allow_code=allow_code)
    return with_saved(corpus, recipe, allow_code=allow_code)


def selection_named(selections: Mapping[str, Selection], name: str) -> Selection:
    """The selection of that name; `UsageError` with the nearest one if there is none."""
    if name not in selections:
        raise UsageError(f"no selection {name!r}; {nearest(name, selections)}")
    return selections[name]


def _refuse_circles(selections: Mapping[str, Selection], path: tuple[str, ...]) -> None:
    for other in selections[path[-1]].others():
        if other in path:
            raise UsageError(f"selections go in a circle: {' → '.join([*path, other])}")
        if other in selections:
            _refuse_circles(selections, (*path, other))


def _step(where: str, entry: object, allow_code: bool) -> NamedStep:
    """`{kind: parameters}`, where a single value stands for the first parameter and `name` names the step."""
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise UsageError(f"{where}: expected one `kind: parameters`, got {entry!r}")
    ((kind, value),) = entry.items()
    try:
        cls = parts.load_class(PACKAGE, str(kind), allow_code=allow_code)
        parameters = dict(value) if isinstance(value, Mapping) else {_first_field(cls, str(kind)): value}
        given_name = parameters.pop("name", None)
        if not isinstance(given_name, (str, type(None))):
            raise UsageError(f"name must be a text, got {given_name!r}")
        step = parts.configure(cls, str(kind), parameters)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    if not isinstance(step, Step):
        raise UsageError(f"{where}: {kind} lacks reads or conditions")
    return NamedStep(step, given_name)


def _short(step: Step, kind: str, parameters: dict[str, Any]) -> Any:
    """A single first parameter by itself, which is how recipes write it."""
    first = _first_field(type(step), kind)
    if list(parameters) == [first] and not isinstance(parameters[first], Mapping):
        return parameters[first]
    return parameters


def _default(step: Step, name: str) -> Any:
    field = step.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field.default  # MISSING where there is none, which equals no value


def _first_field(cls: Any, kind: str) -> str:
    fields = list(cls.__dataclass_fields__)
    if not fields:
        raise UsageError(f"{kind} takes no parameters")
    return str(fields[0])
