"""A claim: what is compared, under which budget, and what would count, all of it fixed before anything runs.

name: alip
system: ALIP
statement: Where captions are wrong, weighing pairs by their consistency trains a better model than taking all.
source: https://arxiv.org/abs/2308.08428
world: {scenes: {mismatch: 0.4}}
budget: {examples: 8000, samples: 32000, batch_size: 128, test: 1000}
seeds: [11, 12, 13, 14, 15]
base: {views: [shifted]}                 # what all arms have, unless they say otherwise
arms:
  raw: {objectives: [contrast]}
  gated: {objectives: [{alip: {...}}], world: {...}}
evaluations: {retrieval: retrieval}
gate: {arm: raw, evaluation: retrieval, above: 0.1}
comparisons:
  - {arm: gated, against: raw, evaluation: retrieval, smallest_effect: 0.02, sd: 0.01}
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
from tuwen.parts import load_class, nearest
from tuwen.proof.kinds import within
from tuwen.proof.method import Method, part_of, parts_of
from tuwen.proof.strict import LARGEST_SEED, Strict

SCALED_SEEDS = 5
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]  # files are called by it
ArmName = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=100)]  # in any script, as folders of releases are


class Budget(Strict):
    """What every arm may spend: distinct training `examples`, `samples` seen, in batches; `test` examples."""

    examples: Annotated[int, Field(gt=0)]
    samples: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=1)] = 128
    test: Annotated[int, Field(gt=0)] = 1_000


class Gate(Strict):
    """The arm has to reach this, on the mean over seeds, or the claim is inconclusive: nothing was learnt."""

    arm: ArmName
    evaluation: Name
    above: float


class Comparison(Strict):
    """`arm` is better than `against` in an evaluation; `smallest_effect` is what would matter.

    `ablation`: the arm without the part that is said to do it; the arm has to beat it too. `sd`: of seeds' differences,
    from a pilot, for the effect that such a run can find. `better`: `lower` where less is better.
    """

    arm: ArmName
    against: ArmName
    evaluation: Name
    smallest_effect: Annotated[float, Field(gt=0)]
    sd: Annotated[float, Field(gt=0)] | None = None
    ablation: ArmName | None = None
    better: Literal["higher", "lower"] = "higher"

    @model_validator(mode="after")
    def _differ(self) -> Comparison:
        for name, other in (("against", self.against), ("ablation", self.ablation)):
            if other == self.arm:
                raise ValueError(f"{name} is {other!r}, the arm itself; compare it with another one")
        return self


class Arm(Strict):
    """One side: a method, on the world with some of its knobs turned, and what `curations` leave of its examples.

    `curations`: parts of `tuwen.proof.curations`, in order. `samples`: factor of the budget, 1 unless arms are
    matched in another way, which `matched` then says.
    """

    method: dict[str, Any]
    world: dict[str, Any] = Field(default_factory=dict)
    curations: tuple[Any, ...] = ()
    examples: Annotated[float, Field(gt=0)] = 1.0
    samples: Annotated[float, Field(gt=0)] = 1.0
    matched: str = ""

    @model_validator(mode="after")
    def _say_why(self) -> Arm:
        if (self.samples != 1 or self.examples != 1) and not self.matched.strip():
            raise ValueError("an arm with its own number of samples or examples says in `matched` why that is fair")
        return self


class Claim(Strict):
    """A registered claim. `world` is `{name: knobs}`; `evaluations` are parts by a name of the claim's own.

    `group`: a column of the test; items whose rows are equal in it (texts of one image, pictures of one family) are
    drawn together when items are resampled.

    `system`: the published system whose claim this is. `mark`: what the verdict says of it; a `real` one was taken on
    data that the method was not tuned on. `exact`: new parts (`objectives.alip`), and what the tests compare them
    with: the authors' `code`, a case worked by `hand`, or a `description` alone.
    """

    name: Name
    statement: str
    world: dict[str, dict[str, Any]] | str
    budget: Budget
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    arms: dict[ArmName, Arm]
    evaluations: dict[Name, Any]
    comparisons: Annotated[tuple[Comparison, ...], Field(min_length=1)]
    group: str = ""
    system: str = ""
    mark: Literal["direction", "real", "none"] = "direction"
    source: str = ""
    gate: Gate | None = None
    exact: dict[str, Literal["code", "hand", "description"]] = Field(default_factory=dict)
    notes: str = ""
    no_real_data: str = ""

    @model_validator(mode="before")
    @classmethod
    def _with_base(cls, told: Any) -> Any:
        """Arms as they are once `base` is in them."""
        if not isinstance(told, Mapping):
            return told
        told = dict(told)
        base = told.pop("base", None) or {}
        if not isinstance(base, Mapping):
            raise ValueError(f"base is {base!r}; it is a mapping of what all arms have")
        world = told.get("world", "")
        if not isinstance(world, str) and not (
            isinstance(world, Mapping) and all(isinstance(knobs, Mapping) for knobs in world.values())
        ):
            raise ValueError(f"world is {world!r}; a world is NAME or {{NAME: {{knob: value}}}}")
        arms = told.get("arms")
        if isinstance(arms, Mapping):
            for name, arm in arms.items():
                if arm is not None and not isinstance(arm, Mapping):
                    raise ValueError(f"arms.{name} is {arm!r}; an arm is a mapping of what it has beside `base`")
            told["arms"] = {name: _arm({**base, **(arm or {})}) for name, arm in arms.items()}
        return told

    @model_validator(mode="after")
    def _refer(self) -> Claim:
        if len(set(self.seeds)) < len(self.seeds) or not 0 <= min(self.seeds) <= max(self.seeds) <= LARGEST_SEED:
            raise ValueError(f"seeds are {self.seeds}; they have to be numbers from 0 to 2^63 - 1, each once")
        if not isinstance(self.world, str) and len(self.world) != 1:
            raise ValueError(f"world is one world with its knobs, {{scenes: {{…}}}}; got {list(self.world)}")
        wanted = [(each.arm, each.evaluation) for each in (self.gate, *self.comparisons) if each is not None]
        for arm, evaluation in wanted:
            _known("arms", arm, self.arms)
            _known("evaluations", evaluation, self.evaluations)
        for each in self.comparisons:
            _known("arms", each.against, self.arms)
            if each.ablation is not None:
                _known("arms", each.ablation, self.arms)
        return self

    @property
    def num_intervals(self) -> int:
        """Comparisons and their ablations, which share the error."""
        return sum(1 + (each.ablation is not None) for each in self.comparisons)

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> Claim:
        """A claim from a YAML file, with `path=value` overrides; `UsageError` says what is wrong with it."""
        try:
            told = load_yaml(regular(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        if not isinstance(told, dict):
            raise UsageError(f"{path} must hold a mapping with the keys {', '.join(cls.model_fields)}")
        for override in overrides:
            override_value(told, override)
        return cls.from_mapping(told, str(path))

    @classmethod
    def from_mapping(cls, told: Any, name: str = "claim") -> Claim:
        """A claim as YAML says it."""
        return cls.checked(told, name)

    def check(self, *, allow_code: bool = False) -> None:
        """`UsageError` where a part of the claim does not exist, is of another kind or does not take its parameters."""
        for name in self.exact:
            package, _, part = ("", "", name) if ":" in name else name.rpartition(".")
            load_class(f"tuwen.{package}", part, allow_code=allow_code)
        for name, evaluation in self.evaluations.items():
            with within(f"evaluations.{name}"):
                part_of("evaluations", evaluation, allow_code)
        with within("world"):
            self.world_of(allow_code=allow_code)
        for name, arm in self.arms.items():
            with within(f"arms.{name}"):
                with within("world"):
                    self.world_of(arm, allow_code=allow_code)
                parts_of("proof.curations", arm.curations, allow_code)
                Method.from_mapping(arm.method, allow_code=allow_code).spans(self._steps(arm))

    def world_of(self, arm: Arm | None = None, *, allow_code: bool = False) -> Any:
        """The world, with the knobs as this arm turns them; without an arm, as the claim does: the test's."""
        name, knobs = (self.world, {}) if isinstance(self.world, str) else next(iter(self.world.items()))
        return part_of("proof.worlds", {name: {**knobs, **(arm.world if arm else {})}}, allow_code)

    def samples_of(self, arm: Arm) -> int:
        """That an arm sees."""
        return round(self.budget.samples * arm.samples)

    def examples_of(self, arm: Arm) -> int:
        """Distinct ones that an arm has, before its curations."""
        return round(self.budget.examples * arm.examples)

    def _steps(self, arm: Arm) -> int:
        """That an arm takes, unless curations leave it less than a batch."""
        batch_size = min(self.budget.batch_size, max(1, self.examples_of(arm)))
        return max(1, self.samples_of(arm) // batch_size)

    def scaled(self, factor: float) -> Claim:
        """The same claim with so many times the examples and samples, and its first `SCALED_SEEDS` seeds: other budgets
        are asked whether signs stay, which needs fewer of them than an interval does."""
        if factor == 1:
            return self
        budget = self.budget.model_copy(
            update={
                "examples": round(self.budget.examples * factor),
                "samples": round(self.budget.samples * factor),
            }
        )
        return self.model_copy(
            update={"budget": budget, "seeds": self.seeds[:SCALED_SEEDS], "name": f"{self.name}@{factor:g}"}
        )


def _arm(told: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that are not an arm's own are its method's."""
    own = {name: told[name] for name in told if name in Arm.model_fields and name != "method"}
    return {**own, "method": {name: value for name, value in told.items() if name not in own}}


def _known(kind: str, name: str, among: Mapping[str, Any]) -> None:
    if name not in among:
        raise ValueError(f"unknown {name!r} in {kind}; {nearest(name, among)}")
