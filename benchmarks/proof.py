"""What a verdict costs (`make bench NAME=proof`): two arms, five random seeds, the standard world of drawn scenes.

The claim is that wrong captions hurt: 8,000 examples, 32,000 samples seen, the default architecture. Everything counts:
drawing, training, testing, judging, in all processes. Then one run is done again without the cache, and its metrics are
compared to the byte. The last lines compare with the goals.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from tuwen.proof.claim import Claim
from tuwen.proof.run import Task, prove, run

GOAL_CPU_S = 600
CLAIM = {
    "name": "standard",
    "statement": "Where two of five captions belong to another scene, images and captions find each other worse.",
    "world": {"scenes": {}},
    "budget": {"examples": 8_000, "samples": 32_000, "batch_size": 128, "test": 1_000},
    "seeds": [11, 12, 13, 14, 15],
    "base": {"objectives": ["contrast"]},
    "arms": {"clean": {}, "mismatched": {"world": {"mismatch": 0.4}}},
    "evaluations": {"retrieval": "retrieval"},
    "gate": {"arm": "clean", "evaluation": "retrieval", "above": 0.05},
    "comparisons": [{"arm": "clean", "against": "mismatched", "evaluation": "retrieval", "smallest_effect": 0.02}],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    claim = Claim.from_mapping(CLAIM)
    with tempfile.TemporaryDirectory() as folder:
        before, started = cpu_seconds(), time.monotonic()
        proof = prove(claim, Path(folder) / "one", workers=arguments.workers)
        used, wall = cpu_seconds() - before, time.monotonic() - started
        print(f"{proof.verdict.word}: {proof.verdict.reason}")
        for name in claim.arms:
            figures = [result.figures["retrieval"] for result in proof.results if result.arm == name]
            print(f"{name}: " + ", ".join(f"{figure:.3f}" for figure in figures))
        print(f"{used:,.0f} CPU seconds, {wall:,.0f} s")
        run(Task(claim, "clean", 11, str(Path(folder) / "two")))
        same = [written(Path(folder) / name, Task(claim, "clean", 11, "").key) for name in ("one", "two")]
    print(f"proof: {used:.0f} CPU-s (goal {GOAL_CPU_S}) {'ok' if used <= GOAL_CPU_S else 'short'}")
    print(f"proof_same_bytes: {int(same[0] == same[1])} (goal 1) {'ok' if same[0] == same[1] else 'short'}")


def written(cache: Path, key: str) -> list[bytes]:
    """The metrics of a run, item by item."""
    return [path.read_bytes() for path in sorted((cache / key).glob("*.npz"))]


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
