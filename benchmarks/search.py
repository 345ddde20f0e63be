"""Search one million vectors and as many short texts; run by `make bench NAME=search`.

The vectors are 512 float16 numbers each, drawn as 10,000 Gaussian clusters: a centre is a random unit vector, a vector
its centre plus noise of expected length 1, normalised, so that two of a cluster have a cosine of .5 and two of
different clusters one of 0 ± .04. Rows of a cluster lie scattered over the table. The texts are captions of 4 to 12
words drawn by Zipf's law from 50,000 made-up words, half of them Latin, half of them Chinese. Queries are drawn anew
from the same clusters; exact neighbours are computed over all vectors. Everything is a corpus, written through its own
functions. Timed in one process, once warm: the index of vectors, that of texts, and whole searches.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from selection import add, commit, ids

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import build_index, matching, nearest
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.engine.search import Searcher
from tuwen.engine.search_request import Request

GOAL_MS, GOAL_RECALL = 20, 0.95

DIM, NUM_CLUSTERS, SPREAD = 512, 10_000, 1.0
ROWS = 65_536
SEED = 11
NUM_WORDS = 50_000
VECTORS = pa.schema([("embedding", pa.list_(pa.float16(), DIM))])


def normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def centres() -> np.ndarray:
    return normalised(np.random.default_rng(SEED).standard_normal((NUM_CLUSTERS, DIM), dtype=np.float32))


def drawn(middle: np.ndarray, rng: np.random.Generator, number: int) -> np.ndarray:
    """`number` vectors, each of a random cluster."""
    noise = rng.standard_normal((number, DIM), dtype=np.float32) * np.float32(SPREAD / DIM**0.5)
    return normalised(middle[rng.integers(0, NUM_CLUSTERS, number)] + noise)


def words() -> np.ndarray:
    """Made-up words, the more frequent first: every second one Chinese, of two characters of the common block."""
    rng = np.random.default_rng(SEED + 1)
    syllables = np.array([c + v for c in "bdfgklmnprstvz" for v in "aeiou"])
    latin = ["".join(syllables[rng.integers(0, len(syllables), 3)]) for _ in range(NUM_WORDS // 2)]
    chinese = ["".join(map(chr, 0x4E00 + rng.integers(0, 3_000, 2))) for _ in range(NUM_WORDS // 2)]
    return np.array([word for both in zip(latin, chinese, strict=True) for word in both])


def captions(known: np.ndarray, rng: np.random.Generator, number: int) -> list[str]:
    """Each in one language."""
    found = []
    for size, chinese in zip(rng.integers(4, 13, number).tolist(), rng.integers(0, 2, number).tolist(), strict=True):
        ranks = np.minimum(rng.zipf(1.2, size) - 1, NUM_WORDS // 2 - 1)
        found.append(("" if chinese else " ").join(known[2 * ranks + chinese]))
    return found


def synthetic(path: Path, number: int) -> Corpus:
    """A corpus of `number` images with vectors, and one pair for each."""
    corpus = Corpus.create(path)
    known, rng = words(), np.random.default_rng(SEED + 2)
    for start in range(0, number, ROWS):
        numbers = np.arange(start, min(start + ROWS, number))
        add(
            corpus, "images", {"image_id": ids(1, numbers), "bytes": pa.array([b"x"] * len(numbers), pa.large_binary())}
        )
        rows = {"pair_id": ids(2, numbers), "document_id": ids(3, numbers), "text": captions(known, rng, len(numbers))}
        add(corpus, "pairs", {name: pa.array(values) for name, values in rows.items()})
    middle, noise = centres(), np.random.default_rng(SEED + 3)

    def vectors(numbers: np.ndarray) -> dict[str, Any]:
        flat = drawn(middle, noise, len(numbers)).astype(np.float16).ravel()
        return {"embedding": pa.FixedSizeListArray.from_arrays(pa.array(flat), DIM)}

    commit(corpus, "images", "image.embedding", VECTORS, vectors)
    commit(corpus, "pairs", "pair.resolve", pa.schema([("image_id", pa.string())]), lambda n: {"image_id": ids(1, n)})
    return corpus


def exact(corpus: Corpus, queries: np.ndarray, k: int) -> list[set[str]]:
    """Ids of the nearest by comparing all vectors."""
    scores, keys = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), dtype="<U32")
    for batch in corpus.scan("images", ["image_id", "embedding"]):
        found, _ = unit_vectors_of(batch["embedding"])
        new = np.tile(np.array(batch["image_id"].to_pylist()), (len(queries), 1))
        scores, keys = np.hstack([scores, queries @ found.T]), np.hstack([keys, new])
        best = np.argpartition(-scores, k, axis=1)[:, :k] if scores.shape[1] > k else None
        if best is not None:
            scores, keys = np.take_along_axis(scores, best, 1), np.take_along_axis(keys, best, 1)
    return [set(row.tolist()) for row in keys]


def timed(name: str, call: Callable[[Any], Any], queries: Sequence[Any]) -> tuple[float, list[Any]]:
    """95th percentile in ms, once warm, and the results."""
    for query in queries[:50]:
        call(query)
    walls, results, cpu = [], [], time.process_time()
    for query in queries:
        started = time.perf_counter()
        results.append(call(query))
        walls.append(1e3 * (time.perf_counter() - started))
    cpu = 1e3 * (time.process_time() - cpu) / len(queries)
    p50, p95 = np.percentile(walls, [50, 95])
    print(f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, {cpu:.1f} CPU-ms a query; load {os.getloadavg()[0]:.1f}")
    return float(p95), results


def build(corpus: Corpus, table: str, column: str) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    build_index(corpus, table, column)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"index on {table}.{column}: {cpu:.0f} CPU-s, {wall:.0f} s wall, peak {peak:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--corpus", type=Path, help="keep the corpus here, or use the one that is here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.corpus or Path(folder) / "corpus"
        made = Corpus.open(path) if (path / "corpus.json").exists() else synthetic(path, options.rows)
        build(made, "images", "embedding")
        build(made, "pairs", "text")
        measure(made, options.queries)


def measure(corpus: Corpus, number: int) -> None:
    corpus = corpus.pinned()
    rng = np.random.default_rng(SEED + 4)
    queries = drawn(centres(), rng, number)
    truth = exact(corpus, queries, 10)
    images = corpus.dataset("images")
    p95, found = timed("vectors", lambda query: nearest(images, "image_id", "embedding", query, 10), queries)
    recall = float(np.mean([len(one & set(keys)) / 10 for one, (keys, _) in zip(truth, found, strict=True)]))
    texts = captions(words(), rng, number)
    short = [text[:3] if " " not in text else " ".join(text.split()[:2]) for text in texts]
    pairs = corpus.dataset("pairs")
    text_p95, _ = timed("texts", lambda query: matching(pairs, "pair_id", "text", query, 10), short)
    searcher = Searcher(corpus)
    timed("whole searches by words", lambda query: searcher.search(Request(query)), short[:100])
    print(f"search_text: {text_p95:.1f} ms (goal {GOAL_MS}) {'ok' if text_p95 <= GOAL_MS else 'short'}")
    print(f"search_recall: {recall:.3f} (goal {GOAL_RECALL}) {'ok' if recall >= GOAL_RECALL else 'short'}")
    print(f"search: {p95:.1f} ms (goal {GOAL_MS}) {'ok' if p95 <= GOAL_MS else 'short'}")


if __name__ == "__main__":
    main()
