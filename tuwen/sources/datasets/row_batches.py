"""Rows of any table, gathered until they come to about 8 MB, each key once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from tuwen.corpus.keys import KeySet
from tuwen.corpus.tables import TABLES, digest, source_schema
from tuwen.sources import Report
from tuwen.stages.resolution import EMBEDDED

BATCH_BYTES = 8 << 20
_ROW_BYTES = 200  # about what a row takes beside its text and bytes
_ORDER = ("images", "fetches", "pairs", "documents")


class RowBatches:
    """Collects rows of a unit until `batches` hands them over. Of rows with equal keys the first stays."""

    def __init__(self) -> None:
        self._known: dict[str, KeySet] = {}
        self._num_repeats = 0
        self._clear()

    def _clear(self) -> None:
        self._rows: dict[str, dict[str, Mapping[str, Any]]] = {table: {} for table in _ORDER}
        self._pairs: list[pa.RecordBatch] = []
        self._num_bytes = 0

    @property
    def full(self) -> bool:
        """Whether `batches` would hand over what there is."""
        return self._num_bytes >= BATCH_BYTES

    def add(self, table: str, row: Mapping[str, Any]) -> None:
        """Add a row: the key, and whatever other base columns are not null."""
        rows = self._rows[table]
        key = row[TABLES[table].key]
        if key not in rows:
            rows[key] = row
            self._num_bytes += _size(row)
        elif table == "pairs":
            self._num_repeats += 1

    def add_image(self, data: bytes) -> str:
        """Add an image and return its id."""
        image_id = digest(data)
        self.add("images", {"image_id": image_id, "bytes": data})
        return image_id

    def add_pair(self, image_ref: str, text: str | None, text_source: str, **more: Any) -> str:
        """Add a pair and return its id, which its content makes."""
        pair_id = digest(more.get("document_id"), more.get("position"), text_source, image_ref, text)
        row = {"pair_id": pair_id, "image_ref": image_ref, "text": text, "text_source": text_source, **more}
        self.add("pairs", row)
        return pair_id

    def add_pairs(self, batch: pa.RecordBatch) -> None:
        """Add complete rows of `pairs`."""
        self._pairs.append(batch)
        self._num_bytes += batch.nbytes

    def add_fetch(self, url: str, captured_at: int | None, image_id: str, rights: Any = None) -> None:
        """Add what is known of a past fetch: which image this URL stood for at that time (µs since 1970, UTC)."""
        fetch_id = digest(url, captured_at, None, None, image_id)
        row = {"fetch_id": fetch_id, "url": url, "captured_at": captured_at, "rights": rights, "image_id": image_id}
        self.add("fetches", row)

    def batches(self, *, last: bool = False) -> Iterator[tuple[str, pa.RecordBatch]]:
        """All rows so far once they come to about 8 MB, or at the `last` call."""
        if not (self.full or last):
            return
        rows, pairs = self._rows, self._pairs
        self._clear()
        for table in _ORDER:
            found = [pa.RecordBatch.from_pylist(list(rows[table].values()), schema=source_schema(table))]
            for batch in [*found, *(pairs if table == "pairs" else [])]:
                new = batch.filter(self._known.setdefault(table, KeySet()).add_new(batch[TABLES[table].key]))
                self._num_repeats += batch.num_rows - new.num_rows if table == "pairs" else 0
                if new.num_rows:
                    yield table, new

    def tell_repeats(self, report: Report) -> None:
        """Say how many pairs were left out because an earlier one was the same."""
        report.messages += repeats(self._num_repeats)


def _size(row: Mapping[str, Any]) -> int:
    """About how many bytes a row takes, what is nested in it included."""
    size = _ROW_BYTES
    for value in row.values():
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, list):
            size += sum(_size(item) for item in value if isinstance(item, dict))
    return size


def repeats(count: int) -> list[str]:
    """What a report says of pairs that came again."""
    return [f"{count} pairs repeat an earlier one of the unit (image and text); its `given` stays"] if count else []


def embedded(image_id: str) -> str:
    """The reference of an image whose bytes came with it."""
    return EMBEDDED + image_id
