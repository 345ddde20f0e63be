"""Parts of somebody's own code are tried before anything is trained, and the arm and field that name them are told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tuwen.cli import main
from tuwen.errors import UsageError
from tuwen.proof.claim import Claim
from tuwen.proof.kinds import KINDS
from tuwen.proof.method import part_of

OWN = """
from __future__ import annotations
from dataclasses import dataclass, field
import numpy as np

@dataclass(frozen=True)
class Loss:
    strength: float = 1.0
    def __call__(self, features):
        return {}

@dataclass
class Thawed:
    def __call__(self, features):
        return {}

@dataclass(frozen=True)
class Sampler:
    def __call__(self, columns, batch_size):
        return iter([])

@dataclass(frozen=True)
class Nothing:
    pass

@dataclass(frozen=True)
class Torn:
    array: np.random.Generator | None = None
    def __call__(self, features):
        return {}

@dataclass(frozen=True)
class Half:
    def items(self, model, train, test):
        return None
"""
TOLD: dict[str, Any] = {
    "name": "one",
    "statement": "Nothing runs.",
    "world": {"scenes": {}},
    "budget": {"examples": 10, "samples": 20},
    "seeds": [1],
    "base": {"objectives": ["contrast"]},
    "arms": {"less": {}, "more": {}},
    "evaluations": {"retrieval": "retrieval"},
    "comparisons": [{"arm": "less", "against": "more", "evaluation": "retrieval", "smallest_effect": 0.1}],
}


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_parts.py").write_text(OWN)
    (tmp_path / "torn_parts.py").write_text("class (:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("own_parts", None)


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ({"objectives": ["own_parts:Los"]}, "arms.more: objectives: cannot import 'own_parts:Los'"),
        ({"objectives": ["torn_parts:Loss"]}, "arms.more: objectives: cannot import 'torn_parts:Loss': SyntaxError"),
        ({"objectives": [":Loss"]}, "arms.more: objectives: cannot import ':Loss': ValueError"),
        (
            {"objectives": [{"own_parts:Loss": {"strenght": 2}}]},
            r"arms.more: objectives: own_parts:Loss: unknown parameter 'strenght'; did you mean 'strength'\?",
        ),
        ({"objectives": [{"own_parts:Loss": {"strength": "much"}}]}, "arms.more: objectives: own_parts:Loss: strength"),
        ({"objectives": ["own_parts:Nothing"]}, "own_parts:Nothing is not an objective: .* __call__"),
        ({"objectives": ["own_parts:Thawed"]}, r"own_parts:Thawed: .* frozen dataclass"),
        ({"objectives": ["own_parts:Torn"]}, "own_parts:Torn: a field has a type that cannot be read from YAML"),
        ({"views": ["own_parts:Loss"]}, r"arms.more: views: own_parts:Loss is not a view: .* \(batch, rng\)"),
        ({"sampler": "own_parts:Sampler"}, "arms.more: sampler: own_parts:Sampler is not a sampler"),
        ({"adaptations": ["own_parts:Half"]}, "arms.more: adaptations: own_parts:Half is not an adaptation"),
        ({"curations": ["own_parts:Loss"]}, "arms.more: curations: own_parts:Loss is not a curation"),
        ({"world": {"mismatched": 1}}, "arms.more: world: scenes: unknown parameter 'mismatched'"),
    ],
)
def test_a_wrong_part_of_an_arm_is_told_before_anything_is_trained(arm: dict[str, Any], told: str) -> None:
    claim = Claim.from_mapping({**TOLD, "arms": {"less": {}, "more": arm}})
    with pytest.raises(UsageError, match=told):
        claim.check(allow_code=True)


@pytest.mark.parametrize("name", ["own_parts:Half", "own_parts:Loss"])
def test_a_part_that_is_no_evaluation_is_told(name: str) -> None:
    claim = Claim.from_mapping({**TOLD, "evaluations": {"retrieval": name}})
    with pytest.raises(UsageError, match=rf"evaluations\.retrieval: {name} is not an evaluation"):
        claim.check(allow_code=True)


def test_exact_names_parts_of_ones_own_as_arms_do() -> None:
    claim = Claim.from_mapping({**TOLD, "exact": {"own_parts:Loss": "hand", "objectives.contrast": "hand"}})
    claim.check(allow_code=True)
    with pytest.raises(UsageError, match="pass --allow-code"):
        claim.check()


def test_parts_of_tuwen_are_what_they_are_asked_to_be() -> None:
    from tuwen.parts import names_in

    for package in sorted(KINDS.keys() - {"proof.worlds", "proof.examples"}):
        for name in names_in(f"tuwen.{package}"):
            try:
                part_of(package, name)
            except UsageError as error:
                assert " is not a" not in str(error), error  # some need parameters
    for world in ("scenes", "scene_tiers", "scene_documents"):
        part_of("proof.worlds", world)
    for name in ("webdataset", "parquet"):
        part_of("proof.examples", {name: {"paths": ["a"]}})


def test_of_several_claims_none_runs_where_one_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    for name, arm in (("one", {}), ("two", {"objectives": ["contrst"]})):
        Path(f"{name}.yaml").write_text(yaml.safe_dump({**TOLD, "name": name, "arms": {"less": {}, "more": arm}}))
    monkeypatch.setattr("tuwen.proof.run.prove", lambda *_, **__: pytest.fail("it runs"))
    assert main(["prove", "one.yaml", "two.yaml"]) == 2
    assert "two.yaml: arms.more: objectives: unknown name 'contrst'" in capsys.readouterr().err
