"""Rows as plain values, the texts of one image together, the best one first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tuwen.releases.content import Content

# How likely a text describes its image, by where it stood; used where no tier evidence was computed.
TEXT_SOURCE_ORDER = (
    "caption",
    "alt",
    "title",
    "aria_label",
    "link",
    "before",
    "after",
    "heading",
    "page_title",
)
_RANK = {name: rank for rank, name in enumerate(TEXT_SOURCE_ORDER)}
_ROWS = 256


def samples(content: Content) -> Iterator[tuple[dict[str, Any], bytes]]:
    """One sample per image, by image_id, with its bytes: the image's columns and, for pairs, `texts`, best first.

    The columns of the image stand at the top, everything that belongs to one text inside its text.
    """
    if content.unit == "image":
        yield from _rows_with_bytes(content)
        return
    top = _of_image(content)
    for _, group in itertools.groupby(_rows_with_bytes(content), key=lambda pair: pair[0]["image_id"]):
        rows = list(group)
        first, data = rows[0]
        texts = sorted((row for row, _ in rows), key=text_order)
        sample = {name: value for name, value in first.items() if name in top}
        sample["texts"] = [{name: value for name, value in text.items() if name not in top} for text in texts]
        yield sample, data


def features(content: Content) -> list[dict[str, Any]]:
    """The fields of a sample as the Hugging Face hub writes features.

    Declared, because a loader that guesses them from the first samples takes an empty list for a list of nulls.
    """
    if content.unit == "image":
        return [feature(field.name, field.type) for field in content.schema]
    top = _of_image(content)
    of_image = [feature(field.name, field.type) for field in content.schema if field.name in top]
    of_text = [feature(field.name, field.type) for field in content.schema if field.name not in top]
    return [*of_image, {"name": "texts", "list": of_text}]


def _of_image(content: Content) -> frozenset[str]:
    """Columns in which all texts of an image have the same value. Not every `image_…` is one: a reference has some."""
    return frozenset(column.name for column in content.exported if column.table == "images")


def feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    """A column as the Hugging Face hub writes features, of values as `plain_rows` gives them."""
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        items = feature("", kind.value_type)
        return {"name": name, "list": items.get("dtype") or items.get("struct") or items["list"]}
    if pa.types.is_struct(kind):
        return {"name": name, "struct": [feature(part.name, part.type) for part in kind]}
    if pa.types.is_boolean(kind):
        return {"name": name, "dtype": "bool"}
    if pa.types.is_integer(kind):
        return {"name": name, "dtype": "string" if pa.types.is_uint64(kind) else "int64"}
    return {"name": name, "dtype": "float64" if pa.types.is_floating(kind) else "string"}


def _rows_with_bytes(content: Content) -> Iterator[tuple[dict[str, Any], bytes]]:
    for piece, images in content.with_bytes(content.rows()):
        yield from zip(plain_rows(piece), images, strict=True)


def text_order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sort key of the texts of one image: best first.

    Higher `editorial` where it was computed, then the source of the text (caption before alt, …), then the longer
    text, then the id.
    """
    score = row.get("editorial")
    rank = _RANK.get(row["text_source"], len(_RANK))
    return (score is None, -(score or 0.0), rank, -len(row["text"] or ""), row["pair_id"])


def plain_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries that survive JSON.

    A 32-bit float becomes the shortest decimal that reads back as the same 32-bit float; an unsigned 64-bit integer
    becomes a string of digits, because readers of JSON round it or refuse it (`datasets` does).
    """
    for start in range(0, batch.num_rows, _ROWS):
        piece = batch.slice(start, _ROWS)
        columns = [_exact(column) for column in piece.columns]
        yield from pa.RecordBatch.from_arrays(columns, names=piece.schema.names).to_pylist()


def _exact(column: pa.Array) -> pa.Array:
    if pa.types.is_float32(column.type):
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_uint64(column.type):
        return column.cast(pa.string())
    return column
