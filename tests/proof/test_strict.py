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
        (f"seeds=[1, {2**63}]", r"seeds are \(1, 9223372036854775808\); they have to be numbers from 0 to"),
        ("comparisons.0.smallest_effect=.inf", r"comparisons\.0\.smallest_effect: Input should be a finite number"),
        ("comparisons.0.sd=.inf", r"comparisons\.0\.sd: Input should be a finite number"),
        ("comparisons.0.against=clean", r"comparisons\.0: against is 'clean', the arm itself"),
        ("comparisons.0.ablation=clean", r"comparisons\.0: ablation is 'clean', the arm itself"),
        ("arms.clean={samples: .inf, matched: so}", r"arms\.clean\.samples: Input should be a finite number"),
        ("arms.clean={examples: .inf, matched: so}", r"arms\.clean\.examples: Input should be a finite number"),
        ("arms.clean={samples: 3, matched: ' '}", r"arms\.clean: an arm with its own number of samples"),
        ("gate.above=.nan", r"gate\.above: Input should be a finite number"),
    ],
)
def test_mistakes_name_the_key_and_the_nearest_known_one(change: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Claim.load(SMOKE, [change])


def test_base_is_no_unknown_key() -> None:
    assert "views" in Claim.load(SMOKE, ["base={views: [shifted]}"]).arms.popitem()[1].method
