"""Rankings: rows of a table and how well they answer, by their words or by their vectors."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import EXACT_ROWS, IndexState, index_state, indexed_copy, matching, nearest
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.engine.search_vectors import VectorColumn

MOST_BY_INDEX = 1_000  # beyond so many neighbours, all vectors are compared


@dataclass(frozen=True)
class Ranked:
    """Rows by their ids, with their scores, in no order. `complete`: there are no others.

    `pairs`: of images that were found by their pairs, the columns key (of the image), pair and score.
    """

    keys: pa.Array
    scores: NDArray[np.float64]
    complete: bool
    pairs: pa.Table | None = None

    def filtered(self, mask: NDArray[np.bool_]) -> Ranked:
        """Those of the mask."""
        return Ranked(self.keys.filter(pa.array(mask)), self.scores[mask], self.complete, self.pairs)

    def best(self, k: int) -> list[tuple[str, float]]:
        """The `k` best, the best first; of equal ones that of the smaller id."""
        if len(self.scores) > k:
            least = np.partition(self.scores, -k)[-k]
            return self.filtered(self.scores >= least)._sorted()[:k]
        return self._sorted()

    def answering(self, keys: Sequence[str]) -> dict[str, str]:
        """For each of some images the pair that answers best; empty where pairs were not asked."""
        if self.pairs is None:
            return {}
        theirs = self.pairs.filter(pc.is_in(self.pairs["key"], value_set=pa.array(keys, pa.string())))
        order = theirs.sort_by([("score", "ascending"), ("pair", "descending")])  # the last one of a key stays
        return dict(zip(order["key"].to_pylist(), order["pair"].to_pylist(), strict=True))

    def _sorted(self) -> list[tuple[str, float]]:
        order = pa.table({"score": self.scores, "key": self.keys})
        order = order.sort_by([("score", "descending"), ("key", "ascending")])
        return list(zip(order["key"].to_pylist(), order["score"].to_pylist(), strict=True))


class Ranking(Protocol):
    """Ranks the rows of one unit."""

    @property
    def unit(self) -> str:
        """pair or image."""

    @property
    def name(self) -> str:
        """What its scores are called."""

    def found(self, k: int | None) -> Ranked:
        """About the `k` best rows, or, for None, all that answer at all."""


class Texts:
    """The texts of a corpus' pairs with their index, or with one of their own where the corpus has none."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.index = index_state(corpus.dataset("pairs"), "pairs", "text")
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def dataset(self) -> lance.LanceDataset:
        """What is asked."""
        if self.index is not None:
            return self._corpus.dataset("pairs")
        self._folder = tempfile.TemporaryDirectory(prefix="tuwen-search-")  # goes when this object does
        return indexed_copy(self._corpus, "pairs", "pair_id", "text", Path(self._folder.name))

    def note(self) -> str | None:
        """What would make it faster."""
        return _note(self.index, self.dataset.count_rows(), "text", 0, self._corpus)


@dataclass(frozen=True)
class Words:
    """Pairs by the words of their texts: BM25, Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019."""

    texts: Texts
    words: str
    unit: str = "pair"
    name: str = "words"

    def found(self, k: int | None) -> Ranked:
        """BM25 scores, greater than 0."""
        keys, scores = matching(self.texts.dataset, "pair_id", "text", self.words, k or self.texts.dataset.count_rows())
        return Ranked(pa.array(keys, pa.string()), np.asarray(scores, np.float64), k is None or len(keys) < k)


@dataclass(frozen=True)
class Neighbours:
    """Rows by the cosine of their vectors with `query`; those without a vector have none."""

    corpus: Corpus
    vectors: VectorColumn
    index: IndexState | None
    query: NDArray[np.float32]
    name: str = "vectors"

    @property
    def unit(self) -> str:
        """Of the table that holds the vectors."""
        return "image" if self.vectors.table == "images" else "pair"

    def found(self, k: int | None) -> Ranked:
        """Cosines, -1 to 1. With an index the neighbours are those that it finds, their cosines exact."""
        if self.index is None or k is None or k > MOST_BY_INDEX:
            return self._all()
        dataset, key = self.corpus.dataset(self.vectors.table), TABLES[self.vectors.table].key
        keys, vectors = nearest(dataset, key, self.vectors.column, self.query, k)
        return Ranked(pa.array(keys, pa.string()), (vectors @ self.query).astype(np.float64), False)

    def _all(self) -> Ranked:
        """Compare every vector. 36 bytes a row, and one batch of vectors."""
        key, column = TABLES[self.vectors.table].key, self.vectors.column
        keys, scores = [pa.array([], pa.string())], [np.empty(0)]
        for batch in scan_dataset(self.corpus.dataset(self.vectors.table), [key, column]):
            vectors, known = unit_vectors_of(batch[column])
            keys.append(batch[key].filter(pa.array(known)))
            scores.append((vectors[known] @ self.query).astype(np.float64))
        return Ranked(pa.concat_arrays(keys), np.concatenate(scores), True)

    def note(self) -> str | None:
        """What would make it faster."""
        return _note(self.index, self.vectors.num_rows, "vector", EXACT_ROWS, self.corpus)


def _note(index: IndexState | None, num_rows: int, noun: str, few: int, corpus: Corpus) -> str | None:
    command = f"tuwen search {corpus.path} --index"
    if index is None and num_rows > EXACT_ROWS:
        return (
            f"{num_rows:,} {noun}s were searched without an index; `{command}` makes one, for searches in milliseconds"
        )
    if index is not None and index.num_missing > few:
        return f"{index.num_missing:,} {noun}s are not in the index yet and were searched one by one; run `{command}`"
    return None
