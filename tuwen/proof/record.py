"""Recorded verdicts: what registered claims came to, kept beside them, and what each system has earned by that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import stdev
from typing import Any

from tuwen.errors import UsageError
from tuwen.proof.claim import Claim
from tuwen.proof.results import code_digest
from tuwen.proof.sealed import write_whole
from tuwen.proof.verdict import detectable_effect

FOLDER = "results"  # beside the claims
SCALE = 4
WORDS = ("statement", "source", "notes", "exact", "no_real_data")  # of a claim, which decide nothing


def write_record(claim_path: str | Path, found: Mapping[str, Any]) -> Path:
    """Keep the summary of a claim that was run as it is registered, and the day, in `results` beside its file."""
    arms = [{name: arm[name] for name in arm if name != "curves"} for arm in found["arms"]]
    told = {**found, "arms": arms, "recorded": datetime.now(UTC).date().isoformat()}
    path = Path(claim_path).parent / FOLDER / f"{found['claim']['name']}.json"
    write_whole(path, json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return path


@dataclass(frozen=True)
class Record:
    """A registered claim and what it came to; `found` is nothing where it was never run, or has changed since."""

    claim: Claim
    path: Path
    found: Mapping[str, Any] | None
    scaled: Mapping[str, Any] | None
    stale: bool

    @property
    def exact(self) -> str:
        """What the parts were compared with, the weakest first; `–` where no part is new."""
        told = self.claim.exact.values()
        order = ("description", "hand", "code")
        return next((word for word in order if word in told), "–")

    @property
    def direction(self) -> str:
        """The verdict's word, or why there is none."""
        if self.stale:
            return "stale"
        return "not run" if self.found is None else str(self.found["verdict"]["word"])

    @property
    def day(self) -> str:
        """When it was recorded, `YYYY-MM-DD`, or `not known`; `–` where there is no record."""
        return "–" if self.found is None else str(self.found.get("recorded", "not known"))

    @property
    def age(self) -> str:
        """Whether today's code, with the libraries that are installed, is what the record was made with."""
        code = None if self.found is None else self.found.get("code")
        if code is None:
            return "it is not known by which code"
        return "by the code as it is now" if code == code_digest() else "by other code or libraries than now"

    @property
    def scale(self) -> str:
        """Whether every comparison, and every one with an ablation, has the same sign at four times the budget."""
        if self.found is None or self.scaled is None:
            return "not run"
        signs = [(one > 0) == (two > 0) for one, two in zip(_means(self.found), _means(self.scaled), strict=True)]
        return "same sign" if all(signs) else f"{signs.count(False)} of {len(signs)} signs change"

    @property
    def shown(self) -> bool:
        """Exact, and supported or refuted by a run that could have found what matters."""
        if self.exact == "–" or self.found is None:
            return False
        if self.direction == "supported":
            return any(each["ablation"] is not None for each in self.found["comparisons"])
        return self.direction in ("refuted", "no effect") and self.powered

    @property
    def powered(self) -> bool:
        """Whether each comparison could find the effect that matters: by the standard deviation of the seeds'
        differences that a pilot had, or that they turned out to have, whichever is larger."""
        told = self.found["comparisons"] if self.found is not None else []
        return bool(told) and all(
            one.sd is not None
            and detectable_effect(max(one.sd, stdev(each["seeds"])), len(self.claim.seeds), self.claim.num_intervals)
            <= one.smallest_effect
            for one, each in zip(self.claim.comparisons, told, strict=True)
        )


def _means(told: Mapping[str, Any]) -> list[float]:
    return [each["mean"] for one in told["comparisons"] for each in (one, one["ablation"]) if each is not None]


def records(folder: str | Path) -> list[Record]:
    """Of all claims of a folder, by system."""
    found = [record_of(path) for path in sorted(Path(folder).glob("*.yaml"))]
    return sorted(found, key=lambda each: (each.claim.system.lower(), each.claim.name))


def record_of(path: Path) -> Record:
    """Of the claim in a file."""
    claim = Claim.load(path)
    found, stale = _read(path, claim, claim.name)
    scaled, _ = _read(path, claim.scaled(SCALE), claim.scaled(SCALE).name)
    return Record(claim, path, found, scaled, stale)


def _read(path: Path, claim: Claim, name: str) -> tuple[Mapping[str, Any] | None, bool]:
    """What was recorded, and whether that was another claim."""
    place = path.parent / FOLDER / f"{name}.json"
    if not place.exists():
        return None, False
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{place} is no record: {error}") from error
    same = _registered(told["claim"]) == _registered(claim.model_dump(mode="json"))
    return (told, False) if same else (None, True)


def _registered(claim: Mapping[str, Any]) -> Any:
    """What of a claim decides its result: all but its words."""
    return _said({name: claim[name] for name in claim if name not in WORDS})


def _said(value: Any) -> Any:
    """Without what is empty: a field that claims got later was not set before."""
    if isinstance(value, Mapping):
        return {name: _said(each) for name, each in value.items() if each not in ("", None, {}, [], ())}
    return [_said(each) for each in value] if isinstance(value, list | tuple) else value
