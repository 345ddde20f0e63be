"""Damage to what a cache holds is seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tuwen.errors import TuwenError
from tuwen.evaluations.measured import Items
from tuwen.proof import trainer
from tuwen.proof.method import Method
from tuwen.proof.results import Result, read_result, write_result
from tuwen.proof.worlds.scenes import Scenes

METHOD = Method.from_mapping(
    {
        "architecture": {"image": {"width": 16}, "text": {"width": 32}, "dim": 8, "context": 8},
        "objectives": ["contrast"],
    }
)


def result(folder: Path) -> Result:
    told = Result("a", 1, {"one": Items({"value": np.arange(3.0)})}, {"one": 0.5}, [], 1.0, 3, "")
    write_result(folder, told)
    return told


@pytest.mark.parametrize("figures", [{}, {"one": 0.6}, {"one": [0.5]}])
def test_a_result_that_was_changed_is_none(figures: object, tmp_path: Path) -> None:
    result(tmp_path / "kept")
    assert read_result(tmp_path / "kept", ["one"]) is not None
    path = tmp_path / "kept" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "figures": figures}))
    assert read_result(tmp_path / "kept", ["one"]) is None
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_checkpoint_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    trainer._write(path, {"state": torch.zeros(1_000)})
    data = path.read_bytes()
    flipped = data[:1_500] + bytes([data[1_500] ^ 1]) + data[1_501:]
    path.write_bytes({"flipped": flipped, "cut": data[:-100], "empty": b""}[damage])
    columns = Scenes(style=("flat",), objects=(1,), length="tag").train(32, 1)
    with pytest.raises(TuwenError, match=r"checkpoint\.pt is damaged: .* Delete it"):
        trainer.train(METHOD, columns, samples=32, batch_size=16, seed=1, checkpoint=path)
