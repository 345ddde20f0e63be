"""The columns that can be shown and filtered, by the names that rules use."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.selections.selection import UNITS

HASHES = ("perceptual_hash",)
"""Columns of numbers whose size and order mean nothing."""
LINKS = {"image": "image_id", "document": "document_id"}
"""What a pair belongs to, and the column of pairs that says so."""


@dataclass(frozen=True)
class Column:
    """A column as rules of one unit name it: `width`, or `image.width` for pairs.

    `kind`: number, flag, text, list (of texts), time, or other (neither shown nor filtered, but null or not).
    `stage`: what wrote it; None for columns that came with the row.
    """

    name: str
    table: str
    stored: str
    kind: str
    stage: str | None


def columns_of(corpus: Corpus, unit: str) -> dict[str, Column]:
    """Columns that a rule on this unit may read, its own first; those of stages that ran, in the order of the table."""
    own = UNITS[unit]
    found = {column.name: column for column in _columns(corpus, own, "")}
    if unit == "pair":
        for other, link in LINKS.items():
            if link in corpus.current_columns(own):
                found |= {column.name: column for column in _columns(corpus, UNITS[other], f"{other}.")}
    return found


def _columns(corpus: Corpus, table: str, prefix: str) -> list[Column]:
    schema = corpus.schema(table)
    return [
        Column(prefix + name, table, name, "other" if name in HASHES else kind_of(schema.field(name).type), stage)
        for name, stage in corpus.current_columns(table).items()
        if name not in TABLES[table].blobs
    ]


def kind_of(kind: pa.DataType) -> str:
    """What can be done with values of a type."""
    if pa.types.is_boolean(kind):
        return "flag"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return "list"
    return "time" if pa.types.is_timestamp(kind) else "other"
