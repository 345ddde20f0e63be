"""What every part of a method keeps to: objectives, views, samplers, adaptations, curations, evaluations, worlds."""

from __future__ import annotations

import copy
import math
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from tuwen.evaluations.effective_robustness import EffectiveRobustness
from tuwen.models.columns import Columns
from tuwen.models.features import Batch, Features
from tuwen.models.image_tokenizer import ImageTokenizer
from tuwen.models.network import Architecture, Network
from tuwen.models.towers import ImageTower, LanguageTower, TextTower
from tuwen.parts import load, names_in
from tuwen.proof.run import digest_of
from tuwen.proof.trained import Trained
from tuwen.proof.worlds.scene_documents import SceneDocuments
from tuwen.proof.worlds.scenes import Scenes

# What a part cannot do without. A new part that has such a parameter gets a line here.
PARAMETERS: dict[str, dict[str, Any]] = {
    "views.chosen_text": {"texts": ["text", "synthetic"]},
    "evaluations.effective_robustness": {"zero_shot": {"label": "shape"}, "reference": ["flat"], "shifted": ["sketch"]},
    "evaluations.linear_probe": {"label": "colour", "num_examples": 40, "strengths": [0.1]},
    "evaluations.zero_shot": {"label": "shape"},
    "evaluations.drawn_attributes": {"num_examples": 60, "steps": 5, "num_items": 8},
    "evaluations.caption_slots": {"tokens": 4},
    "evaluations.caption_similarity": {"tokens": 4, "num_items": 8},
    "evaluations.mentioned": {"tokens": 4},
    "samplers.shares": {"column": "language", "shares": {"en": 1, "zh": 1}},
    "proof.curations.balanced": {"cap": 2},
    "proof.curations.filtered": {"column": "concept", "share": 0.5},
    "proof.curations.mixed": {"shares": {"1": 1, "2": 1}, "number": 10},
}
ROWS = 40
ELSEWHERE = {
    "evaluations.clip_benchmark",
    "proof.worlds.manuals",
    "proof.worlds.releases",
    "proof.worlds.shards",
}  # need files: tested by themselves


def parts(kind: str) -> list[Any]:
    names = [name for name in names_in(f"tuwen.{kind}") if f"{kind}.{name}" not in ELSEWHERE]
    return [pytest.param(load(f"tuwen.{kind}", name, PARAMETERS.get(f"{kind}.{name}", {})), id=name) for name in names]


@lru_cache(maxsize=1)
def examples() -> Columns:
    """Scenes, and documents beside them."""
    scenes = Scenes(chinese=0.5, names=True, style=("flat", "sketch"), labelled=0.3).train(ROWS, 1)
    documents = SceneDocuments(images=(2,)).train(ROWS, 1)
    return scenes.with_columns(
        **{name: documents[name] for name in ("document_texts", "document_images", "text_of_image")}
    )


def batch_of(number: int) -> Batch:
    """A batch with every column that an objective reads if nothing else is said."""
    batch = examples().take(np.arange(number))
    for name in ("captioned", "drawn", "bag", "sub_captions", "packed"):
        batch = prepared(load("tuwen.views", name, {}))(batch, np.random.default_rng(1))
    return batch


def prepared(view: Any) -> Any:
    return view.prepare(examples(), 1) if hasattr(view, "prepare") else view


@lru_cache(maxsize=1)
def network() -> Network:
    """One of all towers, with the codes of these images."""
    architecture = Architecture(
        ImageTower(width=16), TextTower(width=16), LanguageTower(width=32, layers=1),
        dim=16, context=24, sequence=160, vocabulary=400, codes=ImageTokenizer(number=8, patch=8),
    )  # fmt: skip
    torch.manual_seed(1)
    made = Network(architecture, architecture.tokenizer(examples().texts))
    assert made.codebook is not None
    made.codebook.fit(examples()["image"], 1)
    return made


@pytest.mark.parametrize("objective", parts("objectives"))
def test_an_objective_gives_finite_losses_that_teach(objective: Any) -> None:
    made = copy.deepcopy(network())
    own = {objective: objective.module(made)} if hasattr(objective, "module") else {}
    batch, found = batch_of(12), []
    for _ in range(2):
        torch.manual_seed(3)
        losses = objective(Features(batch, made, 1, 10, own))
        found.append({name: float(loss.detach()) for name, loss in losses.items()})
    assert all(math.isfinite(value) for value in found[0].values())
    moving = hasattr(objective, "after_step") or own  # running means may move between calls
    assert moving or found[0] == found[1]
    if losses:
        sum(losses.values()).backward()  # type: ignore[union-attr]
        weights = [each for module in (made, *own.values()) for each in module.parameters()]
        assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in weights)


@pytest.mark.parametrize("view", parts("views"))
def test_a_view_gives_a_batch_by_its_arguments_alone(view: Any) -> None:
    view, batch = prepared(view), examples().take(np.arange(10))
    before = digest_of(batch)
    one, two = (view(batch, np.random.default_rng(5)) for _ in range(2))
    assert digest_of(batch) == before, "the given batch stays as it is"
    assert digest_of(one) == digest_of(two)
    assert {len(one[name]) for name in batch} == {10}


@pytest.mark.parametrize("sampler", parts("samplers"))
def test_a_sampler_draws_rows_that_are_there(sampler: Any) -> None:
    one, two = (list(islice(sampler(examples(), 8, 3), 20)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    for rows in one:
        assert 0 < len(rows) <= 8 and rows.min() >= 0 and rows.max() < ROWS
    other = list(islice(sampler(examples(), 8, 4), 20))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("curation", parts("proof.curations"))
def test_a_curation_chooses_rows(curation: Any) -> None:
    found = {name: np.full(200, 256) for name in ("original_width", "original_height")}  # as if from the web
    columns = Scenes().train(200, 1).with_columns(**found)
    one, two = (curation(columns, 3) for _ in range(2))
    assert digest_of(one) == digest_of(two) and 0 < one.num_rows <= 200
    known = {image.tobytes() for image in columns["image"]}
    assert all(image.tobytes() in known for image in one["image"])


@pytest.mark.parametrize("adaptation", parts("adaptations"))
def test_an_adaptation_leaves_the_model_as_it_was(adaptation: Any) -> None:
    model = Trained(copy.deepcopy(network()))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    adapted = adaptation(model)
    assert adapted is not model
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert np.isfinite(adapted.texts(["a red circle", "圆"])).all()


@pytest.mark.parametrize("evaluation", parts("evaluations"))
def test_an_evaluation_has_items_and_a_statistic_of_any_of_them(evaluation: Any) -> None:
    model = Trained(network())
    train, test = Scenes(names=True).train(60, 1), Scenes(names=True).test(60, 2)
    one, two = (evaluation.items(model, train, test) for _ in range(2))
    assert len({len(values) for values in one.values.values()}) == 1 and len(one) > 0
    for name, values in one.values.items():
        assert np.array_equal(values, two[name], equal_nan=values.dtype.kind == "f")
    everything = np.arange(len(one))
    if not len(one.group):  # else it groups by itself
        assert len(one.grouped_by(test["concept"]).groups) == len(one)
    figure = evaluation.statistic(one, everything)
    assert math.isfinite(figure)
    assert evaluation.statistic(one, everything[::-1].copy()) == pytest.approx(figure)
    twice = evaluation.statistic(one, np.tile(everything, 2))
    # Its accuracies are those of half an item more of each kind, which weighs less beside twice the items.
    room = 0.02 if isinstance(evaluation, EffectiveRobustness) else 1e-9
    assert twice == pytest.approx(figure, abs=room), "items that all come twice change nothing"


@pytest.mark.parametrize("world", parts("proof.worlds"))
def test_a_world_is_drawn_by_its_arguments_and_never_trains_on_its_test(world: Any) -> None:
    assert digest_of(world.train(30, 1)) == digest_of(world.train(30, 1))
    assert digest_of(world.test(30, 1)) == digest_of(world.test(30, 1))
    trained = {image.tobytes() for seed in (1, 2) for image in world.train(200, seed)["image"]}
    assert not any(image.tobytes() in trained for seed in (1, 2) for image in world.test(40, seed)["image"])
