"""Fragments written again without some of their rows, column files and all: the way rows leave a corpus for good.

A fragment is never given deletions, which `commit_columns` refuses. Its remaining rows are written as a new fragment,
base file and one column file a stage, under names that say what they hold now; one commit puts the new fragments in the
place of the old ones. See docs/adr/010.

While several tables are rewritten, a journal holds the versions that they had: `undo` puts those back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lance.fragment import DataFile, FragmentMetadata, write_fragments
from numpy.typing import NDArray

from tuwen.corpus.columns import ColumnWriter, FragmentState, Origin, TableState, parse_name
from tuwen.corpus.content import ContentDigest
from tuwen.corpus.corpus import STORAGE_VERSION, Corpus, stored_schema, table_digest
from tuwen.corpus.joins import JoinRecord, save_join
from tuwen.corpus.journal import Journal
from tuwen.corpus.keys import are_among, packed_keys
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import as_stored
from tuwen.errors import TuwenError

JOURNAL = Journal("purge-journal.json", {"phase": str, "tables": dict, "joins": list, "indexes": list, "fitted": list})
REWRITING, CLEANING = "rewriting", "cleaning"


@dataclass(frozen=True)
class Losing:
    """A fragment that loses rows: which of its rows stay (bool, one a row), and its state when the others are gone."""

    fragment: FragmentState
    keep: NDArray[np.bool_]
    after: FragmentState

    @property
    def num_lost(self) -> int:
        """Rows that go."""
        return int((~self.keep).sum())


def losing(corpus: Corpus, table: str, gone: NDArray[Any]) -> list[Losing]:
    """The fragments of a table that hold any of the ids `gone` (`S16`, ascending), with digests of what will be left.

    Reads the key of every row, and the columns of stages in those fragments.
    """
    if not len(gone):
        return []
    found = []
    key = TABLES[table].key
    for state in TableState.read(corpus, table).fragments:
        fragment = _fragment(corpus, table, state.id)
        keys = np.concatenate([packed_keys(batch.column(0)) for batch in scan_dataset(fragment, [key])])
        keep = ~are_among(keys, gone)
        if not keep.all():
            found.append(Losing(state, keep, _after(fragment, state, keep, key)))
    return found


def _after(fragment: lance.LanceFragment, state: FragmentState, keep: NDArray[np.bool_], key: str) -> FragmentState:
    columns: dict[str, Origin] = {}
    for origin, names in _files(state).items():
        digest = ContentDigest()
        for batch in _kept(fragment, names, keep):
            digest.update(batch)
        columns |= {name: replace(origin, content=digest.hexdigest()) for name in names}
    keys = table_digest(
        pa.RecordBatchReader.from_batches(pa.schema([(key, pa.string())]), _kept(fragment, [key], keep))
    )
    return replace(state, num_rows=int(keep.sum()), base_content=keys, columns=columns)


def write_again(corpus: Corpus, table: str, part: Losing, records: Mapping[str, Mapping[str, Any]]) -> Any:
    """Write the rows of a fragment that stay; its metadata, to be committed, or None where no row stays.

    `records` holds, per stage, the freshness record for its column file; without one the old record is kept.
    """
    if not part.keep.any():
        return None
    from tuwen.corpus.columns import read_record

    dataset = corpus.dataset(table)
    fragment = _fragment(corpus, table, part.fragment.id)
    (written,) = _write_base(corpus, table, _kept(fragment, TABLES[table].schema.names, part.keep))
    files = list(written.files)
    for origin, names in _files(part.fragment).items():
        schema = pa.schema([pa.field(name, dataset.schema.field(name).type) for name in names])
        writer = ColumnWriter(corpus.path, table, origin.stage, schema)
        for batch in _kept(fragment, names, part.keep):
            writer.write(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        record = records.get(origin.stage) or read_record(corpus, table, origin.file)
        files.append(DataFile.create(dataset, writer.close(record)))
    written.files = files
    return written


def write_without(corpus: Corpus, table: str, fragment: FragmentState, column: str, mask: NDArray[np.bool_]) -> Any:
    """Write a fragment's base file again with nulls in `column` where `mask` is true; column files stay as they are.

    Rows, keys and everything computed are the same, so nothing becomes stale.
    """
    source = _fragment(corpus, table, fragment.id)

    def blanked() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in _kept(source, TABLES[table].schema.names, np.ones(fragment.num_rows, bool)):
            here = pa.array(mask[start : start + batch.num_rows])
            start += batch.num_rows
            place = batch.schema.get_field_index(column)
            empty = pc.if_else(here, pa.scalar(None, batch.schema.field(column).type), batch[column])
            yield batch.set_column(place, batch.schema.field(column), empty)

    (written,) = _write_base(corpus, table, blanked())
    written.files = [
        *written.files,
        *(file for file in source.metadata.files if parse_name(str(file.path)) is not None),
    ]
    return written


def sizes_of(fragment: lance.LanceFragment, column: str) -> NDArray[np.int64]:
    """Bytes of each blob of a fragment, -1 where there is none, without reading any."""
    described = fragment.scanner(columns=[column], blob_handling="blobs_descriptions").to_table()[column]
    sizes = described.combine_chunks().field("size").cast(pa.int64())
    blobs = pc.if_else(described.combine_chunks().is_valid(), sizes, -1)
    return np.asarray(pc.fill_null(blobs, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def replace_fragments(corpus: Corpus, table: str, old: Sequence[int], new: Sequence[FragmentMetadata]) -> None:
    """Put fragments in the place of others, in one commit. Only under the write lock."""
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=list(old), updated_fragments=[], new_fragments=list(new), fields_modified=[]
    )
    dataset = corpus.dataset(table)
    lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)


def forget_versions(corpus: Corpus, numbers: Sequence[int]) -> None:
    """Give up numbered corpus versions, and remove every file that only superseded versions of the tables name.

    Whatever a killed run left is among them. Only under the write lock.
    """
    for number in numbers:
        (corpus.path / "versions" / f"{number:06d}.json").unlink(missing_ok=True)
    for table in TABLES:
        dataset = corpus.dataset(table)
        kept = {f"v{number:06d}" for number in _numbers(corpus)}
        for tag in sorted(set(dataset.tags.list()) - kept):
            dataset.tags.delete(tag)
        dataset.cleanup_old_versions(
            older_than=timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False
        )
        for folder in (corpus.path / f"{table}.lance" / "data").iterdir():
            if folder.is_dir() and not any(folder.iterdir()):  # of blobs that went; Lance leaves it
                folder.rmdir()


def _numbers(corpus: Corpus) -> list[int]:
    return [int(file.stem) for file in (corpus.path / "versions").glob("*.json")]


# The journal ---------------------------------------------------------------------------------------------------


def begin(corpus: Corpus, joins: Sequence[Mapping[str, Any]], phase: str = REWRITING, **more: Any) -> None:
    """Note what `undo` puts back: versions of tables, and `joins` as they are. `more`: what cleaning needs to know."""
    JOURNAL.write(corpus, phase=phase, tables=corpus.version(), joins=[*joins], **more)


def advance(corpus: Corpus, **more: Any) -> None:
    """All tables are rewritten: from here on the work is finished and not undone."""
    JOURNAL.write(corpus, **{**(JOURNAL.begun(corpus) or {}), "phase": CLEANING, **more})


def finish(corpus: Corpus) -> None:
    """Done."""
    JOURNAL.end(corpus)


def undo(corpus: Corpus) -> bool:
    """Put tables and joins back if a run was killed before all tables were rewritten. Only under the write lock.

    `TuwenError` where the journal is damaged.
    """
    begun = JOURNAL.begun(corpus)
    if begun is None or begun["phase"] != REWRITING:
        return False
    JOURNAL.put_back(corpus, begun)
    for record in begun["joins"]:
        save_join(corpus.path, JoinRecord(**record))
    finish(corpus)
    return True


# Reading and writing -------------------------------------------------------------------------------------------


def _files(state: FragmentState) -> dict[Origin, list[str]]:
    """Column files of a fragment and the columns in each."""
    found: dict[Origin, list[str]] = {}
    for name, origin in state.columns.items():
        found.setdefault(origin, []).append(name)
    return found


def _fragment(corpus: Corpus, table: str, number: int) -> lance.LanceFragment:
    fragment = corpus.dataset(table).get_fragment(number)
    if fragment is None:
        raise TuwenError(f"{table}, fragment {number}: the fragment is gone; run the same command again")
    return fragment


def _kept(fragment: lance.LanceFragment, names: Sequence[str], keep: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in scan_dataset(fragment, list(names)):
        mask = keep[start : start + batch.num_rows]
        start += batch.num_rows
        if mask.any():
            yield batch.filter(pa.array(mask))


def _write_base(corpus: Corpus, table: str, batches: Iterator[pa.RecordBatch]) -> list[FragmentMetadata]:
    described = TABLES[table]
    schema = stored_schema(described.schema, described.blobs)
    stored = partial(as_stored, table)
    return write_fragments(
        pa.RecordBatchReader.from_batches(schema, map(stored, batches)),
        str(corpus.path / f"{table}.lance"),
        mode="append",
        data_storage_version=STORAGE_VERSION,
        max_rows_per_file=1 << 30,
    )
