"""The prover is tested by methods that are broken on purpose: it must reject each of them, and accept an honest one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tuwen.errors import TuwenError, UsageError
from tuwen.evaluations.measured import Items
from tuwen.models.columns import Columns
from tuwen.models.features import Batch, Features
from tuwen.proof.claim import Claim
from tuwen.proof.run import Proof, Task, prove, run
from tuwen.proof.worlds.scenes import Scenes

HERE = "test_prover"


@dataclasses.dataclass(frozen=True)
class Leak:
    """A world whose training images are those of the test: a cheat."""

    share: float = 0.5

    def train(self, number: int, seed: int) -> Columns:
        own, other = Scenes().train(number, seed), Scenes().test(number, seed)
        return (
            other
            if self.share == 1
            else Columns(
                **{name: _mixed(own[name], other[name], round(number * self.share)) for name in ("image", "text")}
            )
        )

    def test(self, number: int, seed: int) -> Columns:
        return Scenes().test(number, seed)


@dataclasses.dataclass(frozen=True)
class Swapped:
    """A method that gives every image the text of its neighbour in the batch."""

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        return {**batch, "text": batch["text"][1:] + batch["text"][:1]}


@dataclasses.dataclass(frozen=True)
class Nothing:
    """A part that claims much and does nothing."""

    strength: float = 1.0

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        return batch


@dataclasses.dataclass(frozen=True)
class Collapse:
    """A loss that pulls together and pushes nothing apart: all images become one point."""

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        distance = features["image.embedding"] - features["text.embedding"]
        return {"collapse": distance.square().sum(-1).mean()}


@dataclasses.dataclass(frozen=True)
class Greedy:
    """A sampler that takes more than its budget, or stops before it is spent."""

    times: float = 3
    batches: int = 10_000
    first: int = 0

    def __call__(self, columns: Columns, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng(seed)
        for _ in range(self.batches):
            yield self.first + rng.integers(columns.num_rows, size=round(batch_size * self.times))


@dataclasses.dataclass(frozen=True)
class NoNumber:
    """An evaluation that gives no number."""

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        return Items({"value": np.zeros(test.num_rows)})

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return float("nan")


def _mixed(one: Any, two: Any, number: int) -> Any:
    if isinstance(one, list):
        return one[number:] + two[:number]
    return np.concatenate([one[number:], two[:number]])


SMALL = {
    "name": "broken",
    "statement": "A broken method is better.",
    "world": {"scenes": {"style": ["flat"], "objects": [1]}},
    "budget": {"examples": 800, "samples": 2560, "batch_size": 64, "test": 120},
    "seeds": [1, 2, 3],
    "base": {
        "architecture": {"image": {"width": 32}, "text": {"width": 32}, "dim": 32, "context": 24},
        "objectives": ["contrast"],
    },
    "arms": {"plain": {}},
    "evaluations": {"retrieval": "retrieval"},
    "gate": {"arm": "plain", "evaluation": "retrieval", "above": 0.06},
}


NOISY = {"world": {"mismatch": 0.9}}


def claim(arms: dict[str, Any], *, ablation: str | None = None, plain: Any = None, **told: Any) -> Claim:
    """The first of `arms` against `plain`; the gate asks of that one whether anything was learnt."""
    new = next(iter(arms))
    if plain is not None:
        told["gate"] = {**SMALL["gate"], "arm": new}
    compared = {"arm": new, "against": "plain", "evaluation": "retrieval", "smallest_effect": 0.01}
    if ablation is not None:
        compared["ablation"] = ablation
    return Claim.from_mapping({**SMALL, "arms": {"plain": plain or {}, **arms}, "comparisons": [compared], **told})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that the plain arm is trained once."""
    return tmp_path_factory.mktemp("proof")


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module under a name that a claim can say."""
    import sys

    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


def proved(told: Claim, cache: Path) -> Proof:
    return prove(told, cache, workers=1, allow_code=True)


def test_an_honest_method_is_accepted(cache: Path) -> None:
    """True captions are better than wrong ones."""
    found = proved(claim({"clean": {}}, plain=NOISY), cache)
    assert found.verdict.word == "supported", found.verdict.reason
    assert all(seed > 0 for seed in found.comparisons[0].difference.seeds)


def test_a_placebo_is_no_better(cache: Path) -> None:
    found = proved(claim({"placebo": {"views": [f"{HERE}:Nothing"]}}), cache)
    assert found.comparisons[0].difference.seeds == (0.0, 0.0, 0.0)
    assert found.verdict.word == "inconclusive" and "the same for every seed" in found.verdict.reason


def test_a_harmful_method_is_refuted(cache: Path) -> None:
    found = proved(claim({"swapped": {"views": [f"{HERE}:Swapped"]}}), cache)
    assert found.verdict.word == "refuted", found.verdict.reason


def test_training_on_the_test_is_refused(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"of 120 test images are among the training images"):
        run(Task(claim({"other": {}}, world={f"{HERE}:Leak": {}}), "plain", 1, str(cache), allow_code=True))


def test_more_training_in_secret_is_refused() -> None:
    with pytest.raises(UsageError, match="why that is fair"):
        claim({"longer": {"samples": 3}})


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"times": 3}, r"test_prover:Greedy gives a batch of the shape \(192,\); the budget has batches of 64"),
        ({"times": 0}, r"test_prover:Greedy gives a batch of the shape \(0,\)"),
        ({"times": 1, "batches": 7}, r"test_prover:Greedy stops after 7 batches"),
        ({"times": 1, "first": 700}, r"test_prover:Greedy gives rows that are none of the 800 examples"),
    ],
)
def test_a_sampler_cannot_leave_the_budget(how: dict[str, Any], told: str, cache: Path) -> None:
    greedy = claim({"greedy": {"sampler": {f"{HERE}:Greedy": how}}})
    with pytest.raises(UsageError, match=told):
        run(Task(greedy, "greedy", 1, str(cache), allow_code=True))


def test_an_evaluation_that_gives_no_number_is_named(cache: Path) -> None:
    told = claim({"other": {}}, evaluations={"retrieval": f"{HERE}:NoNumber"})
    with pytest.raises(TuwenError, match="the evaluation retrieval of the arm plain, seed 1, gives nan"):
        run(Task(told, "plain", 1, str(cache), allow_code=True))


def test_images_of_another_size_than_the_architecture_are_named(cache: Path) -> None:
    told = claim({"other": {}}, world={"scenes": {"side": 64}})
    with pytest.raises(UsageError, match="images of the world have 64 pixels a side, the architecture has side: 32"):
        run(Task(told, "plain", 1, str(cache), allow_code=True))


def test_a_gain_that_does_not_come_from_the_part_is_not_the_parts(cache: Path) -> None:
    """True captions do it; the part that is praised for it does nothing."""
    arms = {"praised": {"views": [f"{HERE}:Nothing"]}, "without": {}}
    found = proved(claim(arms, ablation="without", plain=NOISY), cache)
    assert found.comparisons[0].difference.low > 0
    assert found.verdict.word == "inconclusive"
    assert "not shown to come from the part" in found.verdict.reason


def test_models_that_learnt_nothing_prove_nothing(cache: Path) -> None:
    """Both arms collapse; whatever they differ by, the gate says no."""
    told = claim(
        {"other": {"objectives": [f"{HERE}:Collapse"]}}, base={**SMALL["base"], "objectives": [f"{HERE}:Collapse"]}
    )
    found = proved(told, cache)
    assert found.verdict.word == "inconclusive"
    assert "nothing was learnt" in found.verdict.reason


def test_one_lucky_seed_is_not_enough(cache: Path) -> None:
    assert proved(claim({"clean": {}}, plain=NOISY, seeds=[1]), cache).verdict.word == "inconclusive"


def test_a_second_run_trains_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = proved(claim({"placebo": {"views": [f"{HERE}:Nothing"]}}), cache)
    monkeypatch.setattr("tuwen.proof.trainer.train", None)
    again = proved(claim({"placebo": {"views": [f"{HERE}:Nothing"]}}), cache)
    assert [result.figures for result in again.results] == [result.figures for result in first.results]
    assert again.verdict == first.verdict


def test_same_seed_same_bytes(cache: Path, tmp_path: Path) -> None:
    """Anew, elsewhere, the figures and every item are the same."""
    told = claim({"other": {}})
    one, two = (run(Task(told, "plain", 1, str(place), allow_code=True)) for place in (cache, tmp_path))
    assert one.figures == two.figures and one.curve == two.curve
    for name, values in one.items["retrieval"].values.items():
        assert values.tobytes() == two.items["retrieval"].values[name].tobytes()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"group": "family"}, "no column 'family'"),
        ({"arms": {"plain": {"curations": [{"filtered": {"column": "none", "least": 1}}]}}}, "no column 'none'"),
    ],
)
def test_what_examples_do_not_have_is_told_before_training_with_the_arm(
    how: dict[str, Any], told: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuwen.proof.trainer.train", lambda *_, **__: pytest.fail("it trains"))
    arms = how.pop("arms", {})
    with pytest.raises(UsageError, match=f"the arm plain, seed 1: {told}"):
        run(Task(claim({"other": {}}, plain=arms.get("plain"), **how), "plain", 1, str(cache), allow_code=True))
