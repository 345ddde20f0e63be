"""Columns: what each was made from, and the one function that commits them.

A stage writes one Lance file per fragment. The file's name carries the stage, its *freshness* (a digest of the stage
and of everything it read) and the digest of its own content; the file itself carries the full record behind the
freshness. A fragment's manifest lists its files, so data and freshness become visible in the same commit, and
"is this column up to date?" is answered without opening anything. Readers of a column depend on its content, not on
its freshness: a recomputed column that came out the same makes nothing stale.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
from lance.file import LanceFileReader, LanceFileWriter
from lance.fragment import DataFile

from tuwen.corpus.content import DIGEST_CHARACTERS, ContentDigest
from tuwen.corpus.corpus import STAGE_KEY, STORAGE_VERSION, Corpus, read_json, table_digest, write_json
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.errors import TuwenError

RECORD_KEY = "tuwen:freshness"
PARTIAL = ".partial"
COMMIT_ATTEMPTS = 5


@dataclass(frozen=True)
class ColumnFile:
    """A written, not yet committed column file of a fragment. `base` is the data file of the rows it was made from."""

    fragment_id: int
    stage: str
    name: str
    num_rows: int
    base: str


@dataclass(frozen=True)
class Origin:
    """Which stage wrote a column of a fragment, from what (freshness), and what came out (content)."""

    stage: str
    freshness: str
    content: str
    file: str


@dataclass
class FragmentState:
    """A fragment as its manifest describes it: rows, base file, digest of its keys, and the origin of each column."""

    id: int
    num_rows: int
    base: str
    base_content: str
    columns: dict[str, Origin] = field(default_factory=dict)

    def content(self, column: str) -> str | None:
        """Content digest of a column in this fragment; base columns follow from the keys; None: not computed."""
        if column in self.columns:
            return self.columns[column].content
        return self.base_content if column in self._base_columns else None

    _base_columns: frozenset[str] = frozenset()


@dataclass
class TableState:
    """All fragments of a table at one version."""

    table: str
    version: int
    fragments: list[FragmentState]

    @classmethod
    def read(cls, corpus: Corpus, table: str) -> TableState:
        """Read the manifest; digests of base rows come from a cache beside the tables, or from the key column."""
        dataset = corpus.dataset(table)
        names = {number: field.name() for field in dataset.lance_schema.fields() for number in _field_ids(field)}
        base_columns = frozenset(TABLES[table].schema.names)
        digests = _BaseDigests(corpus)
        fragments = []
        for fragment in dataset.get_fragments():
            base, columns = "", {}
            for file in fragment.data_files():
                origin = parse_name(str(file.path))
                if origin is None:
                    base = str(file.path)
                    continue
                columns.update({names[number]: origin for number in file.fields if number in names})
            content = digests.of(fragment, base, TABLES[table].key)
            fragments.append(
                FragmentState(fragment.fragment_id, fragment.physical_rows, base, content, columns, base_columns)
            )
        digests.save()
        return cls(table, int(dataset.version), fragments)

    def content(self, column: str) -> str:
        """Digest of a column over all fragments, in any order: a multiset of (rows, values)."""
        parts = sorted(f"{fragment.base_content}={fragment.content(column)}" for fragment in self.fragments)
        return _short(json.dumps(parts))


def _field_ids(field: Any) -> list[int]:
    """Ids of a field and of everything inside it: a data file of a list column names only the leaves."""
    return [field.id(), *(number for child in field.children() for number in _field_ids(child))]


class _BaseDigests:
    """Digest of the key column per base data file. Base files never change, so a cached digest is right for ever."""

    def __init__(self, corpus: Corpus) -> None:
        self._path = corpus.path / "base-digests.json"
        self._known: dict[str, str] = {}
        if self._path.exists():
            try:
                self._known = read_json(self._path)
            except TuwenError:
                self._known = {}  # a cache: made again below
        self._grown = False

    def of(self, fragment: lance.LanceFragment, base: str, key: str) -> str:
        if base not in self._known:
            self._known[base] = table_digest(scan_dataset(fragment, [key]))
            self._grown = True
        return self._known[base]

    def save(self) -> None:
        if self._grown and os.access(self._path.parent, os.W_OK):
            write_json(self._path, self._known)


def freshness_of(record: Mapping[str, Any]) -> str:
    """Digest of a freshness record."""
    return _short(json.dumps(record, sort_keys=True, ensure_ascii=False))


def read_record(corpus: Corpus, table: str, file: str) -> dict[str, Any]:
    """The full record behind the freshness of a column file; empty if the file holds none."""
    reader = LanceFileReader(str(_data_folder(corpus.path, table) / file))
    raw = (reader.metadata().schema.metadata or {}).get(RECORD_KEY.encode())
    return dict(json.loads(raw)) if raw else {}


class ColumnWriter:
    """Writes the column file of one stage for one fragment, batch by batch, in the order of the fragment's rows."""

    def __init__(self, corpus_path: Path, table: str, stage: str, schema: pa.Schema) -> None:
        self._folder = _data_folder(corpus_path, table)
        self._stage = stage
        self._partial = self._folder / f"{os.urandom(8).hex()}{PARTIAL}"
        self._writer = LanceFileWriter(str(self._partial), schema, version=STORAGE_VERSION)
        self._digest = ContentDigest()
        self.num_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(batch)
        self._digest.update(batch)
        self.num_rows += batch.num_rows

    def content(self) -> str:
        """Content digest of what has been written."""
        return self._digest.hexdigest()

    def close(self, record: Mapping[str, Any]) -> str:
        """Finish the file under the name that tells its freshness and content; returns the name.

        Raises `OSError` when the disk is full.
        """
        self._writer.add_schema_metadata(RECORD_KEY, json.dumps(record, sort_keys=True, ensure_ascii=False))
        self._writer.close()
        if not self._partial.stat().st_size:  # a full disk: of a tiny file's only write, Lance does not report failure
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._partial))
        name = f"{self._stage}-{freshness_of(record)}-{self.content()}-{os.urandom(4).hex()}.lance"
        self._partial.replace(self._folder / name)
        return name

    def abandon(self) -> None:
        """Give up and leave nothing behind."""
        self._partial.unlink(missing_ok=True)


def declare_columns(corpus: Corpus, table: str, stage: str, schema: pa.Schema) -> None:
    """Make the columns of a stage part of the table's schema (all null so far). One metadata commit, or none.

    A stage whose columns changed name or type loses the old ones first: a fragment that holds a file for (a, b)
    refuses a file for (b, c).
    """
    dataset = corpus.dataset(table)
    owned = {f.name: f.type for f in dataset.schema if (f.metadata or {}).get(STAGE_KEY) == stage.encode()}
    if owned == {f.name: f.type for f in schema}:
        return
    for name in schema.names:
        if name in dataset.schema.names and name not in owned:
            raise TuwenError(f"{table}.{name} belongs to {corpus.columns(table)[name] or 'the table'}, not to {stage}")
    if owned:
        dataset.drop_columns(list(owned))
    fields = [pa.field(f.name, f.type, metadata={STAGE_KEY: stage.encode()}) for f in schema]
    dataset.add_columns(pa.schema(fields))


def commit_columns(corpus: Corpus, table: str, files: Sequence[ColumnFile], *, method: str = "replace") -> None:
    """Make finished column files part of the table: the files of a stage in one commit, stage after stage.

    `method` is "replace" (Lance's DataReplacement, which keeps concurrent appends) or "merge" (the older Merge
    operation: same result, kept for the day DataReplacement changes). Raises `TuwenError` when a file does not fit
    the rows of its fragment: fragment gone or rewritten, rows deleted, row counts that differ.
    """
    by_stage: dict[str, list[ColumnFile]] = {}
    for file in files:
        by_stage.setdefault(file.stage, []).append(file)
    for stage_files in by_stage.values():  # Lance takes files of the same fields only
        _commit_stage(corpus, table, stage_files, method)


def _commit_stage(corpus: Corpus, table: str, files: Sequence[ColumnFile], method: str) -> None:
    commit = {"replace": _commit_replacement, "merge": _commit_merge}[method]
    for attempt in range(COMMIT_ATTEMPTS):
        dataset = corpus.dataset(table)
        fragments = {fragment.fragment_id: fragment for fragment in dataset.get_fragments()}
        for file in files:
            _check(corpus, table, fragments.get(file.fragment_id), file)
        try:
            commit(dataset, fragments, files)
            return
        except OSError as error:  # Lance reports a lost race as OSError: read again, commit the same files again
            if "conflict" not in str(error).lower() or attempt == COMMIT_ATTEMPTS - 1:
                raise
            time.sleep(0.05 * 2**attempt)


def _commit_replacement(dataset: lance.LanceDataset, fragments: dict[int, Any], files: Sequence[ColumnFile]) -> None:
    groups = [
        lance.LanceOperation.DataReplacementGroup(file.fragment_id, DataFile.create(dataset, file.name))
        for file in files
    ]
    lance.LanceDataset.commit(dataset, lance.LanceOperation.DataReplacement(groups), read_version=dataset.version)


def _commit_merge(dataset: lance.LanceDataset, fragments: dict[int, Any], files: Sequence[ColumnFile]) -> None:
    metadata = {number: fragment.metadata for number, fragment in fragments.items()}
    for file in files:
        new = DataFile.create(dataset, file.name)
        kept = [old for old in metadata[file.fragment_id].files if not set(old.fields) & set(new.fields)]
        metadata[file.fragment_id].files = [*kept, new]
    operation = lance.LanceOperation.Merge(list(metadata.values()), dataset.lance_schema)
    lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)


def _check(corpus: Corpus, table: str, fragment: lance.LanceFragment | None, file: ColumnFile) -> None:
    where = f"{table}, fragment {file.fragment_id}, {file.stage}"
    if fragment is None:
        raise TuwenError(f"{where}: the fragment is gone; run the build again")
    if file.base not in {str(data.path) for data in fragment.data_files()}:
        raise TuwenError(f"{where}: the fragment was rewritten while the stage ran; run the build again")
    if fragment.num_deletions:
        raise TuwenError(f"{where}: {fragment.num_deletions} rows of it were deleted; compact the table first")
    path = _data_folder(corpus.path, table) / file.name
    written = LanceFileReader(str(path)).num_rows() if path.stat().st_size else 0  # an empty file makes Lance panic
    if not fragment.physical_rows == file.num_rows == written:
        raise TuwenError(f"{where}: {written} rows written for {fragment.physical_rows} rows; the stage is at fault")


def remove_partial_files(corpus: Corpus) -> None:
    """Remove what a killed run left half-written. Only under the write lock."""
    for table in TABLES:
        for path in _data_folder(corpus.path, table).glob(f"*{PARTIAL}*"):  # while being written: .partial#1
            path.unlink(missing_ok=True)


def parse_name(name: str) -> Origin | None:
    """Origin from the name of a column file; None for the files of base rows."""
    parts = name.removesuffix(".lance").rsplit("-", 3)
    if len(parts) != 4 or len(parts[1]) != DIGEST_CHARACTERS or len(parts[2]) != DIGEST_CHARACTERS:
        return None
    return Origin(parts[0], parts[1], parts[2], name)


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _data_folder(corpus_path: Path, table: str) -> Path:
    folder = corpus_path / f"{table}.lance" / "data"
    folder.mkdir(exist_ok=True)
    return folder
