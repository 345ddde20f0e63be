"""Arrow tables with images, or with URLs of images, become rows: what `parquet` and `huggingface` share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.errors import UsageError
from tuwen.sources import Report
from tuwen.sources.datasets.mapping import ColumnMapping, image_refs, is_binary, pair_rows
from tuwen.sources.datasets.plain_values import plain_values
from tuwen.sources.datasets.released import ReleasedRows, is_released_image, is_released_pair
from tuwen.sources.datasets.row_batches import RowBatches, embedded
from tuwen.sources.sniffing import image_format

_TEXTS = ("text", "caption", "captions", "TEXT")
_IMAGES = ("image", "jpg", "img")
_URLS = ("url", "URL", "image_url", "URLs")


@dataclass(frozen=True)
class Layout:
    """How a table is read: as a release of tuwen, by embedded images, or by URLs; and the column that holds them."""

    kind: Literal["released", "embedded", "urls"]
    column: str
    mapping: ColumnMapping


def layout_of(schema: pa.Schema, mapping: ColumnMapping, where: str) -> Layout:
    """What a table of this schema holds; `UsageError` where it cannot be told or a mapped column is missing."""
    texts = next((name for name in _TEXTS if name in schema.names), None)
    of_images = _is_release_of_images(schema) and not mapping.texts
    if not mapping.own and (is_released_pair(schema.names) or of_images):
        return Layout("released", "image" if "image" in schema.names else "", mapping)
    mapping.check(schema.names, where)
    images = [mapping.own["image"]] if "image" in mapping.own else image_columns(schema)
    if len(images) > 1:
        raise UsageError(
            f"{where} has images in {', '.join(images)}; name one, for example columns: {{image: {images[0]}}}"
        )
    if not mapping.texts and texts:
        mapping = replace(mapping, texts=(("given", texts),))
    if images and ("image" in mapping.own or "url" not in mapping.own):
        own = {name: column for name, column in mapping.own.items() if name != "url"}
        addresses = {mapping.own["url"]: "url"} if "url" in mapping.own else {}
        return Layout("embedded", images[0], replace(mapping, own=own, renamed={**addresses, **mapping.renamed}))
    url = mapping.own.get("url") or next((name for name in _URLS if name in schema.names), None)
    if url is None:
        raise UsageError(
            f"{where} has neither a column of images nor one called {' or '.join(_URLS)}; name one with "
            f"columns: {{image: …}} or columns: {{url: …}}. Columns there: {', '.join(schema.names)}"
        )
    return Layout("urls", url, mapping)


def image_columns(schema: pa.Schema) -> list[str]:
    """Columns that hold images as the Hugging Face hub keeps them, else those of plain bytes that are called so."""
    declared = _declared_images(schema)
    found = [field.name for field in schema if field.name in declared or _has_bytes(field.type)]
    return found or [field.name for field in schema if field.name in _IMAGES and is_binary(_decoded(field.type))]


def _declared_images(schema: pa.Schema) -> set[str]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name for name, feature in features.items() if feature.get("_type") == "Image"}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return set()


def _has_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {part.name for part in kind} == {"bytes", "path"}


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_release_of_images(schema: pa.Schema) -> bool:
    """Whether all columns are as in a release of images; others have an `image_id` and an `image_url` too."""
    names = set(schema.names)
    if not names >= {"image_id", "image_url"}:
        return False
    kind = schema.field(schema.get_all_field_indices("image_id")[0]).type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return is_text and all(name.startswith("image_") for name in names - {"image", "sha256"})


class TableRows:
    """Adds Arrow rows of one layout to batches of base rows."""

    def __init__(self, layout: Layout, report: Report, max_image_bytes: int) -> None:
        self._layout, self._report, self._max_image_bytes = layout, report, max_image_bytes
        self._rows = RowBatches()
        self._released = ReleasedRows(self._rows, report, layout.mapping.keep)
        self._num_bad = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Add rows, and hand over what has come together."""
        self._report.num_records += batch.num_rows
        if self._layout.kind == "released":
            self._add_released(batch)
        else:
            refs = self._embedded(batch) if self._layout.kind == "embedded" else self._urls(batch)
            mapping = self._layout.mapping
            rest = batch.drop_columns([self._layout.column])
            self._rows.add_pairs(pair_rows(refs, mapping.of_batch(rest)))
        yield from self._rows.batches()

    def finish(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Hand over the rest and tell what was wrong."""
        yield from self._rows.batches(last=True)
        report = self._report
        if self._num_bad:
            report.num_bad_records += self._num_bad
            what = {
                "embedded": f"have no bytes of an image in {self._layout.column!r}",
                "urls": f"have no URL in {self._layout.column!r}",
                "released": "are no images of a release: image_id is not the SHA-256 prefix of the bytes",
            }
            report.messages.append(f"{self._num_bad} rows {what[self._layout.kind]}")
        self._released.finish()
        self._rows.tell_repeats(report)

    def _embedded(self, batch: pa.RecordBatch) -> pa.Array:
        refs: list[str | None] = []
        for data in _bytes_of(batch[self._layout.column]):
            good = data is not None and len(data) <= self._max_image_bytes and image_format(data)
            self._num_bad += not good
            refs.append(embedded(self._rows.add_image(data)) if good and data is not None else None)
        return pa.array(refs, pa.string())

    def _urls(self, batch: pa.RecordBatch) -> pa.Array:
        refs = image_refs(batch[self._layout.column])
        self._num_bad += refs.null_count
        return refs

    def _add_released(self, batch: pa.RecordBatch) -> None:
        column = self._layout.column
        images = _bytes_of(batch[column]) if column else [None] * batch.num_rows
        rest = batch.drop_columns([column]) if column else batch
        for row, data in zip(plain_rows(rest), images, strict=True):
            if "pair_id" in row or is_released_image(row, data):
                self._released.add(row, data)
            else:
                self._num_bad += 1


def plain_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as plain values; 32-bit floats as the shortest decimals that stand for them: 0.1, not 0.100000001."""
    columns = [
        plain_values(column.cast(pa.string()).cast(pa.float64()) if pa.types.is_float32(column.type) else column)
        for column in batch.columns
    ]
    rows = zip(*columns, strict=True) if columns else [()] * batch.num_rows
    return [dict(zip(batch.schema.names, row, strict=True)) for row in rows]


def _bytes_of(column: pa.Array) -> list[bytes | None]:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    return list(column.to_pylist()) if is_binary(column.type) else [None] * len(column)
