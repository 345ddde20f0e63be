"""CSV, TSV and JSON lines as `tuwen join` takes them, plain or as `.gz` or `.zst`. Nothing about them is guessed.

CSV: the first line names the columns; fields are separated by `,`, or by `;` where that line has no comma, and in TSV
by tabs; `"` quotes. A column is of whole numbers, numbers or true and false if all its values in all files are, else
text: numbers with leading zeros, dates and times of day are text. Empty is null. A row with another number of fields
is an error. JSON says itself what its values are; texts that look like dates or UUIDs stay texts.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tuwen.errors import TuwenError, UsageError
from tuwen.selections.tree import literal, quoted

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 2_048  # what DuckDB reads at once: lists in JSON may be long
HEADER_BYTES = 1 << 20
_WHOLE = r" *[+-]?(0|[1-9]\d*) *"
_NUMBER = r" *[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)? *|[+-]?(?i:nan|inf|infinity)"
_TRUTH = "(?i:true|false)"
_TYPES = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "VARCHAR": pa.string()}
_TEXTS_IN_JSON = {"date", "time", "timestamp", "uuid", '"null"'}  # as which DuckDB would read texts, and no value


def text_schema(paths: Sequence[Path]) -> pa.Schema:
    """Columns of text files of one format: those of the first; the types of a CSV are told by all."""
    first, *others = paths
    if _is_json(first):
        with _connected(first) as connection:
            return _arrow(connection.sql(_json(connection, first)))
    kinds = _kinds(first)
    for path in others:
        found = _kinds(path)
        for name in kinds:
            _refuse_missing(path, name, found, first)
            kinds[name] = _both(kinds[name], found[name])
    return pa.schema([(name, _TYPES[kind or "VARCHAR"]) for name, kind in kinds.items()])


def text_batches(path: Path, wanted: pa.Schema, first: Path) -> Iterator[pa.RecordBatch]:
    """The columns of `wanted`, which `first` has: those of a CSV in these types, of JSON in their own."""
    with _connected(path) as connection:
        if _is_json(path):
            query, names = _json(connection, path), None
            known = connection.sql(query).columns
            chosen = {name: quoted(name) for name in wanted.names}
        else:
            query, known = _csv(path)
            names = {kind: name for name, kind in _TYPES.items()}
            chosen = {
                field.name: f"CAST(c{known.index(field.name)} AS {names[field.type]})"
                for field in wanted
                if field.name in known
            }
        for name in wanted.names:
            _refuse_missing(path, name, known, first)
        columns = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate(chosen.values()))
        for batch in connection.sql(f"SELECT {columns} FROM ({query})").to_arrow_reader(BATCH_ROWS):
            yield batch.rename_columns(wanted.names)


def told(error: BaseException) -> str:
    """What a library says of a file, without its advice to programmers, in one line."""
    lines = itertools.takewhile(lambda line: not line.startswith("Possible"), str(error).splitlines())
    text = "; ".join(line.strip()[:160] for line in lines if line.strip())
    return text.removeprefix("Invalid Input Error: ")[:480] or type(error).__name__


def _is_json(path: Path) -> bool:
    return not {".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes[-2:]}


@contextmanager
def _connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "1"})
    try:
        yield connection
    except duckdb.Error as error:
        hint = "; the first line names the columns" if "Expected Number of Columns" in str(error) else ""
        raise TuwenError(f"{path} cannot be read: {told(error)}{hint}") from error
    finally:
        connection.close()


def _here(path: Path) -> str:
    """The path for DuckDB, which takes it for a pattern, and `a=b` in it for a column."""
    name = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
    return f"{literal(name)}, hive_partitioning = false, filename = false"


def _csv(path: Path) -> tuple[str, list[str]]:
    """A query for all fields as texts c0, c1 …, and their names."""
    separator, names = _header(path)
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
    return (
        f"SELECT * FROM read_csv({_here(path)}, auto_detect = false, header = true, delim = {literal(separator)}, "
        f"quote = '\"', escape = '\"', comment = '', strict_mode = true, columns = {{{columns}}})"
    ), names


def _header(path: Path) -> tuple[str, list[str]]:
    """Separator and names."""
    with pa.input_stream(str(path), compression="detect") as stream:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(stream.read(HEADER_BYTES))
    is_tsv = ".tsv" in {suffix.lower() for suffix in path.suffixes[-2:]}
    names: list[str] = []
    for separator in "\t" if is_tsv else ",;":
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        if len(names) > 1:
            break
    else:
        separator = "\t" if is_tsv else ","
    if not names:
        raise UsageError(f"{path} holds no rows; its first line has to name the columns")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{path} has two columns {twice!r}; give each a name of its own")
    return separator, names


def _kinds(path: Path) -> dict[str, str]:
    """DuckDB's type of each column of a CSV; empty for one without values."""
    query, names = _csv(path)
    checks = []
    for place in range(len(names)):
        column = f"c{place}"
        fits = f"TRY_CAST({column} AS BIGINT) IS NOT NULL"
        whole = f"regexp_full_match({column}, {literal(_WHOLE)})"
        checks += [
            f"count({column})",
            f"bool_and({whole} AND {fits}) FILTER ({column} IS NOT NULL)",
            f"bool_and(regexp_full_match({column}, {literal(_NUMBER)}) AND (NOT {whole} OR {fits})) "
            f"FILTER ({column} IS NOT NULL)",  # digits that are too many for a number are an id
            f"bool_and(regexp_full_match({column}, {literal(_TRUTH)})) FILTER ({column} IS NOT NULL)",
        ]
    with _connected(path) as connection:
        (found,) = connection.sql(f"SELECT {', '.join(checks)} FROM ({query})").fetchall()
    kinds = {}
    for place, name in enumerate(names):
        count, whole, number, truth = found[4 * place : 4 * place + 4]
        kinds[name] = (
            "" if not count else "BIGINT" if whole else "DOUBLE" if number else "BOOLEAN" if truth else "VARCHAR"
        )
    return kinds


def _both(one: str, other: str) -> str:
    """The type that holds the values of both."""
    if one == other or not other:
        return one
    if not one:
        return other
    return "DOUBLE" if {one, other} == {"BIGINT", "DOUBLE"} else "VARCHAR"


def _json(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """A query for all fields, their types told by the whole file."""
    read = f"read_json({_here(path)}, format = 'newline_delimited'"
    found = connection.sql(f"SELECT * FROM {read}, sample_size = -1)")
    types = ", ".join(
        f"{literal(n)}: {literal(_json_type(t))}" for n, t in zip(found.columns, found.types, strict=True)
    )
    return f"SELECT * FROM {read}, columns = {{{types}}})"


def _json_type(kind: Any) -> str:
    """DuckDB's name of a type, in which texts are texts."""
    if kind.id == "list":
        return f"{_json_type(kind.children[0][1])}[]"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {_json_type(part)}' for name, part in kind.children)})"
    return "VARCHAR" if kind.id in _TEXTS_IN_JSON else str(kind)


def _arrow(relation: duckdb.DuckDBPyRelation) -> pa.Schema:
    schema: pa.Schema = relation.limit(0).to_arrow_table().schema
    return schema


def _refuse_missing(path: Path, name: str, known: Sequence[str] | dict[str, str], first: Path) -> None:
    if name not in known:
        raise UsageError(f"{path} has no column {name!r}, which {first.name} has")
