"""A corpus: one folder of Lance tables, opened for reading or, under a lock, for writing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lance
import pyarrow as pa

from tuwen.corpus.content import ContentDigest
from tuwen.corpus.keys import KeyIndex
from tuwen.corpus.readable import spill_folder
from tuwen.corpus.scanning import SCAN_ROWS, Stored, scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.errors import TuwenError, UsageError, first_line
from tuwen.files import is_special, regular

if TYPE_CHECKING:
    import duckdb

FORMAT = 2
STORAGE_VERSION: Final = "2.2"
STAGE_KEY = b"tuwen:stage"
DEFAULT_MEMORY = "2GB"
NARROW_MEMORY = "150MB"
"""Enough for queries over narrow rows, which hold keys and numbers: a million take 0.7 GB if they may, and a third
more CPU if they may not."""
LOCK, CREATING = ".lock", ".creating"


class Corpus:
    """The tables of one corpus folder.

    `Corpus.open(path)` reads; `Corpus.create(path)` makes the folder when it is not there. Reading always sees the
    latest committed version of each table, or the one it was opened at (`Corpus.open(path, version=3)`).
    """

    def __init__(
        self,
        path: Path,
        versions: Mapping[str, int] | None = None,
        session: Any = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._versions = versions
        self._session = session
        self._recipe = recipe  # that `versions` were made by; None: whatever the last build had
        self._opened: dict[str, lance.LanceDataset] = {}  # of a corpus that stays as it is

    def __repr__(self) -> str:
        rows = ", ".join(f"{self.count(name)} {name}" for name in ("documents", "images", "pairs"))
        return f"<Corpus {self.path}: {rows}>"

    @classmethod
    def create(cls, path: str | Path) -> Corpus:
        """Open the corpus at `path`, making an empty one if there is none."""
        path = Path(path)
        if (path / "corpus.json").exists():
            return cls.open(path)
        path.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            marker = path / CREATING
            if not (path / "corpus.json").exists():
                strangers = [entry for entry in path.iterdir() if entry.name not in (CREATING, LOCK)]
                if strangers and not marker.exists():
                    raise UsageError(f"{path} is not empty and holds no corpus; name a new folder")
                marker.touch()  # until it is gone, everything here is ours and unfinished
                for entry in strangers:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                for name, table in TABLES.items():
                    lance.write_dataset(
                        stored_schema(table.schema, table.blobs).empty_table(),
                        str(path / f"{name}.lance"),
                        data_storage_version=STORAGE_VERSION,
                    )
                write_json(path / "corpus.json", {"format": FORMAT})
            marker.unlink(missing_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path, version: int | None = None) -> Corpus:
        """Open an existing corpus, at a numbered corpus version or (default) at its latest state."""
        path = Path(path)
        if not (path / "corpus.json").is_file():
            raise UsageError(f"{path} holds no corpus; `tuwen build RECIPE --corpus {path}` makes one")
        described = read_json(path / "corpus.json")
        check_format(path, described.get("format"))
        if version is None:
            return cls(path)
        from tuwen.corpus.versions import read_version

        return cls(path, read_version(path, version)["tables"])

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the corpus' write lock. A second writer fails at once instead of waiting for hours."""
        with _locked(self.path):
            yield

    def folder(self, name: str) -> Path:
        """A folder of the corpus beside its tables (tmp, ledgers, states, logs), made when it is not there."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    # Reading ----------------------------------------------------------------------------------------------------

    def dataset(self, table: str) -> lance.LanceDataset:
        """The Lance dataset of a table, for whatever this class does not offer."""
        if table not in TABLES:
            raise UsageError(f"no table {table!r}; a corpus has {', '.join(TABLES)}")
        if table in self._opened:
            return self._opened[table]
        version = self._versions[table] if self._versions else None
        try:
            dataset = lance.dataset(str(self.path / f"{table}.lance"), version=version, session=self._session)
        except ValueError as error:
            raise TuwenError(
                f"the table {table} of {self.path} is missing or damaged: {first_line(error)}; "
                f"tuwen repair {self.path} says what can be done about it"
            ) from error
        if self._versions:
            self._opened[table] = dataset
        return dataset

    def pinned(self, session: Any = None) -> Corpus:
        """The corpus as it is now: later commits stay unseen, later recipes too. `session`: Lance's, with bounds to its
        caches."""
        return Corpus(self.path, self.version(), session or self._session, self.recipe())

    def schema(self, table: str) -> pa.Schema:
        """Arrow schema of the table as it is read: base columns and whatever stages have added."""
        schema = self.dataset(table).schema
        for name in TABLES[table].blobs:
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.large_binary()))
        return schema

    def columns(self, table: str) -> dict[str, str | None]:
        """Column name → name of the stage that wrote it; None for base columns."""
        written = {}
        for field in self.dataset(table).schema:
            stage = (field.metadata or {}).get(STAGE_KEY)
            written[field.name] = stage.decode() if stage else None
        return written

    def current_columns(self, table: str) -> dict[str, str | None]:
        """As `columns`, without those of stages that the recipe no longer names: nobody keeps them up to date.

        Columns of joins count as long as the join is there.
        """
        from tuwen.corpus.joins import joins_of

        if self.recipe().get("stages") is None:
            return self.columns(table)
        named = self.named_stages() | {join.stage for join in joins_of(self.path)}
        return {name: stage for name, stage in self.columns(table).items() if stage is None or stage in named}

    def named_stages(self) -> set[str]:
        """Names of the stages in the recipe of the last build, whether it came to its end or not."""
        stages = self.recipe().get("stages") or ()
        return {name for entry in stages for name in ([entry] if isinstance(entry, str) else entry)}

    def count(self, table: str) -> int:
        """Number of rows."""
        return int(self.dataset(table).count_rows())

    def scan(self, table: str, columns: Sequence[str] | None = None, where: str | None = None) -> pa.RecordBatchReader:
        """Stream columns (default: all but image bytes), in storage order; `where` is a Lance filter expression."""
        return scan_dataset(self.dataset(table), list(columns or self._narrow(table)), where)

    def _narrow(self, table: str) -> list[str]:
        return [name for name in self.dataset(table).schema.names if name not in TABLES[table].blobs]

    def table(self, name: str, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """As `scan`, read into memory."""
        return self.scan(name, columns, where).read_all()

    def images(self, ids: Sequence[str]) -> list[bytes | None]:
        """Original bytes of images, in the order asked for; None for an unknown id."""
        dataset = self.dataset("images")
        positions = self._positions().find(ids)
        known = [position for position in positions if position >= 0]
        read = dataset.read_blobs("bytes", indices=known, preserve_order=True) if known else []
        found = {position: data for position, (_, data) in zip(known, read, strict=True)}
        return [found.get(position) for position in positions]

    def _positions(self) -> KeyIndex:
        dataset = self.dataset("images")
        cached = getattr(self, "_image_positions", None)
        if cached is None or cached[0] != dataset.version:
            cached = (dataset.version, KeyIndex.of(scan_dataset(dataset, ["image_id"])))
            self._image_positions = cached
        return cached[1]

    def version(self) -> dict[str, int]:
        """Table → Lance version. Changes whenever anything is committed."""
        return {name: int(self.dataset(name).version) for name in TABLES}

    def content(self, table: str, column: str) -> str:
        """Digest of a column over the whole table, from what is recorded with its fragments."""
        from tuwen.corpus.columns import TableState

        return TableState.read(self, table).content(column)

    def recipe(self) -> dict[str, Any]:
        """The recipe of the last build, as plain values; empty before the first. A pinned corpus keeps it."""
        if self._recipe is not None:
            return dict(self._recipe)
        path = self.path / "recipe.json"
        return read_json(path) if path.exists() else {}

    # SQL --------------------------------------------------------------------------------------------------------

    @contextmanager
    def connect(self, memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection in memory that spills into the corpus' tmp folder beyond `memory` (e.g. "2GB")."""
        spill = spill_folder(self.path)
        connection = _connect(spill, memory)
        try:
            yield connection
        finally:
            connection.close()
            shutil.rmtree(spill, ignore_errors=True)

    def relation(self, table: str, columns: Sequence[str] | None = None) -> duckdb.DuckDBPyRelation:
        """A table (default: all columns but image bytes) as a lazy DuckDB relation, for notebooks.

        `corpus.relation("pairs").aggregate("language, count(*)").df()`; nothing is read before a result is asked for.
        """
        connection = _connect(spill_folder(self.path))
        connection.register(table, self.stored(table, columns or self._narrow(table)))
        return connection.sql(f'select * from "{table}"')

    def stored(self, table: str, columns: Sequence[str]) -> Stored:
        """Columns of a table for `connection.register(name, …)`."""
        return Stored(self.dataset(table), list(columns))

    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        """Stream the result of a DuckDB query over the named tables, of which it sees only the named columns.

        It is meant for narrow rows, keys and numbers: beyond 150 MB it spills to disk. For others: `connect`.
        """
        results = self._run(query, columns)
        schema = next(results)
        return pa.RecordBatchReader.from_batches(schema, results)

    def _run(self, query: str, columns: Mapping[str, Sequence[str]]) -> Iterator[pa.Schema | pa.RecordBatch]:
        with self.connect(narrow_memory()) as connection:
            connection.execute("SET threads = 1")  # each thread sorts in memory of its own
            for table, names in columns.items():
                connection.register(table, self.stored(table, names))
            reader = connection.sql(query).to_arrow_reader(SCAN_ROWS)
            yield reader.schema
            yield from reader
            del reader


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with regular(path / LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TuwenError(f"{path} is being written by another tuwen; wait until it has finished") from None
        yield


def narrow_memory() -> str:
    """Memory for a query over narrow rows, unless the environment says how much there is."""
    return os.environ.get("TUWEN_MEMORY", NARROW_MEMORY)


def _connect(spill: Path, memory: str | None = None) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory or os.environ.get("TUWEN_MEMORY", DEFAULT_MEMORY),
            "temp_directory": str(spill),
            "threads": "2",
            "autoinstall_known_extensions": "false",  # nothing is ever installed at run time
        },
    )
    connection.execute("SET enable_progress_bar = false")  # it would draw into the output of whoever waits
    return connection


def stored_schema(schema: pa.Schema, blobs: Sequence[str]) -> pa.Schema:
    """The schema that Lance stores: large binary columns in `blobs` become Lance blobs."""
    for name in blobs:
        schema = schema.set(schema.get_field_index(name), lance.blob_field(name))
    return schema


def check_format(path: Path, found: object) -> None:
    """Refuse a corpus of another format with what to do about it."""
    if found == FORMAT:
        return
    if isinstance(found, int) and found > FORMAT:
        raise TuwenError(
            f"{path} has corpus format {found}, this tuwen writes {FORMAT}; run: pip install --upgrade tuwen"
        )
    raise TuwenError(
        f"{path} has corpus format {found!r}, which this tuwen ({FORMAT}) cannot migrate; "
        "export it with the tuwen that wrote it (`tuwen export DIR --to parquet`) and import it with this one"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; `TuwenError` when it is damaged, or no regular file (reading a FIFO would wait)."""
    try:
        if is_special(path) or path.is_dir():
            raise ValueError("it is no regular file")
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
        problem = f"it holds {type(value).__name__}, not an object"
    except ValueError as error:
        problem = str(error)
    raise TuwenError(f"{path} is damaged: {problem}; put back a copy, or build the corpus anew")


def write_json(path: Path, value: object, *, sort_keys: bool = True) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one, even after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")  # the explorer has threads
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(value, stream, ensure_ascii=False, indent=1, sort_keys=sort_keys)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:  # a full disk: half a file of ours would fill it further
        temporary.unlink(missing_ok=True)
        raise


def table_digest(batches: pa.RecordBatchReader) -> str:
    """Content digest of a stream of batches."""
    running = ContentDigest()
    for batch in batches:
        running.update(batch)
    return running.hexdigest()
