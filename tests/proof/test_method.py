"""Methods as YAML says them."""

from __future__ import annotations

from typing import Any

import pytest

from tuwen.errors import UsageError
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
    ],
)
def test_what_an_architecture_does_not_have_is_told(architecture: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Method.from_mapping({"architecture": architecture, "objectives": ["contrast"]})


def test_knobs_of_scenes_within_other_worlds_are_checked() -> None:
    with pytest.raises(UsageError, match="mismatched"):
        part_of("proof.worlds", {"scene_tiers": {"weak": {"mismatched": 0.5}}})


@pytest.mark.parametrize("name", ["capsfusion", "prior", "wudaomm", "lcl"])
def test_claims_of_generation_can_run(name: str) -> None:
    from pathlib import Path

    Claim.load(Path(__file__).parents[2] / "claims" / f"{name}.yaml").check()
