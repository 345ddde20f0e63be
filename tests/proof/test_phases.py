"""Phases: which steps they have, and that they change the network before they begin."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tuwen.errors import UsageError
from tuwen.proof.claim import Claim
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


def phased(*shares: float) -> dict[str, object]:
    return {"phases": [{"objectives": ["contrast"], "share": share} for share in shares]}


@pytest.mark.parametrize(
    ("shares", "spans"),
    [((1,), [(0, 10)]), ((1, 1), [(0, 5), (5, 10)]), ((0.5, 0.2, 0.3), [(0, 5), (5, 7), (7, 10)])],
)
def test_phases_share_all_steps(shares: tuple[float, ...], spans: list[tuple[int, int]]) -> None:
    assert Method.from_mapping(phased(*shares)).spans(10) == spans


def test_a_phase_without_steps_is_refused_before_anything_is_trained() -> None:
    claim = Claim.from_mapping(
        {
            "name": "short",
            "statement": "A phase of none.",
            "world": "scenes",
            "budget": {"examples": 64, "samples": 160, "batch_size": 16, "test": 10},
            "seeds": [1],
            "arms": {"whole": {"objectives": ["contrast"]}, "cut": phased(0.99, 0.01)},
            "evaluations": {"retrieval": "retrieval"},
            "comparisons": [{"arm": "cut", "against": "whole", "evaluation": "retrieval", "smallest_effect": 0.1}],
        }
    )
    with pytest.raises(UsageError, match=r"arms\.cut: phases\[1\]: a share of 0\.01 of 1 is none of 10 steps"):
        claim.check()
    claim.scaled(20).check()
