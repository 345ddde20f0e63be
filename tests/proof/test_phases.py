"""Phases that change the network before they begin."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tuwen.proof.method import Method
from tuwen.proof.trainer import train
from tuwen.proof.worlds.scenes import Scenes

METHOD = Method.from_mapping(
    {
        "architecture": {"image": {"width": 16}, "text": {"width": 32}, "dim": 8, "context": 8},
        "phases": [
            {"objectives": ["contrast"]},
            {
                "adaptations": [{"stretch_positions": {"kept": 4}}],
                "objectives": [{"contrast": {"text": "paragraph_text"}}, {"pca_match": {"components": 4}},
                               {"contrast": {"image": "image.principal"}}],
            },
        ],
    }
)  # fmt: skip


def trained(checkpoint: Path | None = None, stop: int = 0) -> dict[str, torch.Tensor]:
    def on_step(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == stop:
            raise KeyboardInterrupt

    columns = Scenes(style=("flat",), objects=(1,), length="tag").train(64, 1)
    model = train(METHOD, columns, samples=128, batch_size=16, seed=1, checkpoint=checkpoint, every=1, on_step=on_step)
    assert model.network.architecture.context == 4 + 4 * 4
    return model.network.state_dict()


def test_a_run_that_is_cut_off_goes_on_with_stretched_positions(tmp_path: Path) -> None:
    wanted = trained()
    for stop in (3, 6):
        place = tmp_path / f"{stop}.pt"
        with pytest.raises(KeyboardInterrupt):
            trained(place, stop)
        found = trained(place)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
