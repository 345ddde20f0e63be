"""The rows that a search finds: which may be shown, what belongs to what, and how they are described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.keys import KeyIndex, packed_keys
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.errors import UsageError
from tuwen.selections.candidates import candidates
from tuwen.selections.judgement import judgement
from tuwen.selections.selection import UNITS, Selection

UNSAFE_COLUMNS = ("nsfw_score", "punsafe")
"""Columns of pairs or images with a probability that the row is unsafe: LAION's name is the second."""
UNSAFE_FROM = 0.5
TAKEN_DOWN, UNSAFE, NOT_SCORED = 0, 1, 2  # of a row; -1: nothing speaks against it
_TEXT_SOURCES = ("caption", "given", "alt", "title")  # the most telling first


class Standing:
    """What is known against rows of a unit whatever is sought: taken down, unsafe, or not scored.

    Read once; 17 bytes for each such row.
    """

    def __init__(self, corpus: Corpus, unit: str) -> None:
        self.columns = [
            name if table == UNITS[unit] else f"image.{name}"
            for table in dict.fromkeys((UNITS[unit], "images"))
            for name in UNSAFE_COLUMNS
            if name in corpus.current_columns(table) and (table != "images" or unit == "image" or _linked(corpus))
        ]
        self._keys, self._codes = np.empty(0, "S16"), np.empty(0, np.int8)
        if self.columns or corpus.count("tombstones"):
            unsafe = [f"{name} is null or isnan({name}) or {name} < {UNSAFE_FROM}" for name in self.columns]
            scored = [f"{name} is not null" for name in self.columns]
            cases = f"WHEN _failed = 0 THEN {TAKEN_DOWN} WHEN _failed <= {len(unsafe)} THEN {UNSAFE} ELSE {NOT_SCORED}"
            query = f"SELECT _id, CASE {cases} END AS code FROM judged WHERE _failed IS NOT NULL"
            found = _judged(corpus, unit, [*unsafe, *scored], query)
            keys = packed_keys(found["_id"].combine_chunks())
            order = np.argsort(keys)
            self._keys, self._codes = keys[order], found["code"].to_numpy().astype(np.int8)[order]

    def codes(self, keys: pa.Array) -> NDArray[np.int8]:
        """For each key `TAKEN_DOWN`, `UNSAFE`, `NOT_SCORED`, or -1."""
        if not len(self._keys):
            return np.full(len(keys), -1, np.int8)
        packed = packed_keys(keys)
        places = np.minimum(np.searchsorted(self._keys, packed), len(self._keys) - 1)
        return np.where(self._keys[places] == packed, self._codes[places], np.int8(-1))


def admitted(corpus: Corpus, unit: str, where: str, keys: pa.Array) -> NDArray[np.bool_]:
    """Which rows `where` is true for, a rule of a selection of this unit."""
    query = "SELECT _id FROM judged WHERE _failed IS NULL AND _id IN (SELECT key FROM sought)"
    kept = _judged(corpus, unit, [where], query, sought=pa.table({"key": keys}))
    return np.asarray(pc.is_in(keys, kept["_id"].combine_chunks()))


def unit_of(corpus: Corpus, where: str | None) -> str:
    """image, if `where` speaks of columns of images alone, else pair."""
    columns = Selection.from_mapping("search", _selection("image", [where])).reads() if where else ()
    known = corpus.current_columns("images")
    return "image" if all(name.removeprefix("image.") in known for name in columns) else "pair"


def _selection(unit: str, rules: Sequence[str]) -> dict[str, Any]:
    return {"unit": unit, "steps": [{"rule": rule} for rule in rules]}


def _judged(corpus: Corpus, unit: str, rules: Sequence[str], query: str, **tables: pa.Table) -> pa.Table:
    """The result of a query over `judged`: what a selection of these rules says of every row (`_id`, `_failed`)."""
    selection = Selection.from_mapping("search", _selection(unit, rules))
    if selection.others():
        raise UsageError("a search cannot look into selections; release the ids of one and join them, or use its rules")
    with corpus.connect() as connection:
        found = judgement(connection, corpus, selection, candidates(corpus, selection, {}))
        for name, table in tables.items():
            connection.register(name, table)
        connection.execute(f"CREATE TEMP VIEW judged AS {found.sql}")
        return connection.sql(query).to_arrow_table()


def _linked(corpus: Corpus) -> bool:
    return "image_id" in corpus.current_columns("pairs")


class Links:
    """Where rows are, and what belongs to what: 24 bytes a row of each table that is asked, read when first asked."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.known = _linked(corpus)

    def rows(self, table: str, keys: Sequence[str | None] | pa.Array) -> list[int]:
        """Row of each key; -1 where there is none."""
        return (self._images if table == "images" else self._pairs).find(keys)

    def pairs_of(self, images: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the pairs of images: (place in `images`, row in pairs) of each."""
        keys, rows = self._pairs_by_image
        packed = packed_keys(images)
        first, behind = np.searchsorted(keys, packed, "left"), np.searchsorted(keys, packed, "right")
        counts = np.where(packed == b"", 0, behind - first)
        places = np.repeat(np.arange(len(packed)), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return places, rows[np.repeat(first, counts) + within]

    def admitted(self, unit: str, where: str, keys: pa.Array) -> NDArray[np.bool_]:
        """Which rows `where` is true for."""
        return admitted(self._corpus, unit, where, keys)

    @cached_property
    def _images(self) -> KeyIndex:
        return KeyIndex.of(scan_dataset(self._corpus.dataset("images"), ["image_id"]))

    @cached_property
    def _pairs(self) -> KeyIndex:
        return KeyIndex.of(scan_dataset(self._corpus.dataset("pairs"), ["pair_id"]))

    @cached_property
    def _pairs_by_image(self) -> tuple[Any, NDArray[np.int64]]:
        batches = scan_dataset(self._corpus.dataset("pairs"), ["image_id"]) if self.known else ()
        keys = np.concatenate([np.empty(0, "S16"), *(packed_keys(batch.column(0)) for batch in batches)])
        rows = np.argsort(keys, kind="stable")
        return keys[rows], rows


def take(corpus: Corpus, table: str, rows: NDArray[np.int64] | Sequence[int], columns: Sequence[str]) -> pa.Table:
    """Rows of a table by their places, in the order asked for."""
    dataset = corpus.dataset(table)
    if not len(rows):
        fields = [dataset.schema.field(name) for name in columns]
        return pa.schema([pa.field(field.name, field.type) for field in fields]).empty_table()
    return dataset.take(np.asarray(rows).tolist(), columns=list(columns))


def described(
    corpus: Corpus, links: Links, unit: str, keys: Sequence[str], answering: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """What people see of rows: text, where it comes from, ids; of an image, the text of its pair in `answering`, else
    its most telling one."""
    known = corpus.current_columns("pairs")
    columns = ["pair_id", "document_id", "text", "text_source", "source"]
    columns += [name for name in ("image_id", "language") if name in known]
    empty = {**dict.fromkeys(columns), "image_id": None, "language": None}
    if unit == "pair":
        return [{**empty, **row} for row in take(corpus, "pairs", links.rows("pairs", keys), columns).to_pylist()]
    places, rows = links.pairs_of(pa.array(keys, pa.string()))
    texts = take(corpus, "pairs", rows, columns).to_pylist()
    best: dict[int, dict[str, Any]] = {}
    for place, text in sorted(zip(places.tolist(), texts, strict=True), key=lambda each: _telling(each[1])):
        if text["pair_id"] == answering.get(keys[place]):
            best[place] = text
        best.setdefault(place, text)
    images = take(corpus, "images", links.rows("images", keys), ["image_id", "source"]).to_pylist()
    return [{**empty, **image, **best.get(place, {})} for place, image in enumerate(images)]


def _telling(row: dict[str, Any]) -> tuple[int, str]:
    source = row["text_source"]
    return (_TEXT_SOURCES.index(source) if source in _TEXT_SOURCES else len(_TEXT_SOURCES)), str(row["pair_id"])


def key_of(unit: str) -> str:
    """Name of the column that holds the ids of a unit."""
    return TABLES[UNITS[unit]].key
