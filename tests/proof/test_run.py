"""Digests of examples tell whether two runs were tested on the same; a wrong arm is told before any trains, a right one
is not, and what a run finds does not depend on those before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.models.sequences import Piece
from tuwen.proof.claim import Claim
from tuwen.proof.run import digest_of, results_of

LEARNING = {"objectives": ["contrast"]}
SMALL = {
    "name": "small",
    "statement": "Any.",
    "world": {"scenes": {"style": ["flat"], "objects": [1], "length": "tag"}},
    "budget": {"examples": 64, "samples": 320, "batch_size": 16, "test": 20},
    "seeds": [1, 2],
    "base": {
        "architecture": {"image": {"width": 16}, "text": {"width": 32}, "dim": 8, "context": 8},
    },
    "evaluations": {"retrieval": "retrieval"},
    "comparisons": [{"arm": "less", "against": "more", "evaluation": "retrieval", "smallest_effect": 0.1}],
}


def documents(pixel: int = 0, learnt: bool = True, text: str = "a") -> Columns:
    image = np.zeros((64, 64, 3), np.uint8)
    image[32, 32] = pixel
    return Columns(document=[[Piece(text, learnt=learnt), Piece(image)]], number=[np.int64(1)])


def test_a_digest_is_of_all_that_columns_hold() -> None:
    told = digest_of(documents())
    assert told == digest_of(documents())
    assert (
        len({told, *(digest_of(documents(**each)) for each in ({"pixel": 1}, {"learnt": False}, {"text": "b"}))}) == 4
    )


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ({"weights": {"contrst": 2.0}}, "weights: no loss is called 'contrst'"),
        (
            {"phases": [{**LEARNING, "share": 9}, {**LEARNING, "weights": {"lost": 1}}]},
            "weights: no loss is called 'lost'",
        ),
        ({"objectives": [{"contrast": {"text": "long_text"}}]}, "long_text"),
        ({"curations": [{"filtered": {"column": "score", "share": 0.5}}]}, "score"),
    ],
)
def test_what_is_wrong_with_an_arm_is_told_before_any_trains(arm: dict[str, Any], told: str, tmp_path: Path) -> None:
    finished: list[str] = []
    claim = Claim.from_mapping(
        {**SMALL, "arms": {"less": LEARNING, "more": arm if "phases" in arm else {**LEARNING, **arm}}}
    )
    with pytest.raises(UsageError, match=f"the arm more, seed 1: .*{told}"):
        results_of(claim, tmp_path, workers=1, on_result=lambda result, done, of: finished.append(result.arm))
    assert not finished


def test_an_objective_knows_from_the_first_how_many_steps_there_are(tmp_path: Path) -> None:
    arms = {"less": LEARNING, "more": {"objectives": ["contrast", "rehearsed:Fading"]}}
    claim = Claim.from_mapping({**SMALL, "arms": arms, "seeds": [1]})
    results = results_of(claim, tmp_path, workers=1, allow_code=True)
    assert results[1].curve[-1]["fading"] == 0


def test_an_evaluation_may_be_undefined_of_a_network_that_has_learnt_nothing(tmp_path: Path) -> None:
    arms = {"less": LEARNING, "more": {**LEARNING, "weight_decay": 0.2}}
    evaluations = {"undefined": "rehearsed:FirstUndefined", "retrieval": "retrieval"}
    claim = Claim.from_mapping({**SMALL, "arms": arms, "seeds": [1], "evaluations": evaluations})
    results = results_of(claim, tmp_path, workers=1, allow_code=True)
    assert [result.figures["undefined"] for result in results] == [1, 1]


def test_what_an_evaluation_draws_is_its_seeds_alone(tmp_path: Path) -> None:
    arms = {"less": LEARNING, "more": {**LEARNING, "weight_decay": 0.2}}
    claim = Claim.from_mapping({**SMALL, "arms": arms, "evaluations": {"retrieval": "rehearsed:Drawn"}})
    figures = []
    for name in ("one", "two"):
        torch.rand(7)  # what ran before in this process
        results = results_of(claim, tmp_path / name, workers=1, allow_code=True)
        figures.append([result.figures["retrieval"] for result in results])
    assert figures[0] == figures[1]
    assert figures[0][0] == figures[0][1] != figures[0][2]
