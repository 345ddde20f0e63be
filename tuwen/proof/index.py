"""The index of examples whose images stay in files: where each image lies, its texts, and what else is told of it.

FOLDER/index.arrow   a row an example, mapped into memory when it is read
FOLDER/images.bin    images that cannot be read one by one where they are (Parquet, a corpus), one behind the other
FOLDER/index.json    the key that it was made for, files, and what was left out; written last
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.proof.sealed import write_whole, writing

VERSION = 1
INDEX, IMAGES, DESCRIPTION = "index.arrow", "images.bin", "index.json"
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("file", pa.int32()),
        ("offset", pa.int64()),
        ("num_bytes", pa.int64()),
        ("digest", pa.binary(16)),
        ("text", pa.string()),
        ("texts", pa.list_(pa.string())),
    ]
)
BATCH_ROWS = 4_096
Rows = list[dict[str, Any]]


def digest(data: bytes) -> bytes:
    """By which equal images are known: 16 bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


class Index:
    """An index that is there. `files`: where images lie. `skipped`: what was left out, and how many of it."""

    def __init__(self, folder: Path, described: Mapping[str, Any]) -> None:
        self.folder = folder
        self.files: list[str] = described["files"]
        self.skipped: dict[str, int] = described["skipped"]
        self.digest: str = described["digest"]
        self.more: list[str] = described["more"]
        with pa.memory_map(str(folder / INDEX)) as source:
            reader = pa.ipc.open_file(source)
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def values(self, name: str, rows: NDArray[np.int64]) -> list[Any]:
        """A column of these rows, in this order."""
        number = np.searchsorted(self._ends, rows, side="right")
        found: list[Any] = [None] * len(rows)
        for batch in np.unique(number).tolist():
            places = np.flatnonzero(number == batch)
            first = int(self._ends[batch]) - self._batches[batch].num_rows
            values = self._batches[batch][name].take(pa.array(rows[places] - first)).to_pylist()
            for place, value in zip(places.tolist(), values, strict=True):
                found[place] = value
        return found

    def scan(self, name: str) -> Iterator[Any]:
        """A whole column, value by value."""
        for batch in self._batches:
            yield from batch[name].to_pylist()


class IndexColumn(Sequence[Any]):
    """A column of an index: a value for a row, a list for several."""

    def __init__(self, index: Index, name: str) -> None:
        self._index, self._name = index, name

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Any]:
        return self._index.scan(self._name)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            return self._index.values(self._name, rows_of([rows], len(self)))[0]
        return self._index.values(self._name, rows_of(rows, len(self)))


def rows_of(rows: Any, number: int) -> NDArray[np.int64]:
    """Row numbers from what numpy would take: numbers, a slice, or a mask; `IndexError` beyond the end."""
    if isinstance(rows, slice):
        return np.arange(number, dtype=np.int64)[rows]
    found = np.asarray(rows)
    found = np.flatnonzero(found) if found.dtype == bool else found.astype(np.int64)
    if len(found) and not (-number <= found.min() and found.max() < number):
        raise IndexError(f"row {found.max()} of {number}")
    return found % number if number else found


class IndexWriter:
    """Takes examples in their order. `more`: further columns of strings."""

    def __init__(self, folder: Path, more: Sequence[str] = ()) -> None:
        self._folder, self.more = folder, list(more)
        self.files: list[str] = []
        self.skipped: Counter[str] = Counter()
        self._schema = pa.schema([*SCHEMA, *((name, pa.string()) for name in self.more)])
        self._writer = pa.ipc.new_file(str(folder / INDEX), self._schema)
        self.known: set[str] = set()  # columns of `more` that have a value somewhere
        self._waiting: Rows = []
        self._digest = hashlib.sha256()
        self._images: Any = None
        self._number = 0

    def add(self, rows: Rows, skipped: Mapping[str, int] = {}) -> None:
        """Rows with the columns of `SCHEMA`, `text` apart: it is the first of `texts`."""
        self.skipped.update(skipped)
        for row in rows:
            told = {name: row.get(name) for name in self.more}
            self.known.update(name for name, value in told.items() if value)
            self._waiting.append({**row, **told, "text": row["texts"][0] if row["texts"] else ""})
            self._digest.update(row["digest"] + json.dumps([row["texts"], told], sort_keys=True).encode())
        self._number += len(rows)
        if len(self._waiting) >= BATCH_ROWS:
            self._flush()

    def stored(self, data: bytes) -> dict[str, Any]:
        """Copies an image; the columns that say where it lies."""
        if self._images is None:
            self.files.append(str(self._folder / IMAGES))
            self._images = (self._folder / IMAGES).open("wb")
        place = {"file": len(self.files) - 1, "offset": self._images.tell(), "num_bytes": len(data)}
        with writing(self._folder / IMAGES):
            self._images.write(data)
        return {**place, "digest": digest(data)}

    def _flush(self) -> None:
        if self._waiting:
            batch = pa.RecordBatch.from_pylist(self._waiting, schema=self._schema)
            with writing(self._folder / INDEX):
                self._writer.write_batch(batch)
            self._waiting.clear()

    def close(self) -> dict[str, Any]:
        """What `index.json` says."""
        self._flush()
        with writing(self._folder):
            self._writer.close()
            if self._images is not None:
                self._images.close()
        skipped = {name: number for name, number in sorted(self.skipped.items()) if number}
        return {"files": self.files, "skipped": skipped, "digest": self._digest.hexdigest(), "more": self.more}


def indexed(folder: Path, key: Any, more: Sequence[str], fill: Callable[[IndexWriter], None]) -> Index:
    """The index in `folder`, as it is where it was made for `key` (plain values), else made anew by `fill`.

    `UsageError` where it holds no example, one of `more` is empty throughout, or called as a column that all have.
    """
    if taken := sorted({*more} & {*SCHEMA.names, "image"}):
        raise UsageError(f"columns: {taken[0]!r} is what a column of all examples is called; take another name")
    told = json.loads(json.dumps([VERSION, key], default=str))
    path = folder / DESCRIPTION
    if path.exists():
        described = json.loads(path.read_text(encoding="utf-8"))
        if described["key"] == told:
            return Index(folder, described)
        path.unlink()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        writer = IndexWriter(folder, more)
    fill(writer)
    described = {**writer.close(), "key": told}
    index = Index(folder, described)
    if not len(index):
        reasons = ", ".join(f"{number} {what}" for what, number in writer.skipped.items()) or "the files are empty"
        raise UsageError(f"no examples with an image and a text: {reasons}")
    if empty := [name for name in more if name not in writer.known]:
        raise UsageError(f"the column {empty[0]!r} is empty in all examples; say where it comes from in `columns`")
    write_whole(path, json.dumps(described))
    return index
