"""A corpus of images with vectors, and pairs with texts in several languages, that grows as it is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.columns import ColumnFile, ColumnWriter, TableState, commit_columns, declare_columns
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows

DIM = 8
RESOLVED = pa.schema([("image_id", pa.string()), ("language", pa.string())])


def key(name: object) -> str:
    """An id that reads well: its name as text, then zeros."""
    return str(name).encode().hex().ljust(32, "0")


def vectors(number: int, seed: int = 0) -> np.ndarray:
    """Random unit vectors."""
    drawn = np.random.default_rng(seed).standard_normal((number, DIM))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def add_images(
    corpus: Corpus,
    names: Collection[object],
    given: Sequence[Any],
    *,
    dim: int = DIM,
    record: Mapping[str, Any] | None = None,
    **columns: Sequence[Any],
) -> None:
    """Images with a vector each (None: not decodable), and numbers of further columns."""
    rows = [{"image_id": key(name), "bytes": str(name).encode(), "source": "s"} for name in names]
    append_rows(corpus, "images", [pa.RecordBatch.from_pylist(rows, schema=TABLES["images"].schema)])
    kept = [None if vector is None else [float(x) for x in vector] for vector in given]
    schema = pa.schema([("embedding", pa.list_(pa.float16(), dim))])
    write_columns(
        corpus,
        "images",
        "image.embedding",
        schema,
        {key(n): {"embedding": v} for n, v in zip(names, kept, strict=True)},
        record,
    )
    if columns:
        schema = pa.schema([(name, pa.float32()) for name in columns])
        by_key = {key(n): {c: columns[c][i] for c in columns} for i, n in enumerate(names)}
        write_columns(corpus, "images", "image.scores", schema, by_key)


def add_pairs(corpus: Corpus, rows: Sequence[tuple[object, str, object | None, str]]) -> None:
    """Pairs as (name, text, name of the image or None, language)."""
    base = [
        {"pair_id": key(name), "text": text, "text_source": "alt", "source": "s", "image_ref": f"http://h.test/{name}"}
        for name, text, _, _ in rows
    ]
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(base, schema=TABLES["pairs"].schema)])
    by_key = {
        key(name): {"image_id": None if image is None else key(image), "language": language}
        for name, _, image, language in rows
    }
    write_columns(corpus, "pairs", "pair.resolve", RESOLVED, by_key)


def write_columns(
    corpus: Corpus,
    table: str,
    stage: str,
    schema: pa.Schema,
    by_key: Mapping[str, Mapping[str, Any]],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Commit columns as those of a stage, for the fragments that hold these keys, which may have them already."""
    declare_columns(corpus, table, stage, schema)
    files = []
    for fragment in TableState.read(corpus, table).fragments:
        rows = corpus.dataset(table).get_fragment(fragment.id).to_table(columns=[TABLES[table].key])[0].to_pylist()
        if rows[0] not in by_key:
            continue
        writer = ColumnWriter(corpus.path, table, stage, schema)
        arrays = [pa.array([by_key[row][field.name] for row in rows], field.type) for field in schema]
        writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        name = writer.close({"stage": stage, **(record or {})})
        files.append(ColumnFile(fragment.id, stage, name, len(rows), fragment.base))
    commit_columns(corpus, table, files)


def take_down(corpus: Corpus, kind: str, value: str) -> None:
    """A tombstone."""
    row = {"kind": kind, "value": value, "reason": "asked", "at": None}
    append_rows(corpus, "tombstones", [pa.RecordBatch.from_pylist([row], schema=TABLES["tombstones"].schema)])


def small_corpus(path: Path) -> Corpus:
    """Six images of three kinds of things, captioned in English, Chinese and Arabic."""
    corpus = Corpus.create(path)
    base = np.eye(DIM)
    near = base[0] + 0.05 * base[5]
    add_images(
        corpus,
        ["bike", "bike2", "tree", "cat", "none", "lonely"],
        [base[0], near / np.linalg.norm(near), base[1], base[2], None, base[3]],
    )
    add_pairs(
        corpus,
        [
            ("p1", "a red bicycle leaning against a wall", "bike", "en"),
            ("p2", "红色的自行车靠在墙上", "bike2", "zh"),
            ("p3", "一棵大树 in the garden", "tree", "zh"),
            ("p4", "قطة على الجدار", "cat", "ar"),
            ("p5", "the red cat", "cat", "en"),
            ("p6", "a red picture that nobody could decode", "none", "en"),
            ("p7", "a red text without an image", None, "en"),
        ],
    )
    return corpus
