"""Mistakes in claims are told with the key and the nearest known one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuwen.cli import main
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


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": ["x"]}, r"^claim: base is \['x'\]; it is a mapping of what all arms have$"),
        ({"world": ["scenes"]}, r"^claim: world is \['scenes'\]; a world is NAME or {NAME: {knob: value}}$"),
        ({"world": {"scenes": None}}, r"^claim: world is {'scenes': None}; a world is"),
        ({"name": "x" * 200}, "^claim: name: String should have at most 100 characters$"),
        ({"seeds": [1, 1]}, r"^claim: seeds are \(1, 1\)"),
        ({"seeds": [1.5]}, "^claim: seeds.0: Input should be a valid integer, got a number with a fractional part$"),
        ({"seeds": []}, "^claim: seeds: Tuple should have at least 1 item"),
    ],
)
def test_a_wrong_claim_is_told_once_and_plainly(changes: dict[str, Any], told: str) -> None:
    right = {
        "name": "one",
        "statement": "",
        "world": "scenes",
        "budget": {"examples": 10, "samples": 20},
        "seeds": [1],
        "base": None,
        "arms": {"a": {}, "b": {}},
        "evaluations": {"r": "retrieval"},
        "comparisons": [{"arm": "a", "against": "b", "evaluation": "r", "smallest_effect": 1}],
    }
    assert Claim.from_mapping(right).seeds == (1,)
    with pytest.raises(UsageError, match=told):
        Claim.from_mapping({**right, **changes})


@pytest.mark.parametrize("seeds", ["", "a", "1,", "1.5", "-1", "1,1"])
def test_seeds_that_are_none_are_told(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prove", "claims/smoke.yaml", f"--seeds={seeds}"])
    assert "seeds are numbers from 0 to 2^63 - 1, each once" in capsys.readouterr().err
