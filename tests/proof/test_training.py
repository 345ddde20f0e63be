"""`tuwen train RECIPE` from shards to a model that others load: same bytes after kills, with any number of workers."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pair_shards
import pytest
import torch
import yaml

from tuwen.cli import main
from tuwen.errors import TuwenError, UsageError
from tuwen.evaluations.measured import Items
from tuwen.models.saved import load_network
from tuwen.proof import trainer
from tuwen.proof.recipe import TrainingRecipe
from tuwen.proof.trained import Trained
from tuwen.proof.training import train_recipe

VIT = {"image": {"kind": "vit", "width": 32, "layers": 1}, "text": {"width": 32}, "dim": 32, "context": 24}
CONV = {**VIT, "image": {"width": 32}}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train`, 120 examples of which two are broken, and `test`, 40 others."""
    folder = tmp_path_factory.mktemp("shards")
    pair_shards.write_shards(folder / "train", 120, broken=(5, 77))
    pair_shards.write_shards(folder / "test", 40, seed=2)
    return folder


def mapping(shards: Path, to: Path, **changes: Any) -> dict[str, Any]:
    return {
        "start": {"architecture": VIT},
        "examples": {"webdataset": {"paths": [str(shards / "train")]}},
        "objectives": ["contrast"],
        "views": ["shifted"],
        "budget": {"samples": 16 * 24, "batch_size": 16},
        "workers": 1,
        "checkpoint": 5,
        "to": str(to),
        **changes,
    }


def trained(shards: Path, to: Path, **changes: Any) -> dict[str, Any]:
    return train_recipe(TrainingRecipe.from_mapping(mapping(shards, to, **changes)))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    to = tmp_path_factory.mktemp("whole")
    held_out = {"examples": {"webdataset": {"paths": [str(shards / "test")]}}, "parts": {"retrieval": "retrieval"}}
    trained(shards, to, evaluation=held_out)
    return to


def test_the_report_says_what_was_learnt_and_what_was_broken(whole: Path) -> None:
    found = json.loads((whole / "training.json").read_text())
    assert found["examples"]["num_examples"] == 120 and found["examples"]["num_broken"] == 2
    assert [json.loads(line)["name"] for line in (whole / "broken.jsonl").read_text().splitlines()] == [
        "000005",
        "000077",
    ]
    losses = [json.loads(line)["contrast.text"] for line in (whole / "losses.jsonl").read_text().splitlines()]
    assert len(losses) == 24 and np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.2
    assert found["figures"]["retrieval"] > 0.07
    assert found["layouts"] == ["transformers", "open_clip"]
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    section = page.partition("## tuwen train RECIPE")[2].partition("\n## ")[0]
    assert set(found) == set(re.findall(r"^\| `(\w+)`", section, re.M))
    assert not (whole / "work").exists() and not (whole / "checkpoint.pt").exists()


def test_others_load_the_model_and_see_the_same(whole: Path) -> None:
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    from tuwen.models.open_clip import load_open_clip  # type: ignore[import-not-found,unused-ignore]

    own = Trained(load_network(whole))
    columns = pair_shards.scenes(6, seed=3)
    clip: Any = CLIPModel.from_pretrained(whole)
    processor: Any = AutoImageProcessor.from_pretrained(whole, backend="pil")
    tokens = AutoTokenizer.from_pretrained(whole)(columns["text"], padding=True, return_tensors="pt")
    pixels = processor(images=[Image.fromarray(each) for each in columns["image"]], return_tensors="pt")
    for model in (clip, load_open_clip(whole / "open_clip", "cpu")[0]):
        with torch.inference_mode():
            out = model(input_ids=tokens["input_ids"], pixel_values=pixels["pixel_values"])
        np.testing.assert_allclose(own.images(columns["image"]), out.image_embeds.numpy(), atol=1e-5)
        np.testing.assert_allclose(own.texts(columns["text"]), out.text_embeds.numpy(), atol=1e-5)


def test_a_run_that_raised_goes_on_to_the_same_bytes(
    whole: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with other workers, and with images that are read again instead of kept."""
    held_out = json.loads((whole / "training.json").read_text())["recipe"]["evaluation"]
    step, count = trainer._Run._step, 0

    def interrupted(*args: Any) -> Any:
        nonlocal count
        count += 1
        if count == 14:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(trainer._Run, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(shards, tmp_path, evaluation=held_out)
    assert (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(UsageError, match="seed was 0 and is 1"):
        trained(shards, tmp_path, evaluation=held_out, seed=1)
    with (tmp_path / "losses.jsonl").open("a") as stream:
        stream.write('{"step": 14, "contr')  # what kill -9 may leave
    monkeypatch.setattr("tuwen.proof.streamed.CACHE_BYTES", 0)
    trained(shards, tmp_path, evaluation=held_out, workers=2)
    assert count == 14 + (24 - 10)  # from the checkpoint of step 10
    assert files_of(tmp_path) == files_of(whole)


def test_a_finished_run_is_only_told(whole: Path, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = json.loads((whole / "training.json").read_text())["recipe"]["evaluation"]
    monkeypatch.setattr("tuwen.proof.trainer.train", None)
    assert trained(shards, whole, evaluation=held_out)["figures"]["retrieval"] > 0
    with pytest.raises(UsageError, match=r"budget.samples was 384 and is 32"):
        trained(shards, whole, evaluation=held_out, budget={"samples": 32, "batch_size": 16})


SLOWLY = """
import time
from tuwen.proof import trainer
step = trainer._Run._step
trainer._Run._step = lambda *arguments: time.sleep(0.1) or step(*arguments)
from tuwen.cli import script
script()
"""


def test_kill_minus_nine_costs_some_steps(whole: Path, shards: Path, tmp_path: Path) -> None:
    held_out = json.loads((whole / "training.json").read_text())["recipe"]["evaluation"]
    told = mapping(shards, tmp_path / "killed", checkpoint=1, evaluation=held_out)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(told))
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, "train", str(tmp_path / "recipe.yaml"), "--json"])
    while not (tmp_path / "killed" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "training.json").exists()
    trained(shards, tmp_path / "killed", evaluation=held_out)
    assert files_of(tmp_path / "killed") == files_of(whole)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    trainer._write(tmp_path / "checkpoint.pt", {"step": 1})
    (tmp_path / "checkpoint.new").symlink_to("/dev/full")
    with pytest.raises(TuwenError, match="free some space"):
        trainer._write(tmp_path / "checkpoint.pt", {"step": 2, "state": torch.zeros(100_000)})
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True) == {"step": 1}
    assert not (tmp_path / "checkpoint.new").is_symlink()


def test_two_do_not_train_in_one_folder(shards: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(TuwenError, match="another tuwen trains in"):
            trained(shards, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_was_saved_is_trained_further(whole: Path, shards: Path, tmp_path: Path) -> None:
    """The first losses are those of a model that has learnt; and a CLIP with its own preprocessing keeps it."""
    budget = {"samples": 16 * 4, "batch_size": 16}
    trained(shards, tmp_path / "more", start={"checkpoint": str(whole)}, budget=budget, learning_rate=1e-5)
    more, first = (
        [json.loads(line)["contrast.text"] for line in (folder / "losses.jsonl").read_text().splitlines()]
        for folder in (tmp_path / "more", whole)
    )
    assert np.mean(more) < np.mean(first[:4]) - 0.2


def test_a_checkpoint_is_evaluated_as_it_is(whole: Path, tmp_path: Path) -> None:
    """The figure of the run that made it, and nothing trained."""
    told = json.loads((whole / "training.json").read_text())
    recipe = {
        "start": {"checkpoint": str(whole)},
        "budget": {"samples": 0},
        "evaluation": told["recipe"]["evaluation"],
        "to": str(tmp_path),
    }
    found = train_recipe(TrainingRecipe.from_mapping(recipe))
    assert found["figures"] == told["figures"] and found["examples"] is None
    assert found["layouts"] == [] and not (tmp_path / "model.safetensors").exists()


@dataclasses.dataclass(frozen=True)
class Gives:
    """An evaluation that gives what it is told."""

    value: Any = "nan"

    def items(self, model: Any, train: Any, test: Any) -> Items:
        return Items({"value": np.zeros(test.num_rows)})

    def statistic(self, items: Items, indices: Any) -> Any:
        return np.float32(self.value) if isinstance(self.value, float) else self.value


def test_a_figure_that_is_no_number_is_told_and_costs_no_other(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "test_training", sys.modules[__name__])
    gives = "test_training:Gives"
    held_out = json.loads((whole / "training.json").read_text())["recipe"]["evaluation"]["examples"]
    recipe: dict[str, Any] = {"start": {"checkpoint": str(whole)}, "budget": {"samples": 0}, "to": str(tmp_path / "to")}
    parts = {"torn": {gives: {"value": float("nan")}}, "whole": {gives: {"value": 0.25}}}
    path = tmp_path / "recipe.yaml"
    for _ in range(2):  # also where it is finished, and only told
        path.write_text(yaml.safe_dump({**recipe, "evaluation": {"examples": held_out, "parts": parts}}))
        assert main(["train", str(path), "--allow-code", "--json"]) == 1
        out, error = capsys.readouterr()
        told = json.loads((tmp_path / "to" / "training.json").read_text(), parse_constant=pytest.fail)
        assert told == json.loads(out) and told["figures"] == {"torn": None, "whole": 0.25}
        assert "torn: NaN or infinity, which is no figure, of the model as it is" in error


def test_an_evaluation_that_fails_does_not_cost_the_model(
    whole: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "test_training", sys.modules[__name__])
    held_out = json.loads((whole / "training.json").read_text())["recipe"]["evaluation"]["examples"]
    wrong = {"examples": held_out, "parts": {"words": {"test_training:Gives": {"value": "much"}}}}
    told = mapping(shards, tmp_path, budget={"samples": 16, "batch_size": 16}, evaluation=wrong)
    with pytest.raises(UsageError, match="the evaluation words gives 'much' for a measure, which is no number"):
        train_recipe(TrainingRecipe.from_mapping(told, allow_code=True), allow_code=True)
    assert load_network(tmp_path).architecture.dim == 32 and not (tmp_path / "training.json").exists()


def test_an_own_layout_comes_back(shards: Path, tmp_path: Path) -> None:
    found = trained(
        shards, tmp_path / "conv", start={"architecture": CONV}, budget={"samples": 32, "batch_size": 16}, phases=None
    )
    assert found["layouts"] == ["tuwen"]
    once, again = load_network(tmp_path / "conv"), load_network(tmp_path / "conv")
    texts = ["a red square", "一个圆"]
    np.testing.assert_array_equal(Trained(once).texts(texts), Trained(again).texts(texts))


def test_bf16_trains(shards: Path, tmp_path: Path) -> None:
    budget = {"samples": 16 * 12, "batch_size": 16}
    trained(shards, tmp_path, precision="bf16", budget=budget, start={"architecture": CONV})
    losses = [json.loads(line)["contrast.text"] for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < losses[0]
    assert all(weight.dtype == torch.float32 for weight in load_network(tmp_path).parameters())


def test_evaluating_on_training_images_is_refused(shards: Path, tmp_path: Path) -> None:
    held_out = {"examples": {"webdataset": {"paths": [str(shards / "train")]}}, "parts": {"retrieval": "retrieval"}}
    with pytest.raises(UsageError, match="among those of training"):
        trained(shards, tmp_path, evaluation=held_out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bugdet": {}}, "unknown key 'bugdet'; did you mean 'budget'"),
        ({"budget": {"smaples": 320}}, "budget: unknown key 'smaples'; did you mean 'samples'"),
        ({"start": {}}, "an architecture or a checkpoint"),
        ({"start": {"architecture": {"sides": 3}}}, "sides"),
        ({"objectives": ["contrasts"]}, "did you mean 'contrast'"),
        ({"examples": {"webdataset": {"path": []}}}, "did you mean 'paths'"),
        ({"budget": {"samples": -1}}, "budget.samples: Input should be greater than or equal to 0"),
        ({"evaluation": {"examples": {"webdataset": {"paths": ["x"]}}}}, "evaluation.parts is empty"),
        ({"precision": "fp8"}, "precision"),
        ({"seed": 2**63}, "seed: Input should be less than or equal to 9223372036854775807"),
        ({"budget": {"samples": 0}}, "takes a checkpoint to start from"),
        ({"examples": None}, "name what is trained on"),
    ],
)
def test_mistakes_in_a_recipe_are_told(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingRecipe.from_mapping(mapping(tmp_path, tmp_path, **changes))


def test_the_example_is_a_recipe() -> None:
    page = Path(__file__).parents[2] / "examples" / "train-clip.yaml"
    told = yaml.safe_load(re.sub(r"^# (?=evaluation|  )", "", page.read_text(), flags=re.M))
    assert TrainingRecipe.from_mapping(told).evaluation is not None


def test_the_command_line_checks_and_changes_a_recipe(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(mapping(shards, tmp_path / "a")))
    assert main(["train", str(path), "--set", "budget.samples=48", "--to", str(tmp_path / "b"), "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["budget"]["samples"] == 48 and told["to"] == str(tmp_path / "b")
    assert main(["train", str(path), "--set", "device=nonsense"]) == 2
    assert "try cpu" in capsys.readouterr().err
