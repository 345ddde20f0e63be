"""What `tuwen join` is asked to do: which rows of which file, by which key, under which names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.joins import NAME, PREFIX
from tuwen.corpus.tables import ID_CHARACTERS, RESERVED, TABLES
from tuwen.engine.keyed import KeyedFiles, vectors
from tuwen.errors import UsageError
from tuwen.parts import nearest
from tuwen.stages.joined import comparable, is_comparable

# What `--on` may say besides TABLE.COLUMN and columns of pairs: table and column of the corpus.
ON = {
    "image_id": ("images", "image_id"),
    "sha256": ("images", "image_id"),
    "pair_id": ("pairs", "pair_id"),
    "url": ("pairs", "image_ref"),
    "document_id": ("documents", "document_id"),
}
_TABLES = ("pairs", "images", "documents", "fetches")
_RELEASED = {"pairs": "", "images": "image_", "documents": "document_"}  # before columns, where tables are joined


@dataclass(frozen=True)
class JoinRequest:
    """What a join is asked to do, once everything is known by name."""

    files: KeyedFiles
    name: str
    table: str
    on: str  # column of the table
    said: str  # the word after --on
    key: str  # column of the file
    columns: Mapping[str, str]  # column of the file → its name in the corpus; empty: a list of ids
    duplicates: str

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        path: Path,
        said: str,
        *,
        name: str | None,
        columns: Sequence[str] | Mapping[str, str],
        key: str | None,
        rows: Path | None,
        duplicates: str,
    ) -> JoinRequest:
        """Look everything up; `UsageError` names what is not there or cannot be."""
        files = KeyedFiles.find(path, rows)
        table, column = _target(corpus, said)
        if duplicates not in ("refuse", "first"):
            raise UsageError(f"duplicates are refused, or the first is taken (refuse, first), not {duplicates!r}")
        if name is not None and not NAME.fullmatch(name):
            raise UsageError(f"a join's name is a word of letters, digits and _, got {name!r}")
        key = _key_column(files, key or said.rpartition(".")[2])
        _check_key(files, key)
        renamed = _renamed(columns, [field.name for field in files.schema if field.name != key], path)
        request = cls(files, name or _cleaned(path), table, column, said, key, renamed, duplicates)
        _check_names(corpus, request)
        return request

    @property
    def is_list(self) -> bool:
        """Whether the file holds ids alone."""
        return not self.columns

    @property
    def file(self) -> str:
        """Name of the file or folder, for people."""
        first, *others = self.files.paths
        return first.parent.name if others else first.name

    def described(self) -> dict[str, Any]:
        """Equal for equal results: the content of every file, and all that says what to do with it."""
        files = [[file.suffix, _sha256(file)] for file in self.files.read]
        told = {"on": self.said, "key": self.key, "columns": dict(self.columns), "duplicates": self.duplicates}
        return {"files": files, **told}

    def types(self) -> pa.Schema:
        """The columns as they will be: types that every reader knows, lists of equal length as vectors."""
        if self.is_list:
            return pa.schema([(self.name, pa.bool_())])
        lengths = vectors(self.files, self.key, list(self.columns))
        fields = []
        for old, new in self.columns.items():
            kind = _plain(self.files.schema.field(old).type, old)
            if old in lengths:
                item = kind.value_type if pa.types.is_float16(kind.value_type) else pa.float32()
                kind = pa.list_(item, lengths[old])
            fields.append(pa.field(new, kind))
        return pa.schema(fields)

    def rows(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Keys as they are compared, then the columns in the types of `schema`; ids alone come with true."""
        kinds = dict(zip(self.columns, schema.types, strict=True)) if self.columns else {}
        for batch in self.files.batches(self.key, kinds):
            keys = self._comparable(batch.column(0))
            if (self.table, self.on) == ("images", "image_id"):  # an id is the beginning of the SHA-256
                keys = pc.if_else(
                    pc.equal(pc.binary_length(keys), 64), pc.utf8_slice_codeunits(keys, 0, ID_CHARACTERS), keys
                )
            elif self.said == "url":
                keys = _spelled(keys)
            columns = [pa.array(np.ones(batch.num_rows, dtype=bool))] if self.is_list else batch.columns[1:]
            yield pa.record_batch([keys, *columns], names=["key", *(str(place) for place in range(len(columns)))])

    def _comparable(self, keys: pa.Array) -> pa.Array:
        try:
            return comparable(keys)
        except pa.ArrowException as error:
            raise UsageError(
                f"{self.file}: the key {self.key!r} holds bytes that are no text; "
                "store 16 bytes as binary of fixed size, or their hexadecimal digits"
            ) from error


def _target(corpus: Corpus, said: str) -> tuple[str, str]:
    """Table and column that `--on` means."""
    table, dot, column = said.rpartition(".")
    if not dot:
        table, column = ON.get(said, ("pairs", said))
    if table not in _TABLES:
        raise UsageError(f"--on {said}: there is no table {table!r} to join to; {nearest(table, _TABLES)}")
    schema, known = corpus.schema(table), corpus.current_columns(table)
    if column not in known:
        hint = "; a uid comes with the stage pair.given: {columns: {uid: string}}" if column == "uid" else ""
        raise UsageError(f"--on {said}: {table} have no column {column!r}; {nearest(column, [*ON, *known])}{hint}")
    kind = schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
        raise UsageError(f"--on {said}: {table}.{column} is {kind}; a key is text or a whole number")
    return table, column


def _cleaned(path: Path) -> str:
    """A name for the join from that of its file."""
    name = re.sub(r"[^a-z0-9_]+", "_", path.name.split(".")[0].lower()).strip("_")
    if not NAME.fullmatch(name):
        raise UsageError(f"{path.name} makes no name for a join; give one with --as NAME")
    return name


def _key_column(files: KeyedFiles, wanted: str) -> str:
    names = files.schema.names
    if len(names) == 1:
        return str(names[0])
    close = [name for name in names if name.casefold() == wanted.casefold()]
    if wanted in names or len(close) == 1:
        return wanted if wanted in names else close[0]
    first = files.keys or files.paths[0]
    if files.keys is not None and len(names) == 2:  # the keys and the array: nothing else can be meant
        return str(names[0])
    raise UsageError(f"{first} has no column {wanted!r}; name the one with the keys: --key COLUMN ({', '.join(names)})")


def _check_key(files: KeyedFiles, key: str) -> None:
    kind = files.schema.field(key).type
    if not files.are_untyped and not is_comparable(kind):
        raise UsageError(
            f"{files.paths[0]}: the key {key!r} is {kind}; a key is text, a whole number, 16 bytes (also as UUID) "
            "or two unsigned 64-bit numbers"
        )


def _renamed(columns: Sequence[str] | Mapping[str, str], given: list[str], path: Path) -> dict[str, str]:
    """Column of the file → name in the corpus."""
    if not isinstance(columns, Mapping):
        pairs = [word.partition("=") for word in columns]
        olds = [old for old, _, _ in pairs]
        if twice := next((old for old in olds if olds.count(old) > 1), None):
            raise UsageError(f"--columns names {twice!r} twice; a column comes in once, under one name")
        columns = {old: new or old for old, _, new in pairs}
    for old in columns:
        if old not in given:
            raise UsageError(f"{path} has no column {old!r} besides its key; {nearest(old, given)}")
    return dict(columns) or {name: name for name in given}


def _check_names(corpus: Corpus, request: JoinRequest) -> None:
    """No column of that name, in the corpus or where a release puts the tables together."""
    own = f"{PREFIX}{request.name}"
    taken = {
        _in_release(table, name): f"{table}.{name}"
        for table in TABLES
        for name, stage in corpus.columns(table).items()
        if stage != own and (table in _RELEASED or table == request.table)
    }
    found: dict[str, str] = {}
    for old, new in (request.columns or {request.key: request.name}).items():
        if not NAME.fullmatch(new) or new.casefold() in RESERVED or new.casefold().endswith("_error"):
            why = " (Lance has one of its own)" if new.casefold() in RESERVED else ""
            why = " (so end those of stages that failed)" if new.casefold().endswith("_error") else why
            remedy = "--as NAME" if request.is_list else f"--columns {old}=NAME"
            raise UsageError(f"{new!r} cannot be the name of a column{why}; give it another: {remedy}")
        if owner := taken.get(_in_release(request.table, new)):
            found[old] = owner
        taken[_in_release(request.table, new)] = f"the file's {old!r}"
    if not found:
        return
    renamed = [
        f"{old}={request.name}_{old}" if old in found else f"{old}={new}" if old != new else old
        for old, new in request.columns.items()
    ]
    option = f"--as {request.name}_listed" if request.is_list else f"--columns {','.join(renamed)}"
    columns = ", ".join(f"{old!r} for {owner}" for old, owner in found.items())
    raise UsageError(f"some columns would be taken for others ({columns}); give them another name, as in {option}")


def _in_release(table: str, column: str) -> str:
    """What a release calls a column; case does not count."""
    prefix = _RELEASED.get(table, f"{table}.")
    return (column if column.startswith(prefix) else prefix + column).casefold()


def _spelled(urls: pa.Array) -> pa.Array:
    """URLs as pairs have them; null for what is none."""
    from tuwen.sources.extraction.links import Resolver

    resolve = Resolver("").resolve
    return pa.array([None if url is None else resolve(url) for url in urls.to_pylist()], pa.string())


def _plain(kind: pa.DataType, name: str) -> pa.DataType:
    """The type that a column has in the corpus; `UsageError` for one that no column can have."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type, name)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_fixed_size_list(kind) and any(
        check(kind.value_type) for check in (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    ):
        return kind
    if pa.types.is_large_list(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        item = kind.value_type
        return pa.list_(item if pa.types.is_float16(item) else _plain(item, name))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, _plain(part.type, name)) for part in kind])
    known = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_binary)
    if any(check(kind) for check in (*known, pa.types.is_date, pa.types.is_timestamp)):
        return kind
    raise UsageError(f"the column {name!r} holds {kind}, which no column of a corpus can; leave it out with --columns")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
