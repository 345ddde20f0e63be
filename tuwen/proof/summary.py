"""What a proof comes to: plain values for a file, a table, a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tuwen.proof.results import code_digest, versions
from tuwen.proof.run import Compared, Proof

FORMAT = 1


def summary(proof: Proof) -> dict[str, Any]:
    """The proof as JSON holds it: the claim as it was registered, figures of every arm, comparisons, verdict."""
    claim = proof.claim
    usual = (proof.device, proof.precision) == ("cpu", "float32")
    elsewhere = {} if usual else {"device": proof.device, "precision": proof.precision}
    return {
        "format": FORMAT,
        "claim": claim.model_dump(mode="json"),
        "verdict": {"word": proof.verdict.word, "reason": proof.verdict.reason},
        "gate": None if claim.gate is None else {**claim.gate.model_dump(), "reached": proof.gate},
        "arms": [_arm(proof, name) for name in claim.arms],
        "comparisons": [_compared(each) for each in proof.comparisons],
        "versions": {**versions(), **elsewhere},
        "code": code_digest(),
    }


def _arm(proof: Proof, name: str) -> dict[str, Any]:
    results = [result for result in proof.results if result.arm == name]
    arm = proof.claim.arms[name]
    return {
        "name": name,
        "matched": arm.matched,
        "samples": results[0].samples,
        "cpu_s": round(float(np.mean([result.train_cpu_s for result in results])), 2),
        "figures": {
            evaluation: [round(result.figures[evaluation], 6) for result in results]
            for evaluation in proof.claim.evaluations
        },
        "curves": [result.curve for result in results],
    }


def _compared(each: Compared) -> dict[str, Any]:
    found, ablated = (told and told.signed(each.better == "lower") for told in (each.difference, each.ablated))
    assert found is not None
    return {
        "arm": each.arm,
        "against": each.against,
        "evaluation": each.evaluation,
        "mean": round(found.mean, 6),
        "low": _finite(found.low),
        "high": _finite(found.high),
        "coverage": round(found.coverage, 6),
        "seeds": [round(value, 6) for value in found.seeds],
        "detectable": None if each.detectable is None else _finite(each.detectable),
        "word": each.verdict.word,
        "reason": each.verdict.reason,
        "ablation": None
        if ablated is None
        else {"mean": round(ablated.mean, 6), "low": _finite(ablated.low), "high": _finite(ablated.high)},
    }


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
