"""Recorded verdicts and what systems earn by them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuwen.cli import main
from tuwen.errors import UsageError
from tuwen.proof.claim import Claim
from tuwen.proof.record import Record, records, write_record
from tuwen.proof.results import code_digest

TOLD: dict[str, Any] = {
    "name": "one",
    "system": "One",
    "statement": "Less is more.",
    "world": {"scenes": {}},
    "budget": {"examples": 10, "samples": 20},
    "seeds": [1, 2, 3, 4, 5],
    "arms": {"less": {"objectives": ["contrast"]}, "more": {"objectives": ["contrast"]}},
    "evaluations": {"retrieval": "retrieval"},
    "comparisons": [{"arm": "less", "against": "more", "evaluation": "retrieval", "smallest_effect": 0.1, "sd": 0.01}],
    "exact": {"objectives.contrast": "hand"},
}


def recorded(folder: Path, told: dict[str, Any], word: str, mean: float = 0.2, scale: float = 1.0) -> Record:
    path = folder / "one.yaml"
    path.write_text(yaml.safe_dump(told))
    claim = Claim.load(path).scaled(scale)
    ablation = {"mean": mean, "low": 0.1, "high": 0.3} if told["comparisons"][0].get("ablation") else None
    comparison = {"arm": "less", "against": "more", "mean": mean, "ablation": ablation, "seeds": [mean, mean + 0.01]}
    found = {"claim": claim.model_dump(mode="json"), "verdict": {"word": word, "reason": ""}}
    write_record(path, {**found, "comparisons": [comparison], "arms": [{"name": "less", "curves": [[1]]}]})
    (record,) = records(folder)
    return record


def test_a_claim_that_was_never_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(TOLD))
    (record,) = records(tmp_path)
    assert (record.direction, record.scale, record.exact, record.shown) == ("not run", "not run", "hand", False)


def test_support_needs_an_ablation_and_a_refutation_needs_power(tmp_path: Path) -> None:
    assert not recorded(tmp_path, TOLD, "supported").shown
    ablated = [{**TOLD["comparisons"][0], "ablation": "more"}]
    assert recorded(tmp_path, {**TOLD, "comparisons": ablated}, "supported").shown
    assert recorded(tmp_path, TOLD, "no effect").shown
    weak = [{**TOLD["comparisons"][0], "sd": 0.1}]
    assert not recorded(tmp_path, {**TOLD, "comparisons": weak}, "refuted").shown
    assert not recorded(tmp_path, TOLD, "inconclusive").shown
    assert not recorded(tmp_path, {**TOLD, "comparisons": ablated, "exact": {}}, "supported").shown


def test_a_record_keeps_no_curves_and_is_stale_once_the_claim_changes(tmp_path: Path) -> None:
    record = recorded(tmp_path, TOLD, "supported")
    assert "curves" not in json.loads((tmp_path / "results" / "one.json").read_text())["arms"][0]
    assert not record.stale
    record.path.write_text(yaml.safe_dump({**TOLD, "statement": "In other words.", "no_real_data": "None is told."}))
    assert records(tmp_path)[0].direction == "supported"
    record.path.write_text(yaml.safe_dump({**TOLD, "seeds": [1, 2, 3]}))
    assert records(tmp_path)[0].direction == "stale"


def test_scale_compares_signs_with_four_times_the_budget(tmp_path: Path) -> None:
    recorded(tmp_path, TOLD, "supported", scale=4)
    assert (tmp_path / "results" / "one@4.json").exists()
    assert recorded(tmp_path, TOLD, "supported").scale == "same sign"
    recorded(tmp_path, TOLD, "refuted", mean=-0.2, scale=4)
    assert recorded(tmp_path, TOLD, "supported").scale == "1 of 1 signs change"


def test_scale_compares_the_signs_against_ablations_too(tmp_path: Path) -> None:
    told = {**TOLD, "comparisons": [{**TOLD["comparisons"][0], "ablation": "more"}]}
    recorded(tmp_path, told, "supported", scale=4)
    place = tmp_path / "results" / "one@4.json"
    found = json.loads(place.read_text())
    assert recorded(tmp_path, told, "supported").scale == "same sign"
    found["comparisons"][0]["ablation"]["mean"] = -0.1
    place.write_text(json.dumps(found))
    assert recorded(tmp_path, told, "supported").scale == "1 of 2 signs change"


def test_a_scaled_claim_has_the_first_five_seeds(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump({**TOLD, "seeds": [9, 8, 7, 6, 5, 4]}))
    claim = Claim.load(path)
    assert claim.scaled(4).seeds == (9, 8, 7, 6, 5)
    assert claim.scaled(1).seeds == claim.seeds


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    recorded(tmp_path, TOLD, "supported")
    (tmp_path / "results" / "one.json").write_text("{")
    with pytest.raises(UsageError, match=r"one\.json is no record"):
        records(tmp_path)


def test_a_record_says_its_day_and_whether_the_code_is_still_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        assert main(["prove", str(tmp_path / "one.yaml"), "--dry-run"]) == 0
        return " ".join(capsys.readouterr().out.split())

    today = datetime.now(UTC).date().isoformat()
    record = recorded(tmp_path, TOLD, "supported")
    assert record.day == today
    assert f"recorded on {today}, it is not known by which code: supported" in said()
    for code, told in ((code_digest(), "by the code as it is now"), ("other", "by other code or libraries than now")):
        assert record.found is not None
        write_record(record.path, {**record.found, "code": code})
        assert f"recorded on {today}, {told}: supported" in said()
    path = tmp_path / "results" / "one.json"
    path.write_text(json.dumps({key: value for key, value in record.found.items() if key != "recorded"}))
    assert records(tmp_path)[0].day == "not known"
    assert "recorded, it is not known by which code: supported" in said()
    path.unlink()
    assert records(tmp_path)[0].day == "–" and "recorded" not in said()
