"""Balance over concepts, quotas and a mixture on N pairs (default 10,000,000): memory and CPU; run by `make bench`.

Each pair carries one to four of 50,000 concepts with Zipfian frequencies, a language and a source. Judged in a process
of its own: a balance at t, one at a tail share per language, a quota per source, and a mixture of languages; its ledger
is written. Printed: CPU seconds, peak memory, and expected and realised rows of each balance.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from selection import add, commit, ids

from tuwen.corpus.corpus import Corpus

GOAL_MB = 4096
ROWS = 65_536
NUM_CONCEPTS = 50_000
COLUMNS = pa.schema([("concepts", pa.list_(pa.string())), ("language", pa.string())])
NAMES = pa.array([f"concept {number}" for number in range(NUM_CONCEPTS)])
STEPS: dict[str, list[dict[str, Any]]] = {
    "balance at t": [{"balance": {"of": "concepts", "t": 2000}}],
    "balance per language": [{"balance": {"of": "concepts", "tail_share": 0.2, "per": "language"}}],
    "quota and mixture": [
        {"quota": {"per": "document_id", "at_most": 5}},
        {"mixture": {"of": "language", "shares": {"en": 4, "zh": 3, "de": 1}}},
    ],
}
JUDGE = """
import json, resource, sys
from tuwen.corpus.corpus import Corpus
from tuwen.selections.ledger import judge
from tuwen.selections.selection import Selection
selection = Selection.from_mapping("judged", {"unit": "pair", "steps": json.loads(sys.argv[2])})
ledger = judge(Corpus.open(sys.argv[1]), selection, {})
used = resource.getrusage(resource.RUSAGE_SELF)
funnel = [[step.name, step.judged, step.left, step.expected] for step in ledger.funnel()]
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, funnel]))
"""


def synthetic(path: Path, num_pairs: int) -> None:
    """Pairs with concepts; nothing else in the corpus."""
    corpus = Corpus.create(path)
    rng = np.random.default_rng(5)
    popularity = 1 / np.arange(1, NUM_CONCEPTS + 1)
    edges = np.cumsum(popularity / popularity.sum())
    for start in range(0, num_pairs, ROWS):
        numbers = np.arange(start, min(start + ROWS, num_pairs))
        add(corpus, "pairs", {"pair_id": ids(2, numbers), "document_id": ids(3, numbers // 10)})

    def columns(numbers: np.ndarray) -> dict[str, Any]:
        sizes = rng.integers(1, 5, len(numbers))
        drawn = np.minimum(np.searchsorted(edges, rng.random(sizes.sum())), NUM_CONCEPTS - 1)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), NAMES.take(pa.array(drawn)))
        return {"concepts": lists, "language": np.array(["en", "en", "zh", "de"])[rng.integers(0, 4, len(numbers))]}

    commit(corpus, "pairs", "concepts.match", COLUMNS, columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        synthetic(path, options.pairs)
        for name, steps in STEPS.items():
            command = [sys.executable, "-c", JUDGE, str(path), json.dumps(steps)]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            cpu_s, peak_mb, funnel = json.loads(printed.splitlines()[-1])
            peaks.append(peak_mb)
            print(f"{name}: {cpu_s:.1f} CPU-s, peak {peak_mb:.0f} MB")
            for step, judged, left, expected in funnel:
                told = f", expected {expected}" if expected is not None else ""
                print(f"  {step}: {judged} → {left}{told}")
    print(f"balance_memory: {max(peaks):.0f} (goal {GOAL_MB}) {'ok' if max(peaks) <= GOAL_MB else 'short'}")


if __name__ == "__main__":
    main()
