"""Search one million vectors and as many short texts; run by `make bench NAME=search`.

The vectors are 512 float16 numbers each, drawn as 10,000 Gaussian clusters: a centre is a random unit vector, a vector
its centre plus noise of expected length 1, normalised, so that two of a cluster have a cosine of .5 and two of
different clusters one of 0 ± .04. Rows of a cluster lie scattered over the table. The texts are captions of 4 to 12 words
drawn by Zipf's law from 50,000 made-up words, half of them Latin, half of them Chinese. Queries are drawn anew from the
same clusters; exact neighbours are computed over all vectors. Everything is a corpus, written through its own functions.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from selection import add, commit, ids

from tuwen.corpus.corpus import Corpus

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


if __name__ == "__main__":
    import time

    t = time.time()
    c = time.process_time()
    synthetic(Path(sys.argv[1]), int(sys.argv[2]))
    print(time.time() - t, time.process_time() - c, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
