"""Texts of a folder of benchmarks: what is read of each kind of file, and the state that stages look texts up in."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.errors import UsageError
from tuwen.stages.overlap.benchmark import benchmark_files
from tuwen.stages.overlap.grams import gram_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

WRITES = pa.schema(
    [
        ("evaluation_text", pa.string()),
        ("evaluation_text_share", pa.float32()),
        ("num_evaluation_texts", pa.int32()),
    ]
)
"""What `overlap` gives, of pairs and of documents."""
SUFFIXES = (".txt", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
STATE = pa.schema(  # one row; `keys` are sorted, `files` says which of `names` each is of (the first of several)
    [
        ("names", pa.large_list(pa.string())),
        ("keys", pa.large_list(pa.uint64())),
        ("files", pa.large_list(pa.uint32())),
        ("num_texts", pa.int32()),
    ]
)


def benchmark_state(folder: str, num_words: int, min_words: int, stage: str) -> pa.Table:
    """The hashes of all runs of words in the folder: 12 bytes each, which have to fit into memory while it is made."""
    files = benchmark_files(folder, SUFFIXES, stage)
    keys: list[Any] = []
    num_texts = 0
    for path in files.values():
        try:
            texts = list(_texts(path))
        except (OSError, ValueError, csv.Error, RecursionError) as error:  # Arrow's and JSON's errors are ValueErrors
            raise UsageError(f"{stage}: cannot read {str(path)!r} ({error}); repair or remove it") from error
        num_texts += sum(1 for text, is_item in texts if is_item)
        found = pa.array([text for text, _ in texts], pa.large_string())
        keys.append(np.unique(gram_hashes(found, num_words, min_words)[0]))
    numbers = np.repeat(np.arange(len(keys), dtype=np.uint32), [len(found) for found in keys])
    distinct, first = np.unique(np.concatenate(keys), return_index=True)
    row: list[Any] = [list(files), distinct, numbers[first], num_texts]
    arrays = [pa.array([value], field.type) for value, field in zip(row, STATE, strict=True)]
    return pa.Table.from_arrays(arrays, schema=STATE)


def _texts(path: Path) -> Iterator[tuple[str, bool]]:
    """(text, whether it is an item and not made of items)."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from _strings(batch.to_pylist())
        return
    with path.open(encoding="utf-8-sig", newline="") as stream:
        if kind == ".json":
            yield from _strings(json.load(stream))
        elif kind in (".csv", ".tsv"):
            rows = csv.reader(stream, delimiter="\t" if kind == ".tsv" else ",")
            next(rows, None)
            for row in rows:
                yield from _strings(row)
        elif kind == ".txt":
            text = stream.read()
            yield text, False  # a sentence may run on over the ends of lines
            yield from ((line, True) for line in text.splitlines() if line.strip())
        else:
            for line in stream:
                if line.strip():
                    yield from _strings(json.loads(line))


def _strings(value: Any) -> Iterator[tuple[str, bool]]:
    """All strings inside a value, at any depth; not the names of fields."""
    if isinstance(value, str):
        yield value.encode("utf-8", "replace").decode(), True
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def overlap(
    state: pa.Table, texts: pa.Array, rows: NDArray[np.int64], known: pa.Array, num_words: int, min_words: int
) -> list[pa.Array]:
    """For each row: the file with most runs of its texts, the share of its runs in any file, number of items.

    `rows` says to which row each text belongs, `known` for each row whether it has any value.
    """
    keys, text = gram_hashes(texts, num_words, min_words)
    row, num_rows = rows[text], len(known)
    names, stored, files, num_texts = pa.array([], pa.string()), np.zeros(0, np.uint64), np.zeros(0, np.uint32), 0
    if state.num_rows:
        only = state.combine_chunks().to_batches()[0]
        names, num_texts = only["names"].values, only["num_texts"][0].as_py()
        stored, files = only["keys"].values.to_numpy(), only["files"].values.to_numpy()
    place = np.searchsorted(stored, keys)
    hit = np.zeros(len(keys), dtype=bool)
    inside = place < len(stored)
    hit[inside] = stored[place[inside]] == keys[inside]
    total, found = np.bincount(row, minlength=num_rows), np.bincount(row[hit], minlength=num_rows)
    share = (found / np.maximum(total, 1)).astype(np.float32)
    best = np.full(num_rows, -1, dtype=np.int64)
    pairs, counts = np.unique(np.stack([row[hit], files[place[hit]]]).astype(np.int64), axis=1, return_counts=True)
    order = np.lexsort([-pairs[1], counts, pairs[0]])  # of each row the last one is the best
    best[pairs[0][order]] = pairs[1][order]
    columns = [names.take(pa.array(best, mask=best < 0)), pa.array(share), pa.array(np.full(num_rows, num_texts, "i4"))]
    return [pc.if_else(known, column, None) for column in columns]
