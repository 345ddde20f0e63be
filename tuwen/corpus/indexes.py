"""Indexes on columns of the tables: one over vectors, one over texts. They hold nothing that the tables do not.

An index is part of a table's manifest, so a version of a table has the index that was made for it. Lance notes which
fragments an index covers, takes a fragment out when a column file of it is replaced, and searches fragments that are
not covered row by row: what an index does not know yet is slower to find, and never missing or stale.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.journal import Journal
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.errors import UsageError

EXACT_ROWS = 50_000
"""So many vectors are compared one by one in a moment: no index is needed for fewer, nor for as many new ones."""
ROWS_PER_PARTITION, MAX_PARTITIONS = 250, 4_096
SAMPLED_PER_PARTITION, ITERATIONS = 50, 6
NUM_PROBES = 20
GROWN = 0.125
"""An index is extended by up to this share of its rows, and made anew for more: Lance assigns new rows slowly."""
SCORER_EMBEDDING: Final = "scorer_embedding"
"""Vectors of the stage image.scorer: those of each fold lie in a space of their own, so no search compares them."""
JOURNAL = Journal("index-journal.json", {"table": str, "folders": list})
VECTOR_INDEX: Final = "IVF_SQ"
os.environ.setdefault("LANCE_USE_HNSW_SPEEDUP_INDEXING", "disabled")  # exact assignment of rows that come later, too
TEXT_OPTIONS: dict[str, Any] = {
    "base_tokenizer": "icu",
    "stem": False,
    "remove_stop_words": False,
    "with_position": False,
}
"""ICU cuts Chinese, Japanese and Thai into words from its dictionaries and all else at spaces; no language is
privileged by stemming or stop words. Case and accents are folded."""


@dataclass(frozen=True)
class IndexState:
    """An index over `table.column`: its kind (vector or text) and how many rows of the table it covers or lacks."""

    table: str
    column: str
    kind: str
    num_rows: int
    num_missing: int


def index_state(dataset: lance.LanceDataset, table: str, column: str) -> IndexState | None:
    """The state of a column's index; None where it has none."""
    found = next((each for each in dataset.describe_indices() if each.name == _name(column)), None)
    if found is None:
        return None
    covered = {number for segment in found.segments for number in segment.fragment_ids}
    rows = {fragment.fragment_id: fragment.physical_rows for fragment in dataset.get_fragments()}
    known = sum(count for number, count in rows.items() if number in covered)
    kind = "vector" if is_vector(dataset.schema.field(column).type) else "text"
    return IndexState(table, column, kind, known, sum(rows.values()) - known)


def is_vector(kind: pa.DataType) -> bool:
    """Whether a column of this type holds vectors of one length."""
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def vector_columns(corpus: Corpus) -> dict[tuple[str, str], int]:
    """(table, column) of vectors that lie in one space each → their length. `SCORER_EMBEDDING` does not."""
    return {
        (table, field.name): field.type.list_size
        for table in ("images", "pairs")
        for field in corpus.schema(table)
        if is_vector(field.type) and field.name in corpus.current_columns(table) and field.name != SCORER_EMBEDDING
    }


def build_index(corpus: Corpus, table: str, column: str) -> IndexState:
    """Index a column of vectors or texts, or bring its index up to date. Only under the write lock.

    Vectors are cut into partitions by k-means and stored as one byte a number. Killed, the table is what it was.
    """
    dataset = corpus.dataset(table)
    kind = dataset.schema.field(column).type if column in dataset.schema.names else None
    if kind is None or not (is_vector(kind) or pa.types.is_string(kind)):
        raise UsageError(f"{table} have no column {column!r} of vectors or texts; no index is made")
    state = index_state(dataset, table, column)
    if state is not None and not state.num_missing:
        return state
    _begin(corpus, table)
    if state is not None and state.num_missing <= state.num_rows * GROWN:
        dataset.optimize.optimize_indices(index_names=[_name(column)])
    elif is_vector(kind):
        _index_vectors(dataset, column, corpus.path / "tmp" / "partitions.lance")
    else:
        dataset.create_scalar_index(column, "INVERTED", name=_name(column), replace=True, **TEXT_OPTIONS)
    JOURNAL.end(corpus)
    made = index_state(corpus.dataset(table), table, column)
    assert made is not None
    return made


def update_indexes(corpus: Corpus) -> list[IndexState]:
    """Bring indexes that are there up to date, and make none that is not. Only under the write lock.

    Texts always; vectors once more than `EXACT_ROWS` are not covered.
    """
    remove_rubbish(corpus)
    updated = []
    for state in index_states(corpus):
        if state.column != SCORER_EMBEDDING and state.num_missing > (EXACT_ROWS if state.kind == "vector" else 0):
            updated.append(build_index(corpus, state.table, state.column))
    return updated


def index_states(corpus: Corpus, tables: Sequence[str] = ("images", "pairs")) -> list[IndexState]:
    """All indexes of a corpus, or of some of its tables."""
    found = []
    for table in tables:
        dataset = corpus.dataset(table)
        for described in dataset.describe_indices():
            state = index_state(dataset, table, described.name.removesuffix(_SUFFIX))
            found += [state] if state is not None else []
    return found


def drop_indexes(corpus: Corpus, table: str) -> None:
    """Take all indexes off a table; their files go when the versions that name them do. Only under the write lock."""
    for described in corpus.dataset(table).describe_indices():
        corpus.dataset(table).drop_index(described.name)


def remove_rubbish(corpus: Corpus) -> None:
    """Remove the files of an index whose making was killed. Only under the write lock.

    `TuwenError` where the journal is damaged.
    """
    begun = JOURNAL.begun(corpus)
    if begun is None:
        return
    dataset = corpus.dataset(begun["table"])
    used = {str(segment.uuid) for described in dataset.describe_indices() for segment in described.segments}
    kept = {*begun["folders"], *used}
    for folder in _folders(corpus, begun["table"]):
        if folder not in kept:
            shutil.rmtree(corpus.path / f"{begun['table']}.lance" / "_indices" / folder, ignore_errors=True)
    JOURNAL.end(corpus)


# Asking --------------------------------------------------------------------------------------------------------


def nearest(
    dataset: lance.LanceDataset, key: str, column: str, query: NDArray[np.float32], k: int
) -> tuple[list[str], NDArray[np.float32]]:
    """Keys of about the `k` rows whose vectors have the greatest cosine with `query`, and their vectors, normalised."""
    found = dataset.scanner(
        columns=[key, column, "_distance"],
        nearest={"column": column, "q": query, "k": k, "metric": "cosine", "nprobes": NUM_PROBES},
        disable_scoring_autoprojection=True,
    ).to_table()
    vectors, known = unit_vectors_of(found[column].combine_chunks())
    return found[key].filter(pa.array(known)).to_pylist(), vectors[known]


def matching(dataset: lance.LanceDataset, key: str, column: str, words: str, k: int) -> tuple[list[str], list[float]]:
    """Keys and BM25 scores of the `k` rows whose texts answer `words` best, in no order among equals.

    Texts that no index covers are read and cut into words each time.
    """
    words = words.replace('"', " ")  # Lance takes what stands in quotes for a phrase, which needs another index
    found = dataset.scanner(
        columns=[key, "_score"],
        full_text_query={"columns": [column], "query": words},
        limit=k,
        disable_scoring_autoprojection=True,
    ).to_table()
    return found[key].to_pylist(), found["_score"].to_pylist()


def indexed_copy(corpus: Corpus, table: str, key: str, column: str, folder: Path) -> lance.LanceDataset:
    """Keys and texts of a table in a dataset of its own with an index, for a corpus that has none."""
    dataset = lance.write_dataset(scan_dataset(corpus.dataset(table), [key, column]), str(folder / "texts.lance"))
    dataset.create_scalar_index(column, "INVERTED", name=_name(column), **TEXT_OPTIONS)
    return dataset


def _index_vectors(dataset: lance.LanceDataset, column: str, scratch: Path) -> None:
    """Which partition a row belongs to is computed here, exactly. Lance looks for it in a graph once there are many
    partitions, which put half of one million vectors into another than the nearest."""
    middles = _middles(dataset, column)
    shutil.rmtree(scratch, ignore_errors=True)
    schema = pa.schema([("row_id", pa.uint64()), ("partition", pa.uint32())])

    def assigned() -> Iterator[pa.RecordBatch]:
        for batch in dataset.scanner(columns=[column], with_row_id=True, batch_size=4_096).to_batches():
            vectors, known = unit_vectors_of(batch[column])
            rows = [batch["_rowid"].filter(pa.array(known)), pa.array(_nearest(vectors[known], middles), pa.uint32())]
            yield pa.record_batch(rows, schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, assigned())
    # Lance wants one fragment.
    partitions = lance.write_dataset(reader, str(scratch), max_rows_per_file=dataset.count_rows() + 1)
    try:
        dataset.create_index(
            column,
            VECTOR_INDEX,
            name=_name(column),
            metric="cosine",
            replace=True,
            num_partitions=len(middles),
            ivf_centroids=middles,
            precomputed_partition_dataset=str(scratch) if partitions.count_rows() else None,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _nearest(vectors: NDArray[np.float32], middles: NDArray[np.float32]) -> NDArray[np.intp]:
    """The middle with the greatest cosine, of each vector."""
    parts = np.array_split(vectors, len(vectors) // 4_096 + 1)
    return np.concatenate([np.argmax(part @ middles.T, axis=1) for part in parts])


def _middles(dataset: lance.LanceDataset, column: str) -> NDArray[np.float32]:
    """Middles of the partitions: spherical k-means on a sample of rows that depends on nothing but their number.

    Lance's own k-means is hierarchical and cuts through small clusters: of one million vectors in 10,000 clusters, a
    search of 20 of its 2,000 partitions found .71 of the nearest ten; 20 of 4,000 made here hold .986 of them.
    """
    num_rows = dataset.count_rows()
    number = max(1, min(num_rows // ROWS_PER_PARTITION, MAX_PARTITIONS))
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(num_rows, min(num_rows, number * SAMPLED_PER_PARTITION), replace=False))
    vectors, known = unit_vectors_of(dataset.take(rows.tolist(), columns=[column])[column].combine_chunks())
    vectors = vectors[known]
    if len(vectors) < number:
        number = max(1, len(vectors) // SAMPLED_PER_PARTITION)
    middles = (
        vectors[rng.choice(len(vectors), number, replace=False)]
        if len(vectors)
        else np.eye(1, vectors.shape[1], dtype=np.float32)
    )
    for _ in range(ITERATIONS):
        nearest_ones = _nearest(vectors, middles)
        order = np.argsort(nearest_ones, kind="stable")
        used, first = np.unique(nearest_ones[order], return_index=True)
        if len(used):
            middles[used] = np.add.reduceat(vectors[order], first, axis=0)
            middles[used] /= np.maximum(np.linalg.norm(middles[used], axis=1, keepdims=True), 1e-9)
    return np.asarray(middles, dtype=np.float32)


_SUFFIX = "_search"


def _name(column: str) -> str:
    return f"{column}{_SUFFIX}"


def _folders(corpus: Corpus, table: str) -> list[str]:
    folder = corpus.path / f"{table}.lance" / "_indices"
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _begin(corpus: Corpus, table: str) -> None:
    """Note which files are there, so that those of an index that never came to be are known for what they are."""
    remove_rubbish(corpus)
    JOURNAL.write(corpus, table=table, folders=_folders(corpus, table))
