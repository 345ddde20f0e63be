"""A corpus as it is at one moment, with its rows numbered in the order in which they are stored.

What belongs together (a pair and its image), what a selection said of each row and what was taken down are arrays over
these numbers: 4, 2 and 1 bytes a row. Where ids are lies in `cache/explorer` of the corpus, memory-mapped.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.keys import KeyIndex, save_array
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES, digest
from tuwen.engine.search_rows import TAKEN_DOWN, Standing
from tuwen.engine.search_vectors import vector_column
from tuwen.errors import TuwenError, UsageError
from tuwen.explorer.columns import LINKS, Column, columns_of
from tuwen.explorer.prepared import Prepared
from tuwen.parts import nearest
from tuwen.selections.ledger import Ledger
from tuwen.selections.saved import FOLDER
from tuwen.selections.selection import UNITS, Selection, selection_named, selections_of

Small = TypeVar("Small")
CHUNK_ROWS = 262_144
COLUMN_BYTES = 192 << 20  # of whole columns of images and documents that pairs are asked about
LARGE_BYTES = 288 << 20  # a larger one is read for the rows that are asked about
REMEMBERED = 128  # hits of searches, edges of bins: a few kilobytes each
SIZED = 256  # rows that tell how large a column is
INDEX_BYTES, METADATA_BYTES = 128 << 20, 64 << 20  # that Lance keeps in memory of indexes and of files
JUDGED_HERE = 1_000_000  # rows; a selection over more is judged in a process of its own
KEPT = -1  # in an array of verdicts; 0: taken down, k: refused at step k


class Snapshot:
    """One moment of a corpus. Thread-safe; `Explored` replaces it when the corpus has changed."""

    def __init__(self, corpus: Corpus, prepared: Prepared, session: Any = None) -> None:
        self.corpus = corpus.pinned(session)
        self.version = self.corpus.version()
        self.prepared = prepared
        self.folder = corpus.path / "cache" / "explorer"
        self._large: dict[tuple[str, str], bool] = {}
        self._columns: OrderedDict[tuple[str, str], pa.ChunkedArray] = OrderedDict()
        self._small: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.Lock()

    # What there is ----------------------------------------------------------------------------------------------

    @cached_property
    def selections(self) -> dict[str, Selection]:
        """Those of the recipe, and those that were saved."""
        return selections_of(self.corpus)

    @cached_property
    def columns(self) -> dict[str, dict[str, Column]]:
        """Unit → its columns by the names that rules use."""
        return {unit: columns_of(self.corpus, unit) for unit in UNITS}

    def column(self, unit: str, name: str) -> Column:
        """A column of a unit; `UsageError` where there is none."""
        if name not in self.columns[unit]:
            raise UsageError(f"{unit}s have no column {name!r}; {nearest(name, self.columns[unit])}")
        return self.columns[unit][name]

    @cached_property
    def has_vectors(self) -> bool:
        """Whether a model has seen the images, so that they can be searched by meaning and compared."""
        try:
            return vector_column(self.corpus).table == "images"
        except TuwenError:
            return False

    def num_rows(self, unit: str) -> int:
        """Rows of a unit's table."""
        return self._num_rows[unit]

    @cached_property
    def _num_rows(self) -> dict[str, int]:
        return {unit: self.corpus.count(table) for unit, table in UNITS.items()}

    # Where rows are ---------------------------------------------------------------------------------------------

    def chunks(self, table: str) -> list[tuple[int, int, list[lance.LanceFragment]]]:
        """Runs of fragments with about `CHUNK_ROWS` rows: number of the first row, how many, fragments."""
        return self._chunks[table]

    @cached_property
    def _chunks(self) -> dict[str, list[tuple[int, int, list[lance.LanceFragment]]]]:
        found = {}
        for table in UNITS.values():
            runs: list[tuple[int, int, list[lance.LanceFragment]]] = []
            first, rows, run = 0, 0, list[lance.LanceFragment]()
            for fragment in self.corpus.dataset(table).get_fragments():
                run.append(fragment)
                rows += fragment.count_rows()
                if rows >= CHUNK_ROWS:
                    runs.append((first, rows, run))
                    first, rows, run = first + rows, 0, []
            found[table] = [*runs, *([(first, rows, run)] if rows else [])]
        return found

    def index(self, unit: str) -> KeyIndex:
        """Where the rows of a unit are, by their ids."""
        table = UNITS[unit]
        made = self.prepared.get(
            ("keys", table, self.rows_digest(table)), f"the places of {table}", lambda: self._index(table)
        )
        return made  # type: ignore[no-any-return]

    def _index(self, table: str) -> KeyIndex:
        def keys() -> pa.RecordBatchReader:
            return scan_dataset(self.corpus.dataset(table), [TABLES[table].key], rows=CHUNK_ROWS)

        return KeyIndex.stored(self.folder, f"{table}-{self.rows_digest(table)}", keys)

    def rows_digest(self, table: str) -> str:
        """Digest of which rows there are, and in which order."""
        if table not in self._digests:
            parts = [f"{each.fragment_id}:{each.count_rows()}" for each in self.corpus.dataset(table).get_fragments()]
            self._digests[table] = digest(*parts, str(self.corpus.path.resolve()))
        return self._digests[table]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def link(self, unit: str) -> NDArray[np.int32]:
        """For each pair the row of its image or document; -1 where it has none."""
        key = ("link", unit, self._link_digest(unit))
        made = self.prepared.get(key, f"which pair belongs to which {unit}", lambda: self._link(unit))
        return made  # type: ignore[no-any-return]

    def _link_digest(self, unit: str) -> str:
        if LINKS[unit] not in self._digests:
            content = self.corpus.content("pairs", LINKS[unit])
            self._digests[LINKS[unit]] = digest(self.rows_digest("pairs"), self.rows_digest(UNITS[unit]), content)
        return self._digests[LINKS[unit]]

    def _link(self, unit: str) -> NDArray[np.int32]:
        file = self.folder / f"pair-{unit}-{self._link_digest(unit)}.npy"
        if not file.exists():
            index = self.index(unit)
            reader = scan_dataset(self.corpus.dataset("pairs"), [LINKS[unit]], rows=CHUNK_ROWS)
            made = np.concatenate(
                [np.empty(0, np.int32), *(index.rows(batch.column(0)).astype(np.int32) for batch in reader)]
            )
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                save_array(file, made)
            except OSError:
                return made
        return np.load(file, mmap_mode="r")  # type: ignore[no-any-return]

    def is_linked(self, unit: str) -> bool:
        """Whether pairs know what of this unit they belong to."""
        return LINKS[unit] in self.corpus.current_columns("pairs")

    def pairs_of(self, unit: str, rows: Sequence[int] | NDArray[np.integer[Any]]) -> list[NDArray[np.int64]]:
        """For each row of images or documents, the rows of its pairs in their order."""
        if not self.is_linked(unit):
            return [np.empty(0, np.int64) for _ in rows]
        key = ("pairs of", unit, self._link_digest(unit))
        order, ends = self.prepared.get(key, f"the texts of {unit}s", lambda: self._pairs_by(unit))
        return [order[ends[row] : ends[row + 1]].astype(np.int64) for row in rows]

    def _pairs_by(self, unit: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        link = np.asarray(self.link(unit))
        order = np.argsort(link, kind="stable").astype(np.int32)
        counts = np.bincount(link[link >= 0], minlength=self.num_rows(unit))
        ends = np.concatenate([[0], np.cumsum(counts)]) + int((link < 0).sum())
        return order, ends

    def rows_of(self, unit: str, ids: Sequence[str]) -> NDArray[np.int64]:
        """Rows of ids; -1 for those that are not there."""
        return self.index(unit).rows(pa.array(ids, pa.string()))

    def take(self, unit: str, rows: Sequence[int] | NDArray[np.integer[Any]], names: Sequence[str]) -> pa.Table:
        """Columns of some rows of a unit, by the names that rules use, in the order asked for."""
        columns = [self.column(unit, name) for name in names]
        own = [column for column in columns if column.table == UNITS[unit]]
        places = np.asarray(rows, np.int64)
        taken = self.taken(UNITS[unit], places, [column.stored for column in own])
        arrays = {column.name: taken[column.stored] for column in own}
        for other in LINKS:
            theirs = [column for column in columns if column.table == UNITS[other] and column not in own]
            if theirs:
                arrays |= self._followed(other, places, theirs)
        return pa.table({name: arrays[name] for name in names})

    def _followed(self, unit: str, rows: NDArray[np.int64], columns: Sequence[Column]) -> Mapping[str, pa.Array]:
        theirs = np.asarray(self.link(unit)[rows], np.int64)
        known = theirs >= 0
        taken = self.taken(UNITS[unit], theirs[known], [column.stored for column in columns])
        places = np.full(len(rows), -1, np.int64)
        places[known] = np.arange(known.sum())
        at = pa.array(places, mask=~known)
        return {column.name: taken[column.stored].combine_chunks().take(at) for column in columns}

    def taken(self, table: str, rows: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Stored columns of some rows of a table, in the order asked for."""
        dataset = self.corpus.dataset(table)
        if not len(rows) or not columns:
            return pa.schema([pa.field(name, dataset.schema.field(name).type) for name in columns]).empty_table()
        unique, back = np.unique(rows, return_inverse=True)
        return dataset.take(unique.tolist(), columns=list(columns)).take(pa.array(back))

    def picture(self, image_id: str) -> bytes | None:
        """The original bytes of an image; None where there is none of that id."""
        (row,) = self.index("image").rows(pa.array([image_id], pa.string())).tolist()
        if row < 0:
            return None
        ((_, data),) = self.corpus.dataset("images").read_blobs("bytes", indices=[row], preserve_order=True)
        return None if data is None else bytes(data)

    def is_large(self, column: Column) -> bool:
        """Whether all values of a column would take more memory than there is for them, as far as some rows tell."""
        key = (column.table, column.stored)
        if key not in self._large:
            total = self.corpus.count(column.table)
            rows = np.unique(np.linspace(0, max(total - 1, 0), min(SIZED, total)).astype(np.int64))
            num_bytes = self.taken(column.table, rows, [column.stored]).nbytes
            self._large[key] = num_bytes * total > LARGE_BYTES * max(len(rows), 1)
        return self._large[key]

    def whole(self, column: Column) -> pa.ChunkedArray:
        """All values of a column of images or documents; the most recently used of them stay in memory."""
        key = (column.table, column.stored)
        with self._lock:
            if key in self._columns:
                self._columns.move_to_end(key)
                return self._columns[key]
        read = scan_dataset(self.corpus.dataset(column.table), [column.stored], rows=CHUNK_ROWS).read_all()
        values = read[column.stored].combine_chunks()
        with self._lock:
            self._columns[key] = values
            while len(self._columns) > 1 and sum(each.nbytes for each in self._columns.values()) > COLUMN_BYTES:
                self._columns.popitem(last=False)
        return values

    def remembered(self, key: Hashable, make: Callable[[], Small]) -> Small:
        """A small value that several parts of a page ask for; the last `REMEMBERED` that were made stay in memory."""
        with self._lock:
            if key in self._small:
                return cast(Small, self._small[key])
        made = make()
        with self._lock:
            self._small[key] = made
            while len(self._small) > REMEMBERED:
                self._small.popitem(last=False)
        return made

    # What selections said ---------------------------------------------------------------------------------------

    def selection(self, name: str) -> Selection:
        """A selection by its name; `UsageError` with the nearest one."""
        return selection_named(self.selections, name)

    def ledger(self, name: str) -> Ledger:
        """A selection's ledger, judged where it is out of date."""
        apart = self.num_rows(self.selection(name).unit) > JUDGED_HERE

        def make() -> Ledger:
            if apart:
                judge_apart(self.corpus.path, name)
            return Ledger.open_or_judge(self.corpus, name, self.selections)

        key = ("ledger", name, *self.version.values())
        fresh = self.prepared.get(
            ("stored", *key), f"the verdicts of {name}", lambda: Ledger.stored(self.corpus, name, self.selections)
        )
        made = fresh or self.prepared.get(key, f"the verdicts of {name}", make, slow=apart)
        return made  # type: ignore[no-any-return]

    def verdicts(self, name: str) -> NDArray[np.int16]:
        """What a selection said of every row of its unit: `KEPT`, 0 (taken down), or the step that refused it."""
        ledger = self.ledger(name)
        key = ("verdicts", name, ledger.fingerprint)
        made = self.prepared.get(key, f"the verdicts of {name}", lambda: self._verdicts(ledger))
        return made  # type: ignore[no-any-return]

    def _verdicts(self, ledger: Ledger) -> NDArray[np.int16]:
        """A ledger lies in the order of ids, as the index of the table does: place by place they are the same rows."""
        index = self.index(ledger.selection.unit)
        verdicts = np.empty(ledger.num_rows, np.int16)
        start = 0
        with pq.ParquetFile(ledger.file.path) as file:
            for batch in file.iter_batches(columns=["step"], batch_size=CHUNK_ROWS):
                steps = batch.column(0).fill_null(KEPT).to_numpy()
                verdicts[np.asarray(index.positions[start : start + len(steps)])] = steps
                start += len(steps)
        index.release()
        return verdicts

    def gone(self, unit: str) -> NDArray[np.bool_] | None:
        """Which rows were taken down; None where nothing was."""
        if not self.corpus.count("tombstones"):
            return None

        def make() -> NDArray[np.bool_]:
            taken_down = np.zeros(self.num_rows(unit), bool)
            index = self.index(unit)
            standing = Standing(self.corpus, unit)
            for batch in scan_dataset(self.corpus.dataset(UNITS[unit]), [TABLES[UNITS[unit]].key], rows=CHUNK_ROWS):
                keys = batch.column(0)
                taken_down[index.rows(keys)[standing.codes(keys) == TAKEN_DOWN]] = True
            return taken_down

        made = self.prepared.get(("gone", unit, *self.version.values()), "what was taken down", make)
        return made  # type: ignore[no-any-return]

    def id_of(self, unit: str, row: int) -> str:
        """The id of a row."""
        key = TABLES[UNITS[unit]].key
        return str(self.taken(UNITS[unit], np.array([row]), [key])[key][0].as_py())


def judge_apart(path: Path, name: str) -> None:
    """Bring a ledger up to date in a process of its own, which gives back the memory that sorting millions of rows
    takes. If it fails, whoever opens the ledger judges again and learns why."""
    code = "from tuwen.cli import script; script()"
    command = [sys.executable, "-c", code, "funnel", str(path), "--selection", name, "--json"]
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Explored:
    """The corpus that is being looked at: its newest snapshot, looked for at most every other second."""

    EVERY_S = 2.0

    def __init__(self, path: str | Path, prepared: Prepared | None = None) -> None:
        self.corpus = Corpus.open(path)
        self.prepared = Prepared() if prepared is None else prepared
        self._lock = threading.Lock()
        self._session: Any = lance.Session(  # type: ignore[attr-defined]
            index_cache_size_bytes=INDEX_BYTES, metadata_cache_size_bytes=METADATA_BYTES
        )
        self._stamp = self._now()
        self._snapshot = Snapshot(self.corpus, self.prepared, self._session)
        self._looked = 0.0

    def snapshot(self) -> Snapshot:
        """The corpus as it is now."""
        with self._lock:
            if time.monotonic() - self._looked > self.EVERY_S:
                if self._now() != self._stamp:
                    self._renew()
                self._looked = time.monotonic()
        return self._snapshot

    def has_moved_on(self, snapshot: Snapshot) -> bool:
        """Whether the corpus is no longer as in `snapshot`, so that what was read for it may be gone."""
        with self._lock:
            if self._snapshot is snapshot and self._now() != self._stamp:
                self._renew()
            return self._snapshot is not snapshot

    def _now(self) -> tuple[object, ...]:
        """What differs when the corpus does: tables, and selections, which no table tells of."""
        places = [self.corpus.path / "recipe.json", *sorted((self.corpus.path / FOLDER).glob("*.yaml"))]
        return self.corpus.version(), *((place.name, _modified(place)) for place in places)

    def renew(self) -> None:
        """Look at once: something was written that no table tells of, a saved selection for instance."""
        with self._lock:
            self._renew()

    def _renew(self) -> None:
        self.prepared = self.prepared.renewed()
        self._stamp = self._now()
        self._snapshot = Snapshot(self.corpus, self.prepared, self._session)


def _modified(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino
