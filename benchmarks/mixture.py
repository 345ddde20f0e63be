"""The mixture report of N pairs (default 10,000,000) from five sources that share images, texts and concepts.

Run by `make bench`. The corpus is synthetic but real: Lance tables written through the corpus' own functions, one image
to ten pairs, two concepts to each pair out of a Zipfian half million. Timed in a process of its own: the report by
source, without a selection. The last lines compare with the goals.
"""

from __future__ import annotations

import argparse
import multiprocessing
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
from tuwen.engine.mixture import mixture

GOAL_MB, GOAL_ROWS = 4_096.0, 10_000_000
SOURCES, CONCEPTS, PAIRS_PER_IMAGE = 5, 500_000, 10
Columns = Callable[[np.ndarray], dict[str, pa.Array]]


def ids(numbers: np.ndarray) -> pa.Array:
    """128-bit ids in a scrambled order, as hexadecimal text."""
    halves = np.stack([numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), numbers.astype(np.uint64)], axis=1)
    digits = pa.py_buffer(halves.astype(">u8").tobytes().hex().encode())
    return pa.Array.from_buffers(pa.binary(32), len(numbers), [None, digits]).cast(pa.binary()).cast(pa.string())


def words(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix} {number}" for number in numbers.tolist()])


def base(table: str, numbers: np.ndarray) -> dict[str, pa.Array]:
    """Base columns: the source is the number's remainder, so that sources share what several numbers stand for."""
    source = pa.array([f"source {number}" for number in (numbers % SOURCES).tolist()])
    found = {TABLES[table].key: ids(numbers), "source": source}
    if table == "pairs":
        kinds = pa.DictionaryArray.from_arrays(pa.array(numbers % 3), pa.array(["alt", "caption", "title"]))
        texts = numbers * np.int64(2_654_435_761) % (8 * GOAL_ROWS // 10)
        found |= {"text": words("a caption of moderate length, number", texts), "text_source": kinds.cast(pa.string())}
    return found


def pair_columns(numbers: np.ndarray) -> dict[str, pa.Array]:
    rng = np.random.default_rng(int(numbers[0]))
    concepts = words("concept", np.minimum(rng.zipf(1.2, 2 * len(numbers)), CONCEPTS))
    languages = pa.DictionaryArray.from_arrays(pa.array(numbers % 7), pa.array(list("abcdefg")))
    return {
        "image_id": ids(numbers * np.int64(48_271) % (GOAL_ROWS // PAIRS_PER_IMAGE)),
        "language": languages.cast(pa.string()),
        "editorial": pa.array(rng.random(len(numbers), dtype=np.float32)),
        "similarity": pa.array(rng.random(len(numbers), dtype=np.float32)),
        "text_cluster": ids(numbers // 3 * 3),
        "concepts": pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * len(numbers) + 1, 2, dtype=np.int32)), concepts),
    }


def image_columns(numbers: np.ndarray) -> dict[str, pa.Array]:
    sides = {"width": numbers % 900 + 64, "height": numbers % 700 + 64}
    return {name: pa.array(side.astype(np.int32)) for name, side in sides.items()} | {
        "image_cluster": ids(numbers // 2 * 2)
    }


def fill(corpus: Corpus, table: str, stage: str, num_rows: int, columns: Columns) -> None:
    """Append rows of a table and commit their further columns as those of a stage."""
    schema = TABLES[table].schema
    for start in range(0, num_rows, 1 << 20):
        numbers = np.arange(start, min(start + (1 << 20), num_rows))
        known = base(table, numbers)
        arrays = [known.get(field.name, pa.nulls(len(numbers), field.type)) for field in schema]
        append_rows(corpus, table, [pa.RecordBatch.from_arrays(arrays, schema=schema)])
    extra = pa.schema([pa.field(name, array.type) for name, array in columns(np.arange(2)).items()])
    declare_columns(corpus, table, stage, extra)
    files, start = [], 0
    for fragment in TableState.read(corpus, table).fragments:
        rows = corpus.dataset(table).get_fragment(fragment.id).count_rows()
        writer = ColumnWriter(corpus.path, table, stage, extra)
        writer.write(pa.RecordBatch.from_pydict(columns(np.arange(start, start + rows)), schema=extra))
        files.append(ColumnFile(fragment.id, stage, writer.close({"stage": stage}), rows, fragment.base))
        start += rows
    commit_columns(corpus, table, files)


def timed(path: str, results: Any) -> None:
    began = time.process_time(), time.perf_counter()
    found = mixture(path)
    cpu_s, wall_s = time.process_time() - began[0], time.perf_counter() - began[1]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((cpu_s, wall_s, peak_mb, sum(row["num_pairs"] for row in found["rows"])))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=GOAL_ROWS)
    num_pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.create(Path(folder) / "corpus")
        fill(corpus, "images", "image.properties", max(1, num_pairs // PAIRS_PER_IMAGE), image_columns)
        fill(corpus, "pairs", "pair.resolve", num_pairs, pair_columns)
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        process = context.Process(target=timed, args=(str(corpus.path), results))
        process.start()
        cpu_s, wall_s, peak_mb, counted = results.get()
        process.join()
    assert counted == num_pairs
    print(f"{num_pairs:,} pairs: {cpu_s:.1f} CPU-s, {wall_s:.1f} s, peak {peak_mb:,.0f} MB")
    print(f"mixture: {peak_mb:,.0f} MB (goal {GOAL_MB:,.0f}) {'ok' if peak_mb <= GOAL_MB else 'short'}")


if __name__ == "__main__":
    main()
