"""Change one threshold of a selection over N pairs (default 1,000,000) and judge it again; run by `make bench`.

The corpus is synthetic but real: Lance tables written through the corpus' own functions, 3 pairs an image. Timed, CPU
and wall: the new ledger (every row's verdict with rule and value, sorted, on disk), the funnel alone (`preview`), and
opening a ledger that is fresh. The last line compares the CPU time of the new funnel with the goal.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.columns import ColumnFile, ColumnWriter, TableState, commit_columns, declare_columns
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.selections.ledger import Ledger, preview
from tuwen.selections.selection import parse_selections

GOAL_S = 1.0
PAIRS_PER_IMAGE = 3
ROWS = 65_536
PAIR_COLUMNS = pa.schema(
    [
        ("image_id", pa.string()),
        ("num_characters", pa.int32()),
        ("language", pa.string()),
        ("language_confidence", pa.float32()),
        ("tier_score", pa.float32()),
    ]
)
IMAGE_COLUMNS = pa.schema([("width", pa.int32()), ("height", pa.int32())])


def ids(kind: int, numbers: np.ndarray) -> pa.Array:
    """128-bit ids in a scrambled order, as hexadecimal text."""
    low = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(kind * 0x1234567)
    both = zip(low.tolist(), numbers.tolist(), strict=True)
    return pa.array([f"{first:016x}{number:016x}" for first, number in both])


def synthetic(path: Path, num_pairs: int) -> Corpus:
    """A corpus of `num_pairs` pairs, with a third as many images and a tenth as many documents."""
    corpus = Corpus.create(path)
    rng = np.random.default_rng(7)
    for start in range(0, num_pairs // PAIRS_PER_IMAGE + 1, ROWS):
        numbers = np.arange(start, min(start + ROWS, num_pairs // PAIRS_PER_IMAGE + 1))
        data = pa.array([b"x"] * len(numbers), pa.large_binary())
        add(corpus, "images", {"image_id": ids(1, numbers), "bytes": data})
    for start in range(0, num_pairs, ROWS):
        numbers = np.arange(start, min(start + ROWS, num_pairs))
        texts = pa.array([f"a caption of some length, number {number}" for number in numbers])
        sources = pa.array(np.array(["alt", "caption", "title", "before"])[numbers % 4])
        rows = {"pair_id": ids(2, numbers), "document_id": ids(3, numbers // 10), "text": texts, "text_source": sources}
        add(corpus, "pairs", rows)

    def image_columns(numbers: np.ndarray) -> dict[str, Any]:
        return {
            "width": rng.integers(10, 2_000, len(numbers), dtype=np.int32),
            "height": rng.integers(10, 2_000, len(numbers), dtype=np.int32),
        }

    commit(corpus, "images", "image.properties", IMAGE_COLUMNS, image_columns)
    commit(corpus, "pairs", "pair.resolve", PAIR_COLUMNS, lambda numbers: pair_columns(numbers, rng))
    return corpus


def pair_columns(numbers: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """`PAIR_COLUMNS` of the pairs with these numbers."""
    return {
        "image_id": ids(1, numbers // PAIRS_PER_IMAGE),
        "num_characters": rng.integers(0, 300, len(numbers), dtype=np.int32),
        "language": np.array(["en", "zh", "de", "fr", "ja"])[rng.integers(0, 5, len(numbers))],
        "language_confidence": rng.random(len(numbers), dtype=np.float32),
        "tier_score": rng.random(len(numbers), dtype=np.float32),
    }


def add(corpus: Corpus, table: str, columns: dict[str, pa.Array]) -> None:
    schema = TABLES[table].schema
    length = len(next(iter(columns.values())))
    arrays = [columns.get(field.name, pa.nulls(length, field.type)) for field in schema]
    append_rows(corpus, table, [pa.RecordBatch.from_arrays(arrays, schema=schema)])


def commit(
    corpus: Corpus, table: str, stage: str, schema: pa.Schema, make: Callable[[np.ndarray], dict[str, Any]]
) -> None:
    declare_columns(corpus, table, stage, schema)
    files, start = [], 0
    for fragment in TableState.read(corpus, table).fragments:
        columns = make(np.arange(start, start + fragment.num_rows))
        writer = ColumnWriter(corpus.path, table, stage, schema)
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        files.append(ColumnFile(fragment.id, stage, writer.close({"stage": stage}), fragment.num_rows, fragment.base))
        start += fragment.num_rows
    commit_columns(corpus, table, files)


def definition(threshold: float) -> dict[str, Any]:
    """Five rules; the threshold that is changed is in the last."""
    return {
        "tuned": {
            "unit": "pair",
            "steps": [
                {"rule": "text_source in ('alt', 'caption', 'title')"},
                {"rule": "num_characters between 5 and 280"},
                {"rule": "language in ('en', 'zh', 'de') and language_confidence >= 0.3"},
                {"rule": "image_id is not null"},
                {"rule": f"tier_score >= {threshold}"},
            ],
        }
    }


def timed(name: str, call: Callable[[], Any]) -> tuple[float, Any]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{name:<44} {cpu:6.2f} CPU-s {wall:6.2f} s wall")
    return cpu, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--corpus", type=Path, help="keep the corpus here, or use the one that is here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.corpus or Path(folder) / "corpus"
        made = Corpus.open(path) if (path / "corpus.json").exists() else synthetic(path, options.pairs)
        measure(made)


def measure(corpus: Corpus) -> None:
    def judged(threshold: float) -> Ledger:
        return Ledger.open_or_judge(corpus, "tuned", parse_selections(definition(threshold)))

    print(f"{corpus.count('pairs')} pairs, {corpus.count('images')} images")
    timed("first ledger (digests of the keys included)", lambda: judged(0.5))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ledgers = [timed(f"new ledger, threshold {t}", lambda t=t: judged(t)) for t in (0.25, 0.75, 0.6)]
    funnels = [
        timed(f"new funnel, threshold {t}", lambda t=t: preview(corpus, "tuned", parse_selections(definition(t))))
        for t in (0.25, 0.75, 0.6)
    ]
    timed("fresh ledger opened", lambda: judged(0.6))
    wide = definition(0.6)
    wide["tuned"]["steps"][3] = {"rule": "image.width >= 100 and image.height >= 100"}
    timed("new funnel with two columns of the image", lambda: preview(corpus, "tuned", parse_selections(wide)))
    assert ledgers[-1][1].funnel() == funnels[-1][1]
    print(f"peak RSS after the first ledger {peak:.0f} MB")
    print(f"selection_ledger: {min(cpu for cpu, _ in ledgers):.2f} s")
    figure = sorted(cpu for cpu, _ in funnels)[1]
    print(f"selection: {figure:.2f} s (goal {GOAL_S:.0f}) {'ok' if figure <= GOAL_S else 'short'}")


if __name__ == "__main__":
    main()
