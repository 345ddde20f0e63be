"""Joins without the keys of rows that leave the corpus. Nothing names the new files until their records are saved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.joins import JoinRecord, joins_of, state_path
from tuwen.corpus.keys import are_among, packed_keys
from tuwen.corpus.tables import TABLES
from tuwen.engine.sorted_rows import without_keys
from tuwen.engine.state import read_state
from tuwen.stages.joined import comparable
from tuwen.stages.lookup import keys_of


def joins_without(corpus: Corpus, lost: Mapping[str, NDArray[Any]]) -> tuple[list[JoinRecord], list[JoinRecord]]:
    """Joins that hold keys of rows `lost` (ids by table) and of no other row: their records as they are, and to be.

    Two passes over the key's column; 8 bytes of memory for each lost row.
    """
    old, new = [], []
    for record in joins_of(corpus.path):
        keys = _lost_keys(corpus, record, lost[record.table]) if record.table in lost else np.empty(0, np.uint64)
        state = read_state(corpus.path / record.state)
        stored = (np.isin(keys, chunk.column(0).to_numpy()).any() for chunk in state.to_batches())
        if not len(keys) or not any(stored):
            continue
        partial = corpus.path / "joins" / f".{record.name}.{os.getpid()}"
        content, num_rows = without_keys(state, keys, partial)
        partial.replace(corpus.path / state_path(record.name, content))
        old.append(record)
        new.append(replace(record, content=content, num_rows=num_rows))
    return old, new


def _lost_keys(corpus: Corpus, record: JoinRecord, lost: NDArray[Any]) -> NDArray[np.uint64]:
    lost = np.sort(lost)
    keys = np.unique(np.concatenate([np.empty(0, np.uint64), *_keys(corpus, record, lost, gone=True)]))
    for kept in _keys(corpus, record, lost, gone=False):
        keys = keys[~np.isin(keys, kept)]
    return keys


def _keys(corpus: Corpus, record: JoinRecord, lost: NDArray[Any], *, gone: bool) -> Iterator[NDArray[np.uint64]]:
    """Keys of the join of rows that go, or of those that stay."""
    columns = list(dict.fromkeys([TABLES[record.table].key, record.on]))
    for batch in corpus.scan(record.table, columns):
        ids = packed_keys(batch.column(0))
        mask = are_among(ids, lost) == gone
        values = batch[record.on].filter(pa.array(mask)).drop_null()
        yield keys_of(comparable(values))
