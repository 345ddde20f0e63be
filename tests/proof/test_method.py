"""Methods as YAML says them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.models.features import Features
from tuwen.models.network import Network
from tuwen.objectives.contrast import Contrast
from tuwen.proof.claim import Claim
from tuwen.proof.method import Method, part_of


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ({"lenguage": {}}, "architecture.lenguage"),
        ({"image": {"widht": 64}}, "architecture.image.widht"),
        ({"language": {"layer": 1}}, "architecture.language.layer"),
        ({"codes": {"numbers": 4}}, "architecture.codes.numbers"),
        ({"image": {"width": "wide"}}, "architecture.image.width"),
        ({"image": {"width": 0}}, "architecture.image.width"),
        ({"image": {"width": 42}}, "width is 42"),
        ({"image": {"kind": "gradient"}}, "architecture.image.kind"),
        ({"text": {"kind": "bags"}}, "architecture.text.kind"),
        ({"image": {"kind": "vit", "width": 100}}, "width is 100, for 3 heads"),
        ({"text": {"width": 64, "heads": 5}}, "width is 64, for 5 heads"),
        ({"text": {"layers": 0}}, "architecture.text.layers"),
        ({"language": {"width": 31}}, "width is 31"),
        ({"dim": 0}, "architecture.dim"),
        ({"context": 2}, "architecture.context"),
        ({"sequence": 2}, "architecture.sequence"),
        ({"codes": {"number": 0}}, "architecture.codes.number"),
    ],
)
def test_what_an_architecture_does_not_have_is_told(architecture: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Method.from_mapping({"architecture": architecture, "objectives": ["contrast"]})


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        ({"share": 0}, "share = 0"),
        ({"learning_rate": -1e-3}, "learning_rate = -0.001"),
        ({"learning_rate": float("inf")}, "learning_rate = inf"),
        ({"learning_rate": 1e6}, "learning_rate = 1000000.0"),
        ({"weight_decay": -1}, "weight_decay = -1"),
        ({"averaged": 1}, "averaged = 1"),
        ({"weights": {"contrast.text": float("nan")}}, "weights.contrast.text = nan"),
        ({"objectives": [{"contrast": {"smoothing": 1}}]}, "contrast: smoothing = 1"),
        ({"objectives": [{"contrast": {"trimmed": -0.1}}]}, "contrast: trimmed = -0.1"),
    ],
)
def test_numbers_of_a_phase_have_bounds(phase: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Method.from_mapping({"objectives": ["contrast"], **phase})


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_contrast_names_the_tower_that_is_missing(tower: str) -> None:
    architecture = Method.from_mapping({"architecture": {tower: None}, "objectives": ["contrast"]}).architecture
    batch = {"image": np.zeros((2, 32, 32, 3), np.uint8), "text": ["a", "b"]}
    with pytest.raises(UsageError, match=f"the network has no {tower} tower"):
        Contrast()(Features(batch, Network(architecture, architecture.tokenizer(["a", "b"]))))


def test_knobs_of_scenes_within_other_worlds_are_checked() -> None:
    with pytest.raises(UsageError, match="mismatched"):
        part_of("proof.worlds", {"scene_tiers": {"weak": {"mismatched": 0.5}}})


@pytest.mark.parametrize("name", ["capsfusion", "prior", "wudaomm", "lcl"])
def test_claims_of_generation_can_run(name: str) -> None:
    from pathlib import Path

    Claim.load(Path(__file__).parents[2] / "claims" / f"{name}.yaml").check()
