"""A method is a value: an architecture, and phases of training that are composed of parts.

architecture: {image: {kind: conv}, side: 32}
objectives: [contrast]                  # losses of one step, in order; each reads features and what came before
views: [{shifted: {pixels: 2}}]         # batch → batch
sampler: shuffled
phases: [...]                           # instead of the three: several, one after the other
adaptations: [...]                      # the trained model → the evaluated one
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.models.features import Batch, Features
from tuwen.models.network import Architecture, Network
from tuwen.parts import load, nearest
from tuwen.proof.kinds import check_kind, within

if TYPE_CHECKING:
    import torch

    from tuwen.proof.trained import Trained


class Objective(Protocol):
    """A loss. It may have `module(network) -> nn.Module`, weights and buffers of its own, which it finds in
    `features.own[self]`, and `after_step(module, network)`."""

    def __call__(self, features: Features) -> Mapping[str, torch.Tensor]:
        """Named losses, numbers each; none, where it only hands features on."""


class View(Protocol):
    """It may have `prepare(columns, seed) -> View`, called once before training, with all training examples."""

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch as training sees it, by the batch and `rng` alone."""


class Sampler(Protocol):
    """Which rows make a batch."""

    def __call__(self, columns: Columns, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Batches of rows without end, by the arguments alone."""


class Adaptation(Protocol):
    """What is done with a trained model before it is evaluated."""

    def __call__(self, model: Trained) -> Trained:
        """Another model; the given one stays as it is."""


@dataclass(frozen=True)
class Phase:
    """A part of training: `share` of the samples, with its own objectives, views and sampler.

    `weights`: factors of named losses, 1 where nothing is said. `trained`: beginnings of the names of weights that are
    trained; none means all. `adaptations`: what is done with the network before the phase begins.
    """

    objectives: tuple[Objective, ...]
    views: tuple[View, ...] = ()
    sampler: Sampler | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0
    trained: tuple[str, ...] = ()
    adaptations: tuple[Adaptation, ...] = ()
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    averaged: float = 0.0


@dataclass(frozen=True)
class Method:
    """What an arm of a claim trains, and how."""

    architecture: Architecture
    phases: tuple[Phase, ...]
    adaptations: tuple[Adaptation, ...] = ()

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], *, allow_code: bool = False) -> Method:
        """A method as YAML says it; `UsageError` for what cannot be."""
        told = dict(given)
        architecture = _validated(Architecture, told.pop("architecture", {}), "architecture")
        adaptations = parts_of("adaptations", told.pop("adaptations", ()), allow_code)
        phases = told.pop("phases", None)
        if phases is None:
            phases, told = [told], {}
        if not isinstance(phases, list | tuple) or not phases:
            raise UsageError(f"phases: a list of phases is expected, got {phases!r}")
        if told:
            raise UsageError(f"phases and {', '.join(told)} exclude each other; say these of each phase")
        return cls(architecture, tuple(_phase(each, allow_code) for each in phases), adaptations)

    def network(self, tokenizer: Any) -> Network:
        """Its network with new weights, from torch's generator."""
        return Network(self.architecture, tokenizer)

    def spans(self, steps: int) -> list[tuple[int, int]]:
        """First and last step of each phase, of `steps` in all; `UsageError` where a phase has none of them."""
        whole, done, found = sum(phase.share for phase in self.phases), 0.0, []
        for number, phase in enumerate(self.phases):
            first, done = round(steps * done / whole), done + phase.share
            found.append((first, round(steps * done / whole)))
            if found[-1][0] == found[-1][1]:
                raise UsageError(
                    f"phases[{number}]: a share of {phase.share:g} of {whole:g} is none of {steps:,} steps; "
                    "give more samples, or a larger share"
                )
        return found


def _phase(given: Any, allow_code: bool) -> Phase:
    told = dict(given) if isinstance(given, Mapping) else {}
    if not told.get("objectives"):
        raise UsageError(f"a method needs objectives, a list of parts; got {given!r}")
    parts = {
        "objectives": parts_of("objectives", told.pop("objectives"), allow_code),
        "views": parts_of("views", told.pop("views", ()), allow_code),
        "adaptations": parts_of("adaptations", told.pop("adaptations", ()), allow_code),
    }
    sampler = told.pop("sampler", None)
    if sampler is not None:
        with within("sampler"):
            parts["sampler"] = part_of("samplers", sampler, allow_code)
    plain = {name: _PLAIN[name] for name in told if name in _PLAIN}
    for name in told:
        if name not in plain:
            raise UsageError(f"unknown {name!r} in a method; {nearest(name, [*_PLAIN, *parts, 'sampler'])}")
    values = {name: _validated(kind, told[name], name) for name, kind in plain.items()}
    return Phase(**parts, **values)  # type: ignore[arg-type]


_PLAIN: dict[str, Any] = {
    "weights": dict[str, Annotated[float, Field(allow_inf_nan=False)]],
    "share": Annotated[float, Field(gt=0, allow_inf_nan=False)],
    "trained": tuple[str, ...],
    "learning_rate": Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)],
    "weight_decay": Annotated[float, Field(ge=0, allow_inf_nan=False)],
    "averaged": Annotated[float, Field(ge=0, lt=1)],
}


def parts_of(package: str, told: Any, allow_code: bool = False) -> tuple[Any, ...]:
    """A list of parts, each as `part_of` takes it."""
    if not isinstance(told, list | tuple):
        raise UsageError(f"{package}: a list is expected, got {told!r}")
    with within(package.rpartition(".")[2]):
        return tuple(part_of(package, each, allow_code) for each in told)


def part_of(package: str, told: Any, allow_code: bool = False) -> Any:
    """A part as `name` or `{name: {parameter: value}}`; `UsageError` where it does not exist, is of another kind, or
    does not take its parameters."""
    name: Any = told
    parameters: Mapping[str, Any] = {}
    if isinstance(told, Mapping) and len(told) == 1:
        ((name, parameters),) = told.items()
    if not isinstance(name, str):
        raise UsageError(f"{package}: a part is NAME or {{NAME: {{parameter: value}}}}, got {told!r}")
    part = load(f"tuwen.{package}", name, parameters or {}, allow_code=allow_code)
    check_kind(package, name, part)
    return part


def _validated(kind: Any, value: Any, name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in (name, *problem["loc"]))
        raise UsageError(f"{place} = {problem['input']!r}: {problem['msg']}") from error
