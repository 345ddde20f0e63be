"""A recipe of `tuwen train`: what is trained, on what, how long, and where it goes.

start: {architecture: {image: {kind: vit}, side: 64}}    # or {checkpoint: FOLDER}, to train further
examples: {webdataset: {paths: [release/data]}}          # a part of tuwen.proof.examples
objectives: [contrast]                                   # a method, as claims have it
views: [shifted]
budget: {samples: 1_000_000, batch_size: 256}
evaluation: {examples: {...}, parts: {retrieval: retrieval}}
to: trained
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from tuwen.engine.recipe import override_value
from tuwen.engine.unique_keys import load_yaml
from tuwen.errors import UsageError
from tuwen.files import regular
from tuwen.models.network import Architecture
from tuwen.parts import nearest
from tuwen.proof.kinds import within
from tuwen.proof.method import Method, part_of, parts_of
from tuwen.proof.strict import LARGEST_SEED, Strict

METHOD = {
    *("objectives", "views", "sampler", "phases", "adaptations"),
    *("weights", "trained", "learning_rate", "weight_decay", "averaged"),
}
NOT_IN_RESULT = {"to", "device", "workers", "checkpoint"}


class Start(Strict):
    """New weights of an `architecture`, or those of the folder `checkpoint`: a CLIP of transformers or open_clip, or
    what tuwen saved."""

    architecture: dict[str, Any] | None = None
    checkpoint: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Start:
        if (self.architecture is None) == (self.checkpoint is None):
            raise ValueError("start has an architecture or a checkpoint, one of the two")
        return self


class Budget(Strict):
    """`samples` that training sees, in batches of `batch_size`, which `torchrun` shares out to its processes. None: the
    checkpoint is evaluated as it is, adaptations apart."""

    samples: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(gt=1)] = 256


class Evaluation(Strict):
    """`parts` of tuwen.evaluations on `examples` that were held out. Examples that say themselves how they are tested
    need no parts."""

    examples: Any
    parts: dict[str, Any] = Field(default_factory=dict)


class TrainingRecipe(Strict):
    """A recipe of `tuwen train`.

    `seed`: of weights, order and views. `precision`: bf16 for what autocast computes in it. `device`: auto is cuda
    where there is one. `checkpoint`: steps from one to the next. `workers`: processes that decode images; one per core
    where nothing is said.
    """

    start: Start
    method: dict[str, Any]
    budget: Budget
    to: Annotated[str, Field(min_length=1)]
    examples: Any = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    precision: Literal["float32", "bf16"] = "float32"
    device: str = "auto"
    workers: Annotated[int, Field(gt=0)] | None = None
    checkpoint: Annotated[int, Field(gt=0)] = 200
    evaluation: Evaluation | None = None

    @model_validator(mode="after")
    def _enough(self) -> TrainingRecipe:
        if self.budget.samples and self.examples is None:
            raise ValueError("examples are missing: name what is trained on")
        if not self.budget.samples and (self.start.checkpoint is None or self.evaluation is None):
            raise ValueError("without samples there is only an evaluation, which takes a checkpoint to start from")
        return self

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = (), *, allow_code: bool = False) -> TrainingRecipe:
        """Read a YAML file, apply `path=value` overrides, validate all of it; `UsageError` says what is wrong."""
        try:
            told = load_yaml(regular(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        if not isinstance(told, dict):
            raise UsageError(f"{path} must hold a mapping with the keys {', '.join(_keys())}")
        for override in overrides:
            override_value(told, override)
        return cls.from_mapping(told, str(path), allow_code=allow_code)

    @classmethod
    def from_mapping(cls, told: Mapping[str, Any], name: str = "recipe", *, allow_code: bool = False) -> TrainingRecipe:
        """A recipe as YAML says it, checked whole."""
        for key in told:
            if key not in _keys():
                raise UsageError(f"{name}: unknown key {key!r}; {nearest(str(key), _keys())}")
        method = {key: told[key] for key in told if key in METHOD}
        others = {key: told[key] for key in told if key not in METHOD}
        found = cls.checked({**others, "method": method}, name)
        found.made(allow_code=allow_code)
        if found.examples is not None:
            found.part(found.examples, allow_code=allow_code)
        if found.evaluation is not None:
            held_out = found.part(found.evaluation.examples, allow_code=allow_code)
            if not found.evaluation.parts and not hasattr(held_out, "evaluations"):
                raise UsageError(f"{name}: evaluation.parts is empty; name parts of tuwen.evaluations")
            for part, each in found.evaluation.parts.items():
                with within(f"evaluation.parts.{part}"):
                    part_of("evaluations", each, allow_code)
        return found

    def made(self, *, allow_code: bool = False) -> Method:
        """The method; from a checkpoint, its architecture is not that of the network."""
        if not self.budget.samples:  # a checkpoint is evaluated as it is
            return Method(Architecture(), (), parts_of("adaptations", self.method.get("adaptations", ()), allow_code))
        told = dict(self.method)
        if self.start.architecture is not None:
            told["architecture"] = self.start.architecture
        return Method.from_mapping(told, allow_code=allow_code)

    @staticmethod
    def part(told: Any, *, allow_code: bool = False) -> Any:
        """Examples as a part."""
        return part_of("proof.examples", told, allow_code)

    def described(self) -> dict[str, Any]:
        """All that the result depends on, as plain values."""
        return self.model_dump(mode="json", exclude=NOT_IN_RESULT)


def _keys() -> list[str]:
    return sorted({*TrainingRecipe.model_fields, *METHOD} - {"method"})
