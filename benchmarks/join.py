"""Join a Parquet file with a score and a label for each of N pairs (default 10,000,000); run by `make bench`.

The corpus is synthetic but real: Lance tables written through the corpus' own functions. The file has its rows in
another order than the corpus, and a tenth of them belong to no pair. Timed in a process of its own, CPU and wall: the
join as `tuwen join --workers 1` does it, to the last commit. The last lines compare with the goals.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows

GOAL_S, GOAL_MB = 60.0, 4_096.0
GOAL_ROWS = 10_000_000
ROWS = 1 << 20


def ids(numbers: np.ndarray) -> pa.Array:
    """128-bit ids in a scrambled order, as hexadecimal text."""
    halves = np.stack([numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), numbers.astype(np.uint64)], axis=1)
    digits = pa.py_buffer(halves.astype(">u8").tobytes().hex().encode())
    return pa.Array.from_buffers(pa.binary(32), len(numbers), [None, digits]).cast(pa.binary()).cast(pa.string())


def synthetic(path: Path, num_pairs: int) -> None:
    """A corpus of `num_pairs` pairs."""
    corpus = Corpus.create(path)
    schema = TABLES["pairs"].schema
    for start in range(0, num_pairs, ROWS):
        numbers = np.arange(start, min(start + ROWS, num_pairs))
        columns = {"pair_id": ids(numbers), "text": pa.array([f"caption {number}" for number in numbers])}
        arrays = [columns.get(field.name, pa.nulls(len(numbers), field.type)) for field in schema]
        append_rows(corpus, "pairs", [pa.RecordBatch.from_arrays(arrays, schema=schema)])


def scores(path: Path, num_pairs: int) -> None:
    """The file: as many rows as pairs, in another order; the last tenth of the pairs has none."""
    rng = np.random.default_rng(7)
    labels = np.array(["a photo", "a drawing", "a chart", "text", "a map"])
    order = rng.permutation(num_pairs) + num_pairs // 10
    schema = pa.schema([("pair_id", pa.string()), ("score", pa.float32()), ("label", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_pairs, ROWS):
            numbers = order[start : start + ROWS]
            kinds = pa.array(labels[numbers % 5])
            batch = [ids(numbers), pa.array(numbers.astype(np.float32)), kinds]
            writer.write_batch(pa.RecordBatch.from_arrays(batch, schema=schema))


def measured(corpus: str, file: str, result: str) -> None:
    """The join, in this process alone; writes its figures."""
    from tuwen.engine.join import join
    from tuwen.engine.memory import return_freed_memory

    return_freed_memory()
    wall = time.perf_counter()
    joined = join(corpus, file, "pair_id")
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": used.ru_maxrss / 1024,
        "num_table_matched": joined.num_table_matched,
    }
    Path(result).write_text(json.dumps(found))


def check(corpus: Corpus, num_pairs: int) -> None:
    """Every pair has its own score, or none."""
    first = num_pairs // 10
    start = 0
    for batch in corpus.scan("pairs", ["score", "label"]):
        numbers = np.arange(start, start + batch.num_rows)
        expected: Any = np.where(numbers >= first, numbers.astype(np.float32), np.nan)
        assert np.array_equal(batch["score"].to_numpy(zero_copy_only=False), expected, equal_nan=True)
        start += batch.num_rows
    assert start == num_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=GOAL_ROWS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus, file, result = Path(folder) / "corpus", Path(folder) / "scores.parquet", Path(folder) / "result.json"
        synthetic(corpus, options.pairs)
        scores(file, options.pairs)
        print(f"{options.pairs} pairs, {file.stat().st_size / 1e6:.0f} MB of scores and labels")
        arguments = (str(corpus), str(file), str(result))
        process = multiprocessing.get_context("spawn").Process(target=measured, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == 0
        found = json.loads(result.read_text())
        check(Corpus.open(corpus), options.pairs)
    print(f"matched {found['num_table_matched']} pairs, {found['wall_s']:.1f} s wall")
    goal_s = GOAL_S * options.pairs / GOAL_ROWS
    print(f"join_memory: {found['peak_mb']:.0f} MB (goal {GOAL_MB:.0f}) {verdict(found['peak_mb'] <= GOAL_MB)}")
    print(f"join: {found['cpu_s']:.1f} s (goal {goal_s:.0f}) {verdict(found['cpu_s'] <= goal_s)}")


def verdict(reached: bool) -> str:
    return "ok" if reached else "short"


if __name__ == "__main__":
    main()
