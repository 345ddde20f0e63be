"""`to` is an empty folder or that of an unfinished training; recipes and examples that cannot be are told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pair_shards
import pytest

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.models.network import Architecture
from tuwen.proof.recipe import TrainingRecipe
from tuwen.proof.training import train_recipe

SMALL = {"image": {"width": 16}, "text": {"width": 16}, "dim": 16, "context": 12, "vocabulary": 300}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    pair_shards.write_shards(folder / "train", 20)
    pair_shards.write_shards(folder / "broken", 4, seed=2, broken=(0, 1, 2, 3))
    return folder


def trained(shards: Path, to: Path | str, **changes: Any) -> dict[str, Any]:
    told = {
        "start": {"architecture": SMALL},
        "examples": {"webdataset": {"paths": [str(shards / "train")]}},
        "objectives": ["contrast"],
        "budget": {"samples": 10, "batch_size": 10},
        "workers": 1,
        "to": str(to),
    }
    return train_recipe(TrainingRecipe.from_mapping({**told, **changes}))


@pytest.mark.parametrize(
    "kept",
    [
        {"notes.txt": "mine"},
        {"losses.jsonl": "mine", "broken.jsonl": "mine", "checkpoint.pt": "mine"},
        {"work/thesis.tex": "mine"},
        {"work/train/index.json": "{}", "data.csv": "mine"},
        {"recipe.json": "{}", "work/thesis.tex": "mine"},
        {"recipe.json": '{"recipe": {"stages": []}}'},
        {"recipe.json": "{"},
        {"training.json": "{"},
        {"training.json": "[]"},
        {"training.json": '{"recipe": {}}'},
    ],
)
def test_files_of_others_are_left_as_they_are(kept: dict[str, str], shards: Path, tmp_path: Path) -> None:
    for name, text in kept.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=r"name (an empty|another) folder"):
        trained(shards, tmp_path)
    assert {name: (tmp_path / name).read_text() for name in kept} == kept
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(kept)


def test_what_a_run_leaves_that_was_cut_off_early_is_taken(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "work" / "train").mkdir(parents=True)
    (tmp_path / ".lock").touch()
    (tmp_path / ".recipe.json.77").touch()
    assert trained(shards, tmp_path)["losses"]["step"] == 1
    assert json.loads((tmp_path / "training.json").read_text())["examples"]["num_examples"] == 20


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"to": ""}, "to: String should have at least 1 character"),
        ({"start": {"architecture": {**SMALL, "vocabulary": 1}}}, "vocabulary is 1; .* 258 tokens at least"),
        ({"columns": {"image": "txt"}}, "columns: 'image' is what a column of all examples is called"),
        ({"columns": {"name": "txt"}}, "columns: 'name' is what a column"),
        ({"held_out": "broken"}, "none of the 4 images of the evaluation decodes: "),
    ],
)
def test_what_cannot_be_is_told_before_training(
    changes: dict[str, Any], told: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuwen.proof.trainer._Run._step", lambda *_: pytest.fail("it trains"))
    if (columns := changes.pop("columns", None)) is not None:
        changes["examples"] = {"webdataset": {"paths": [str(shards / "train")], "columns": columns}}
    if (held_out := changes.pop("held_out", None)) is not None:
        examples = {"webdataset": {"paths": [str(shards / held_out)]}}
        changes["evaluation"] = {"examples": examples, "parts": {"retrieval": "retrieval"}}
    with pytest.raises(UsageError, match=told):
        trained(shards, changes.pop("to", tmp_path), **changes)


def test_a_column_may_be_called_as_an_argument_is() -> None:
    assert Columns(**{"self": np.zeros(2)}).with_columns(**{"self": [1, 2]})["self"] == [1, 2]


def test_a_megabyte_without_a_space_does_not_hold_up_a_tokenizer() -> None:
    started = time.process_time()
    tokenizer = Architecture(vocabulary=300).tokenizer(["字" * 350_000, "a red circle"])
    assert tokenizer("字" * 10, truncation=True)["input_ids"] and time.process_time() - started < 20
