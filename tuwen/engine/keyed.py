"""Files of rows with a key, as `tuwen join` takes them: tables, embeddings and lists of ids, read in batches.

| what | files |
|---|---|
| table | Parquet, CSV, TSV, JSON lines; text formats also as `.gz` or `.zst`; arrays in an `.npz` of the same stem |
| embeddings | `.npy`, with the keys of its rows in a second file |
| ids | `.txt`, one a line; `.npy` with pairs of u8, as DataComp has them; a table without other columns |

A folder stands for all its files, which then are of one format, in the order of their names. DataComp's metadata:
https://github.com/mlfoundations/datacomp
"""

from __future__ import annotations

import io
import itertools
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tuwen.engine.arrays import open_arrays
from tuwen.errors import TuwenError, UsageError
from tuwen.selections.tree import literal

BATCH_ROWS = 32_768
BATCH_BYTES = 16 << 20  # of a batch with embeddings
KEY = "key"  # of a list of ids, which has no header
_PACKED = (".gz", ".zst")
_TEXT = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json"}
_FORMATS = ".parquet, .csv, .tsv, .jsonl, .npy or .txt"


@dataclass(frozen=True)
class KeyedFiles:
    """What a path names: files of one format, and, beside an `.npy`, the file with the keys of its rows."""

    paths: tuple[Path, ...]
    keys: Path | None = None

    @classmethod
    def find(cls, path: Path, keys: Path | None = None) -> KeyedFiles:
        """The files at `path`; `UsageError` for what cannot be joined."""
        if not path.exists():
            raise UsageError(f"{path} is not there")
        paths = (path,) if path.is_file() else tuple(sorted(p for p in path.iterdir() if _format(p)))
        formats = {_format(file) for file in paths}
        if len(formats) != 1 or "" in formats:
            found = ", ".join(sorted(formats - {""})) or "none"
            raise UsageError(f"{path} holds no files of one format that can be joined ({_FORMATS}); found: {found}")
        if keys is not None and formats != {".npy"}:
            raise UsageError(f"--rows gives the keys of an .npy; {path.name} has its own")
        if keys is not None and not keys.is_file():
            raise UsageError(f"{keys} is not there; --rows names the file with the keys of {path.name}")
        return cls(paths, keys)

    @property
    def read(self) -> list[Path]:
        """Every file that the columns come from."""
        beside = [file for path in self.paths if (file := _sidecar(path))]
        return [*self.paths, *beside, *([self.keys] if self.keys else [])]

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the first file; for embeddings and ids without names of their own, `key` and the file's stem."""
        with _damage_told(self.paths[0]):
            return self._schema(self.paths[0])

    def _schema(self, first: Path) -> pa.Schema:
        kind = _format(first)
        if kind == ".txt":
            return pa.schema([(KEY, pa.string())])
        if kind == ".npy":
            return self._array_schema(first)
        if kind == ".parquet":
            schema = pq.read_schema(first)
            with ExitStack() as stack:
                arrays = stack.enter_context(open_arrays(beside)) if (beside := _sidecar(first)) else {}
                for name, array in arrays.items():
                    schema = schema.append(pa.field(name, array.type))
            return pa.schema([pa.field(field.name, field.type) for field in schema])
        with _reading(first, None) as reader:
            return pa.schema(reader.schema)

    def _array_schema(self, path: Path) -> pa.Schema:
        with open_arrays(path) as arrays:
            (array,) = arrays.values()
            if array.is_ids and self.keys is None:
                return pa.schema([(KEY, array.type)])
            if self.keys is None:
                raise UsageError(
                    f"{path} has no keys; name the file with the keys of its {array.shape[0]} rows, in their order: "
                    "--rows FILE.parquet, or .txt with one a line"
                )
            named = KeyedFiles((self.keys,)).schema
            return pa.schema([*named, pa.field(path.stem, array.type)])

    def batches(self, key: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The key and then `columns`, batch by batch, in the types of `schema`; `key` keeps its own in text formats."""
        wanted = [key, *columns]
        for path in self.paths:
            with _damage_told(path):
                for batch in self._of_file(path, wanted):
                    yield pa.record_batch([batch[name] for name in wanted], names=wanted)

    def _of_file(self, path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
        kind = _format(path)
        if kind == ".txt":
            yield from _lines(path)
        elif kind == ".npy" and self.keys is None:
            yield from _arrays(path, KEY)
        elif kind == ".npy":
            assert self.keys is not None
            rows = KeyedFiles((self.keys,)).batches(wanted[0], [n for n in wanted[1:] if n != path.stem])
            yield from _beside(rows, path, wanted)
        elif kind == ".parquet":
            names = set(pq.read_schema(path).names)
            beside = _sidecar(path)
            if missing := [name for name in wanted if name not in names and not beside]:
                raise UsageError(f"{path} has no column {missing[0]!r}, which {self.paths[0].name} has")
            with pq.ParquetFile(path) as file:
                rows = file.iter_batches(BATCH_ROWS, columns=[name for name in wanted if name in names])
                yield from _beside(rows, beside, wanted) if beside else rows
        else:
            with _reading(path, wanted[0]) as reader:
                yield from reader


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Whatever a library raises for bytes that are not what they should be."""
    try:
        yield
    except TuwenError:
        raise
    except (pa.ArrowException, OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TuwenError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _format(path: Path) -> str:
    """Extension that says how to read a file, without that of its compression; empty: it cannot be joined."""
    suffix = path.suffix.lower()
    if suffix in _PACKED:
        suffix = Path(path.stem).suffix.lower()
        return suffix if suffix in (*_TEXT, ".txt") else ""
    return suffix if suffix in (".parquet", ".npy", ".txt", *_TEXT) and not path.name.startswith(".") else ""


def _sidecar(path: Path) -> Path | None:
    """The arrays that belong to the rows of a Parquet file, as in DataComp's metadata."""
    beside = path.with_suffix(".npz")
    return beside if path.suffix == ".parquet" and beside.is_file() else None


def _lines(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.input_stream(str(path), compression="detect") as packed:
        lines = (line.strip() for line in io.TextIOWrapper(packed, encoding="utf-8-sig"))
        while piece := list(itertools.islice(lines, BATCH_ROWS)):
            yield pa.record_batch([pa.array([line for line in piece if line], pa.string())], names=[KEY])


def _arrays(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    with open_arrays(path) as arrays:
        (array,) = arrays.values()
        for start in range(0, array.shape[0], BATCH_ROWS):
            yield pa.record_batch([array.read(min(BATCH_ROWS, array.shape[0] - start))], names=[name])


def _beside(rows: Iterator[pa.RecordBatch], path: Path, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows with the arrays in `path` that lie row by row beside them."""
    with open_arrays(path) as arrays:
        streams = {name: array for name, array in arrays.items() if name in wanted}
        left = {array.shape[0] for array in streams.values()}
        width = 1 + sum(array.dtype.itemsize * (array.shape[1:] or (1,))[0] for array in streams.values())
        step, num_rows = max(1, min(BATCH_ROWS, BATCH_BYTES // width)), 0
        for whole in rows:
            num_rows += whole.num_rows
            if any(count < num_rows for count in left):
                break
            for start in range(0, whole.num_rows, step):
                batch = whole.slice(start, step)
                for name, array in streams.items():
                    batch = batch.append_column(name, array.read(batch.num_rows))
                yield batch
        if left - {num_rows}:
            raise UsageError(f"{path} has {min(left)} rows where its keys have {num_rows} or more: they do not belong")


@contextmanager
def _reading(path: Path, key: str | None) -> Iterator[pa.RecordBatchReader]:
    """A text file as a stream of batches, its types told by all of it; the column `key` of a CSV stays text."""
    import duckdb

    call = _TEXT[_format(path)]
    options = ["sample_size = -1"]
    if call == "json":
        options.append("format = 'newline_delimited'")
    elif key is not None:  # ids that look like numbers would lose their zeros; JSON says itself what is text
        options.append(f"types = {{{literal(key)}: 'VARCHAR'}}")
    if ".tsv" in path.suffixes:
        options.append("delim = '\t'")
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "1"})
    try:
        query = f"SELECT * FROM read_{call}({literal(str(path))}, {', '.join(options)})"
        yield connection.sql(query).to_arrow_reader(BATCH_ROWS)
    except duckdb.Error as error:
        raise TuwenError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()


def vectors(files: KeyedFiles, key: str, columns: Sequence[str]) -> dict[str, int]:
    """Length of the lists of each column of numbers whose lists are all equally long: those are vectors."""
    lengths: dict[str, set[int]] = {
        name: set()
        for name in columns
        if pa.types.is_list(kind := files.schema.field(name).type) and pa.types.is_floating(kind.value_type)
    }
    for batch in files.batches(key, list(lengths)) if lengths else ():
        for name, found in lengths.items():
            found.update(pc.unique(pc.list_value_length(batch[name].drop_null())).to_pylist())
    return {name: found.pop() for name, found in lengths.items() if len(found) == 1 and found != {0}}
