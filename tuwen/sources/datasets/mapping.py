"""Tables that others made become rows of `pairs`: which of their columns is the URL, a text, a hash, and what to keep.

    mapping = ColumnMapping.of({"url": "URL", "text": "TEXT", "page_url": "source_page"}, own=("url",))
    mapping.check(names, where)                   # UsageError if a mapped column is not there
    mapped = mapping.of_batch(batch)              # an Arrow batch of their rows, or mapping.of_rows(dicts)
    batch = pair_rows(image_refs, mapped)         # rows of `pairs`

In a mapping the key is our name and the value theirs: a column, a number where columns have no names, for `text` also
a list of columns or `{text_source: column or columns}`. `sha256` and `md5` become `expected_hash`. Names in `own`
(`url`, `image`, …) are what the source reads itself: `mapping.own[name]` is the column. Every other name is a field
of `given`, renamed. A column of lists of texts makes a pair of each.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.tables import ID_CHARACTERS, source_schema
from tuwen.errors import UsageError
from tuwen.parts import nearest
from tuwen.sources.datasets.plain_values import plain_values
from tuwen.sources.extraction.links import LONGEST_URL, Resolver

Column = str | int
Columns = dict[str, Column | list[Column] | dict[str, Column | list[Column]]]
"""What a recipe says: our name → theirs."""
Keep = Literal["all"] | list[Column]
"""Other columns that go into `given`: all that are not mapped, or these."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
_PAIRS = source_schema("pairs")
_TEXT_SOURCE = re.compile(r"[a-z][a-z0-9_]*")
# URLs that are spelled as `Resolver` spells them: most of all, and found a hundred times faster than by resolving.
_NORMAL_URL = (
    r"^https?://[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
    r"(?:/(?:[!$&'()*+,\-0-9:;=@A-Z_a-z|~][!$%&'()*+,\-.0-9:;=@A-Z_a-z|~]*)?)+"
    r"(?:\?[!$%&()*+,\-./0-9:;=?@A-Z_a-z|~]*)?$"
)
_HASHES = {"sha256": r"^[0-9a-f]{32,64}$", "md5": r"^[0-9a-f]{32}$"}  # in the order of preference


@dataclass(frozen=True)
class Mapped:
    """What a batch of their rows says, row by row; the arrays are as long as the batch."""

    texts: tuple[tuple[str, pa.Array], ...]
    """(text_source, strings or lists of strings), null where there is none."""
    expected_hash: pa.Array
    given: pa.Array


@dataclass(frozen=True)
class ColumnMapping:
    """A mapping as a recipe gives it, taken apart."""

    own: Mapping[str, str]
    texts: tuple[tuple[str, str], ...]
    hashes: tuple[tuple[str, str], ...]
    renamed: Mapping[str, str]  # their column → field of `given`
    keep: tuple[str, ...] | None  # None: all

    @classmethod
    def of(cls, columns: Columns, keep: Keep = "all", *, own: Collection[str] = ("url",)) -> ColumnMapping:
        """Take a mapping apart; `ValueError` (a `UsageError` in recipes) says what is wrong with it."""
        found: dict[str, str] = {}
        texts: list[tuple[str, str]] = []
        for name, theirs in columns.items():
            if name == "text":
                by_source = theirs if isinstance(theirs, dict) else {"given": theirs}
                for source, named in by_source.items():
                    if not _TEXT_SOURCE.fullmatch(source):
                        raise ValueError(f"columns.text: {source!r} is no text source, such as alt or caption")
                    texts += [(source, str(column)) for column in (named if isinstance(named, list) else [named])]
            elif isinstance(theirs, list | dict):
                raise ValueError(f"columns.{name} = {theirs!r}: only text may have several columns")
            else:
                found[name] = str(theirs)
        mine = {name: found.pop(name) for name in own if name in found}
        hashes = tuple((name, found.pop(name)) for name in _HASHES if name in found)
        renamed: dict[str, str] = {}
        for name, column in found.items():
            if renamed.setdefault(column, name) != name:
                raise ValueError(f"columns.{renamed[column]} and columns.{name} both name {column!r}; keep one of them")
        kept = None if keep == "all" else tuple(map(str, keep))
        return cls(mine, tuple(texts), hashes, renamed, kept)

    @property
    def used(self) -> set[str]:
        """Their columns that become something else than a field of `given`."""
        return {*self.own.values(), *(column for _, column in (*self.texts, *self.hashes))}

    def columns_of(self, schema: pa.Schema) -> list[str]:
        """Which columns of a table have to be read, in its order."""
        names = dict.fromkeys(schema.names)
        return [name for name in names if name in self.used or self._goes_into_given(name, schema)]

    def column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """One of the source's own columns, as strings."""
        return strings(_column(batch, self.own[name]))

    def check(self, names: Iterable[str], where: str) -> None:
        """`UsageError` if a column that is mapped or kept is not among `names`; `where` says whose they are."""
        known = list(names)
        for column in [*self.own.values(), *(c for _, c in (*self.texts, *self.hashes)), *self.renamed, *self._kept()]:
            if column not in known:
                hint = nearest(column, known)
                raise UsageError(f"{where} has no column {column!r}; {hint}. Columns there: {', '.join(known)}")

    def of_batch(self, batch: pa.RecordBatch) -> Mapped:
        """Map Arrow rows. Columns that are not there count as null; binary columns never go into `given`."""
        texts = tuple((source, _texts(_column(batch, column))) for source, column in self.texts)
        hashes = [(name, strings(_column(batch, column))) for name, column in self.hashes]
        fields = {
            self.renamed.get(name, name): _column(batch, name)
            for name in dict.fromkeys(batch.schema.names)
            if self._goes_into_given(name, batch.schema)
        }
        return Mapped(texts, _expected(hashes, batch.num_rows), json_objects(fields, batch.num_rows))

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Mapped:
        """Map rows of JSON, each with whatever keys and types it has."""
        texts = tuple((source, _texts_of_values([row.get(column) for row in rows])) for source, column in self.texts)
        hashes = [(name, text_array(row.get(column) for row in rows)) for name, column in self.hashes]
        known = dict.fromkeys(chain.from_iterable(rows))
        names = {name: self.renamed.get(name, name) for name in known if self._is_kept(name)}
        given = [json_object({names[name]: row[name] for name in row if name in names}) for row in rows]
        return Mapped(texts, _expected(hashes, len(rows)), pa.array(given, pa.string()))

    def _kept(self) -> tuple[str, ...]:
        return self.keep or ()

    def _is_kept(self, column: str) -> bool:
        if column in self.renamed or (self.keep is not None and column in self.keep):
            return True
        return self.keep is None and column not in self.used

    def _goes_into_given(self, column: str, schema: pa.Schema) -> bool:
        return self._is_kept(column) and not _has_binary(schema.field(schema.get_all_field_indices(column)[0]).type)


def pair_rows(image_refs: pa.Array, mapped: Mapped) -> pa.RecordBatch:
    """Rows of `pairs` without a document: for each row with an image_ref, one per text, in the order of the mapping.

    A row without any text makes one pair whose text is null.
    """
    num_rows = len(image_refs)
    pieces: list[tuple[str, Any, pa.Array]] = [(source, *_exploded(texts)) for source, texts in mapped.texts]
    has_text = np.zeros(num_rows, bool)
    for _, rows, _ in pieces:
        has_text[rows] = True
    without = np.flatnonzero(~has_text)
    pieces.append((mapped.texts[0][0] if mapped.texts else "given", without, pa.nulls(len(without), pa.string())))
    pieces = [piece for piece in pieces if len(piece[1])]
    rows = np.concatenate([piece[1] for piece in pieces]) if pieces else np.empty(0, np.int64)
    texts = pa.concat_arrays([pa.array([], pa.string()), *(piece[2] for piece in pieces)])
    sources = pa.array([piece[0] for piece in pieces], pa.string()).take(
        pa.array(np.repeat(np.arange(len(pieces)), [len(piece[1]) for piece in pieces]))
    )
    order = np.argsort(rows, kind="stable")
    order = order[image_refs.is_valid().to_numpy(zero_copy_only=False)[rows[order]]]
    places, texts, sources = pa.array(rows[order]), texts.take(pa.array(order)), sources.take(pa.array(order))
    refs = image_refs.take(places)
    columns = {field.name: pa.nulls(len(places), field.type) for field in _PAIRS} | {
        "pair_id": _pair_ids(refs, texts, sources),
        "image_ref": refs,
        "text": texts,
        "text_source": sources,
        "expected_hash": mapped.expected_hash.take(places),
        "given": mapped.given.take(places),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=_PAIRS)


def image_refs(urls: pa.Array) -> pa.Array:
    """URLs spelled as pages' links and WARC targets are; null for what is no http(s) URL."""
    urls = strings(urls)
    fine = pc.and_(pc.match_substring_regex(urls, _NORMAL_URL), pc.less_equal(pc.binary_length(urls), LONGEST_URL))
    fine = pc.fill_null(fine, False)
    if fine.false_count:
        resolve = Resolver("").resolve
        rest = pc.invert(fine)
        resolved = [resolve(url) if url else None for url in urls.filter(rest).to_pylist()]
        urls = pc.replace_with_mask(urls, rest, pa.array(resolved, pa.string()))
    return urls


def is_binary(kind: pa.DataType) -> bool:
    """Whether values are bytes of any length."""
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def strings(values: pa.Array) -> pa.Array:
    """Any column as strings: bytes that are not UTF-8 become U+FFFD, nested values null."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        found = values.cast(pa.string())
        found.validate(full=True)  # Parquet files may hold anything
        return found
    except pa.ArrowInvalid:
        raw = values.cast(pa.large_binary()).to_pylist()
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in raw], pa.string())
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(values), pa.string())


def text_array(values: Iterable[Any]) -> pa.Array:
    """Values of JSON as strings: numbers as written, objects and lists null, lone surrogates replaced."""
    return pa.array([_text(value) for value in values], pa.string())


def json_objects(fields: Mapping[str, pa.Array], num_rows: int) -> pa.Array:
    """JSON objects of columns, one per row; fields that are null or no number are left out, an empty object is null."""
    if not fields:
        return pa.nulls(num_rows, pa.string())
    import duckdb

    table = pa.table([_plain(column) for column in fields.values()], names=[f"c{i}" for i in range(len(fields))])
    parts = []
    for name, field in zip(fields, table.schema, strict=True):
        key = json.dumps(name, ensure_ascii=False).replace("'", "''")
        value = f"to_json({field.name})"
        if pa.types.is_floating(field.type):
            value = f"CASE WHEN isfinite({field.name}) THEN {value} END"
        elif pa.types.is_nested(fields[name].type):
            value = field.name  # is JSON already
        parts.append(f"'{key}:' || ({value})")
    joined = f"concat_ws(',', {', '.join(parts)})"
    query = f"SELECT CASE WHEN o <> '' THEN '{{' || o || '}}' END FROM (SELECT {joined} AS o FROM rows)"
    connection = _duckdb().cursor()
    try:
        found = connection.register("rows", table).sql(query).to_arrow_table()
    except (duckdb.Error, pa.ArrowException):  # a type that DuckDB does not know
        rows = zip(*map(plain_values, fields.values()), strict=True)
        return pa.array([json_object(dict(zip(fields, row, strict=True))) for row in rows], pa.string())
    return pa.concat_arrays([pa.array([], pa.string()), *(chunk.cast(pa.string()) for chunk in found.column(0).chunks)])


def json_object(value: Mapping[str, Any]) -> str | None:
    """A JSON object without the fields that are null; None if nothing is left."""
    kept = {name: inner for name, inner in value.items() if inner is not None}
    return json_value(kept) if kept else None


def json_value(value: Any) -> str | None:
    """JSON in UTF-8; numbers that JSON cannot write become null. None for what is nested too deep."""
    try:
        text = _ENCODER.encode(value)
    except RecursionError:
        return None
    except ValueError:
        try:
            return json_value(_finite(value))
        except RecursionError:
            return None
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@functools.lru_cache(maxsize=1)
def _duckdb() -> Any:
    import duckdb

    return duckdb.connect(config={"threads": 1})


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column by name, the first where two have it."""
    places = batch.schema.get_all_field_indices(name)
    return batch.column(places[0]) if places else pa.nulls(batch.num_rows, pa.string())


def _plain(column: pa.Array) -> pa.Array:
    """A column in a type that DuckDB writes as JSON; times in UTC whatever the session's time zone is."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_nested(column.type):  # DuckDB would write NaN within
        return pa.array([None if v is None else json_value(v) for v in plain_values(column)], pa.string())
    if pa.types.is_timestamp(column.type) and column.type.tz:
        return column.cast(pa.timestamp(column.type.unit))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return strings(column)
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column


def _has_binary(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.ExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        return _has_binary(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_has_binary(kind.field(index).type) for index in range(kind.num_fields))
    return is_binary(kind) or bool(pa.types.is_fixed_size_binary(kind))


def _finite(value: Any) -> Any:
    """Without numbers that JSON cannot write."""
    if isinstance(value, dict):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def _texts(column: pa.Array) -> pa.Array:
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return strings(column)
    flat = strings(column.flatten())
    ends = np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), flat)


def _texts_of_values(values: list[Any]) -> pa.Array:
    if not any(isinstance(value, list) for value in values):
        return text_array(values)
    lists = [[_text(item) for item in value] if isinstance(value, list) else [_text(value)] for value in values]
    return pa.array(lists, pa.list_(pa.string()))


def _exploded(texts: pa.Array) -> tuple[Any, pa.Array]:
    """(row, text) of all texts that say something."""
    if pa.types.is_list(texts.type):
        rows, texts = pc.list_parent_indices(texts).to_numpy(zero_copy_only=False), texts.flatten()
    else:
        rows = np.arange(len(texts))
    says = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(texts), ""), False)
    if says.false_count:
        rows, texts = rows[says.to_numpy(zero_copy_only=False)], texts.filter(says)
    return rows.astype(np.int64), texts


def _expected(hashes: list[tuple[str, pa.Array]], num_rows: int) -> pa.Array:
    """`sha256:HEX` or `md5:HEX`; null for what is no such hash."""
    found = pa.nulls(num_rows, pa.string())
    for name, values in hashes:
        plain = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        fits = pc.fill_null(pc.match_substring_regex(plain, _HASHES[name]), False)
        found = pc.coalesce(found, pc.if_else(fits, pc.binary_join_element_wise(name, plain, ":"), None))
    return found


def _pair_ids(refs: pa.Array, texts: pa.Array, sources: pa.Array) -> pa.Array:
    """`digest(None, None, text_source, image_ref, text)` of each, spelled out for speed; a test holds it equal."""
    stems = {source: f"n0:n0:s{len(source)}:{source}s".encode() for source in sources.unique().to_pylist()}
    ids = []
    for ref, text, source in zip(refs.to_pylist(), texts.to_pylist(), sources.to_pylist(), strict=True):
        address = ref.encode()
        head = b"%b%d:%b" % (stems[source], len(address), address)
        data = b"n0:" if text is None else text.encode()
        tail = data if text is None else b"s%d:%b" % (len(data), data)
        ids.append(sha256(head + tail).hexdigest()[:ID_CHARACTERS])
    return pa.array(ids, pa.string())
