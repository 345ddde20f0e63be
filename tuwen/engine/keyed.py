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

import csv
import io
import itertools
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tuwen.engine.arrays import open_arrays
from tuwen.engine.keyed_text import text_batches, text_schema, told
from tuwen.errors import TuwenError, UsageError
from tuwen.files import is_special

BATCH_ROWS = 32_768
BATCH_BYTES = 16 << 20  # of a batch with embeddings
KEY = "key"  # of a list of ids, which has no header
_PACKED = (".gz", ".zst")
_DAMAGE: tuple[type[Exception], ...] = (  # whatever a library raises for bytes that are not what they should be
    *(pa.ArrowException, OSError, ValueError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, csv.Error),
)
_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson")
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
        if is_special(path):
            raise UsageError(f"{path} is no regular file; write what it gives into one")
        paths = (path,) if path.is_file() else tuple(sorted(p for p in path.iterdir() if _format(p)))
        for file in paths:
            if any("\ud800" <= letter <= "\udfff" for letter in str(file)):
                raise UsageError(f"the name of {str(file)!a} is not UTF-8; rename it")
            if not file.stat().st_size:
                raise UsageError(f"{file} is empty: it holds no rows")
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

    @property
    def are_untyped(self) -> bool:
        """Whether keys are text whatever they look like."""
        return _format(self.paths[0]) in (".csv", ".tsv")

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the first file; for embeddings and ids without names of their own, `key` and the file's stem.

        The types of a CSV are told by all files.
        """
        with _damage_told(self.paths[0]):
            schema = self._schema(self.paths[0])
        if twice := next((name for name in schema.names if schema.names.count(name) > 1), None):
            raise UsageError(f"{self.paths[0]} has two columns {twice!r}; give each a name of its own")
        return schema

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
        return text_schema(self.paths)

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

    def batches(self, key: str, columns: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """The key and then `columns`, batch by batch, in the types that are asked for; `key` has its own, in CSV text.

        Raises `UsageError` for values that a type cannot hold.
        """
        wanted = [key, *columns]
        for path in self.paths:
            with _damage_told(path):
                for batch in self._of_file(path, wanted):
                    cast = [_cast(batch[name], kind, f"{path}: {name}") for name, kind in columns.items()]
                    yield pa.record_batch([batch[key], *cast], names=wanted)

    def _of_file(self, path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
        kind = _format(path)
        if kind == ".txt":
            yield from _lines(path)
        elif kind == ".npy" and self.keys is None:
            yield from _arrays(path, KEY)
        elif kind == ".npy":
            assert self.keys is not None
            listed = KeyedFiles((self.keys,))
            kinds = {name: listed.schema.field(name).type for name in wanted[1:] if name != path.stem}
            rows = listed.batches(wanted[0], kinds)
            yield from _beside(rows, path, wanted)
        elif kind == ".parquet":
            names = set(pq.read_schema(path).names)
            beside = _sidecar(path)
            if missing := [name for name in wanted if name not in names and not beside]:
                raise UsageError(f"{path} has no column {missing[0]!r}, which {self.paths[0].name} has")
            with pq.ParquetFile(path) as file:
                rows = file.iter_batches(_rows_at_once(file), columns=[name for name in wanted if name in names])
                yield from _beside(rows, beside, wanted) if beside else rows
        else:
            key, *others = wanted
            fields = [pa.field(key, pa.string()), *(self.schema.field(name) for name in others)]
            yield from text_batches(path, pa.schema(fields), self.paths[0])


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Damage as an error that names the file."""
    try:
        yield
    except TuwenError:
        raise
    except _DAMAGE as error:
        raise TuwenError(f"{path} cannot be read: {told(error)}") from error


def _format(path: Path) -> str:
    """Extension that says how to read a file, without that of its compression; empty: it cannot be joined."""
    suffix = path.suffix.lower()
    if suffix in _PACKED:
        suffix = Path(path.stem).suffix.lower()
        return suffix if suffix in (*_TEXT, ".txt") else ""
    return suffix if suffix in (".parquet", ".npy", ".txt", *_TEXT) and not path.name.startswith(".") else ""


def _rows_at_once(file: pq.ParquetFile) -> int:
    """So many rows that a batch with all columns has about `BATCH_BYTES`."""
    groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    widest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, widest)))


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
        width = 1 + sum(array.row_bytes for array in streams.values())
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


def vectors(files: KeyedFiles, key: str, columns: Sequence[str]) -> dict[str, int]:
    """Length of the lists of each column of numbers whose lists are all equally long: those are vectors."""
    lengths: dict[str, set[int]] = {
        name: set()
        for name in columns
        if _is_list(kind := files.schema.field(name).type) and pa.types.is_floating(kind.value_type)
    }
    kinds = {name: files.schema.field(name).type for name in lengths}
    for batch in files.batches(key, kinds) if lengths else ():
        for name, found in lengths.items():
            found.update(pc.unique(pc.list_value_length(batch[name].drop_null())).to_pylist())
    return {name: found.pop() for name, found in lengths.items() if len(found) == 1 and found != {0}}


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _cast(column: pa.Array, kind: pa.DataType, where: str) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        if pa.types.is_integer(kind.value_type) and column.drop_null().flatten().null_count:
            raise UsageError(f"{where} has a null inside a vector of whole numbers, which can hold none; store lists")
        if pa.types.is_large_list(column.type):
            column = column.cast(pa.list_(column.type.value_type))
    if column.type == kind:
        return column
    try:
        return column.cast(kind)
    except pa.ArrowException as error:  # another file of the folder, or a decimal beyond all doubles
        raise UsageError(
            f"{where} is {column.type} in place of {kind}, and {told(error)}; give all files one type, "
            "or leave the column out with --columns"
        ) from error
