"""Mistakes in claims are told with the key and the nearest known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuwen.errors import UsageError
from tuwen.proof.claim import Claim

SMOKE = Path(__file__).parents[2] / "claims" / "smoke.yaml"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("budget.smaples=320", r"smoke\.yaml: budget: unknown key 'smaples'; did you mean 'samples'\?"),
        ("sedes=[1]", r"smoke\.yaml: unknown key 'sedes'; did you mean 'seeds'\?"),
        ("comparisons.0.smallest_efect=1", r"comparisons\.0: unknown key 'smallest_efect'; did you mean"),
        ("budget.samples=none", r"budget\.samples: Input should be a valid integer"),
        ("seeds=[1, 1]", r"yaml: seeds are \(1, 1\)"),
    ],
)
def test_mistakes_name_the_key_and_the_nearest_known_one(change: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Claim.load(SMOKE, [change])


def test_base_is_no_unknown_key() -> None:
    assert "views" in Claim.load(SMOKE, ["base={views: [shifted]}"]).arms.popitem()[1].method
