"""Appending units: exactly once, whatever happens in between.

One unit is several appends (images, fetches, pairs, documents) and then its row in `units`, which seals it. Before the
first append a journal notes the version of every table; a run that finds a journal of an unsealed unit puts the
tables back and reads the unit again. So a table never holds half a unit once a build has started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.corpus import STORAGE_VERSION, Corpus, stored_schema
from tuwen.corpus.journal import Journal
from tuwen.corpus.keys import KeySet
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.corpus.tombstones import Barred
from tuwen.corpus.versions import older_tables
from tuwen.errors import TuwenError

Rows = Mapping[str, Path | Callable[[], Iterator[pa.RecordBatch]]]
JOURNAL = Journal("unit-journal.json", {"source": str, "source_unit": str, "tables": dict})
APPEND_ORDER = ("images", "fetches", "pairs", "documents")


@dataclass
class SealedUnit:
    """What is known of a unit besides its rows: the columns of `units` that counting does not give.

    Stored when all rows have been read, so a reader of rows may note here what it found.
    """

    source: str
    name: str
    location: str
    reader: str
    num_records: int
    num_bad_records: int
    error: str | None
    message: str | None


class UnitAppender:
    """Appends units to a corpus; knows the keys that are in it. Only under the write lock, one at a time."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        recover(corpus)
        self._known = {name: self._keys(name) for name in ("images", "documents", "fetches")}
        self._barred = Barred(corpus)

    def append(self, unit: SealedUnit, rows: Rows, *, whole_documents: bool = True) -> dict[str, int]:
        """Append a unit: per table an Arrow IPC file, or a function that yields its batches, as often as it is called.

        Batches hold the base columns without source and source_unit.

        Rows whose key is in the corpus already are left out. Where a unit brings `whole_documents`, pairs stay or go
        with their document, which saves knowing every pair of the corpus; else, and without a document, by their own
        key. So is what was taken down. Returns rows added per table.
        """
        corpus = self._corpus
        rows = self._admitted(rows) if self._barred else rows
        JOURNAL.write(corpus, source=unit.source, source_unit=unit.name, tables=corpus.version())
        new_documents = _new_keys(rows, "documents", self._known["documents"])
        new = {
            "images": lambda batch: self._known["images"].add_new(batch["image_id"]),
            "fetches": lambda batch: self._known["fetches"].add_new(batch["fetch_id"]),
            "pairs": self._new_pairs(new_documents, whole_documents),
            "documents": _first_of(new_documents),
        }
        counts = {}
        for name in APPEND_ORDER:
            batches = (batch.filter(new[name](batch)) for batch in _read(rows.get(name)))
            counts[name] = _append(corpus, name, (_with_source(batch, unit) for batch in batches if batch.num_rows))
        self._seal(unit, counts)
        JOURNAL.end(corpus)
        return counts

    def _admitted(self, rows: Rows) -> Rows:
        """The rows without what was taken down."""
        stored = {name: partial(_read, rows.get(name)) for name in APPEND_ORDER}
        gone = self._barred.of_unit(stored["documents"], stored["fetches"])
        return {name: self._barred.without(name, batches, gone) for name, batches in stored.items()}

    def _keys(self, table: str) -> KeySet:
        return KeySet(scan_dataset(self._corpus.dataset(table), [TABLES[table].key]))

    def _new_pairs(self, documents: pa.Array, whole_documents: bool) -> Any:
        seen = KeySet()  # of this unit

        def mask(batch: pa.RecordBatch) -> pa.Array:
            if whole_documents and not batch["document_id"].null_count:
                if "pairs" in self._known:  # asked for by an earlier unit: must stay complete
                    self._known["pairs"].add_new(batch["pair_id"])
                return pc.and_(pc.is_in(batch["document_id"], documents), seen.add_new(batch["pair_id"]))
            if "pairs" not in self._known:
                self._known["pairs"] = self._keys("pairs")
            new = self._known["pairs"].add_new(batch["pair_id"])
            if not whole_documents:
                return new
            listed = pc.is_null(batch["document_id"])
            return pc.and_(new, pc.or_(listed, pc.is_in(batch["document_id"], documents)))

        return mask

    def _seal(self, unit: SealedUnit, counts: dict[str, int]) -> None:
        row = {
            "source": unit.source,
            "source_unit": unit.name,
            "location": unit.location,
            "reader": unit.reader,
            "num_records": unit.num_records,
            **{f"num_{name}": count for name, count in counts.items()},
            "num_bad_records": unit.num_bad_records,
            "error": unit.error,
            "message": unit.message,
        }
        _append(self._corpus, "units", [pa.RecordBatch.from_pylist([row], schema=TABLES["units"].schema)])


def sealed_units(corpus: Corpus) -> set[tuple[str, str]]:
    """(source, source_unit) of every unit that is completely in the corpus."""
    table = corpus.table("units", ["source", "source_unit"])
    return set(zip(table["source"].to_pylist(), table["source_unit"].to_pylist(), strict=True))


def recover(corpus: Corpus) -> str | None:
    """Undo a half-appended unit or a half-done purge that a killed run left; returns the unit's name.

    Only under the write lock. `TuwenError` where a journal is damaged, or a table older than the others: its lost units
    are sealed, and would never be read again.
    """
    from tuwen.corpus.rewriting import undo

    if older := older_tables(corpus):
        raise TuwenError(
            f"{corpus.path} was put together from copies: {', '.join(older)} older than the rest; "
            f"tuwen repair {corpus.path} says what can be done about it"
        )
    undo(corpus)
    begun = JOURNAL.begun(corpus)
    if begun is None:
        return None
    unfinished = (begun["source"], begun["source_unit"]) not in sealed_units(corpus)
    if unfinished:
        JOURNAL.put_back(corpus, begun)
    JOURNAL.end(corpus)
    return str(begun["source_unit"]) if unfinished else None


def append_rows(corpus: Corpus, table: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Append complete base rows (source columns included) to a table in one commit; returns how many."""
    return _append(corpus, table, batches)


def _append(corpus: Corpus, table: str, batches: Iterable[pa.RecordBatch]) -> int:
    described = TABLES[table]
    schema = stored_schema(described.schema, described.blobs)
    count = 0

    def stored() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for batch in batches:
            count += batch.num_rows
            yield as_stored(table, batch)

    iterator = stored()
    first = next(iterator, None)
    if first is None:
        return 0

    def all_batches() -> Iterator[pa.RecordBatch]:
        yield first
        yield from iterator

    lance.write_dataset(
        pa.RecordBatchReader.from_batches(schema, all_batches()),
        str(corpus.path / f"{table}.lance"),
        mode="append",
        data_storage_version=STORAGE_VERSION,
        max_rows_per_file=described.rows_per_fragment,
    )
    return count


def as_stored(table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Base rows as Lance stores them: their image bytes as blobs."""
    described = TABLES[table]
    schema = stored_schema(described.schema, described.blobs)
    columns = [_blobs(batch[name]) if name in described.blobs else batch[name] for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _blobs(values: pa.Array) -> pa.Array:
    """Large binary values as Lance blobs, without copying them."""
    field = lance.blob_field("bytes")
    empty = {part.name: pa.nulls(len(values), part.type) for part in field.type.storage_type}
    storage = pa.StructArray.from_arrays(
        list({**empty, "data": values}.values()), fields=list(field.type.storage_type), mask=values.is_null()
    )
    return pa.ExtensionArray.from_storage(field.type, storage)


def _read(rows: Path | Callable[[], Iterator[pa.RecordBatch]] | None) -> Iterator[pa.RecordBatch]:
    if rows is None:
        return
    if not isinstance(rows, Path):
        yield from rows()
        return
    with pa.OSFile(str(rows)) as source:  # not memory-mapped: mapped pages would count as this process' memory
        yield from pa.ipc.open_stream(source)


def _new_keys(rows: Rows, table: str, known: KeySet) -> pa.Array:
    key = TABLES[table].key
    pieces = [batch[key].filter(known.add_new(batch[key])) for batch in _read(rows.get(table))]
    return pa.concat_arrays([pa.array([], pa.string()), *pieces])


def _first_of(documents: pa.Array) -> Any:
    seen = KeySet()

    def mask(batch: pa.RecordBatch) -> pa.Array:
        return pc.and_(pc.is_in(batch["document_id"], documents), seen.add_new(batch["document_id"]))

    return mask


def _with_source(batch: pa.RecordBatch, unit: SealedUnit) -> pa.RecordBatch:
    for name, value in (("source", unit.source), ("source_unit", unit.name)):
        batch = batch.append_column(name, pa.array([value], pa.string()).take(pa.array(np.zeros(batch.num_rows, int))))
    return batch
