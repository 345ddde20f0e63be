"""Lists of ids: what a selection keeps, for tools that have the data already. No image, no text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.parts import nearest
from tuwen.releases.content import Content
from tuwen.releases.croissant import field, file_set, parquet_records
from tuwen.releases.problem import Problem
from tuwen.releases.shards import Limits, ParquetShards, read_parquet, shard_name

Kind = Literal["text", "parquet", "npy"]
HALVES = np.dtype("u8,u8")  # an id of 32 hexadecimal digits as DataComp stores it, the higher half first
_EXTENSIONS: dict[Kind, str] = {"text": "txt", "parquet": "parquet", "npy": "npy"}
_DIGITS = re.compile(r"[0-9a-f]{32}")
_CHECK_BYTES = 1 << 20


@dataclass(frozen=True)
class Ids:
    """`data/00000.txt`, …: one id a line, each once, sorted. `kind` parquet: one column; npy: pairs of u8.

    `column` is any exported column of text or whole numbers (default: pair_id, image_id or document_id, the key of
    what was selected), such as a uid that the data came with. `tuwen join` takes the list back, into the same corpus
    or another. npy is the format of DataComp's subsets, sorted, for ids of 32 hexadecimal digits.
    https://github.com/mlfoundations/datacomp
    """

    version: ClassVar[int] = 1
    units: ClassVar[tuple[str, ...]] = ("pair", "image", "document")
    sample: ClassVar[str] = "row"

    column: str | None = None
    kind: Kind = "text"
    samples_per_shard: int = 100_000_000

    def __post_init__(self) -> None:
        if self.samples_per_shard < 1:
            raise UsageError(f"ids: samples_per_shard must be at least 1, got {self.samples_per_shard}")

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write `data/00000.txt`, …"""
        name = self.column or f"{content.unit}_id"
        self._check_column(content, name)
        data = folder / "data"
        data.mkdir(parents=True)
        pieces = self._pieces(content, name)
        if self.kind == "parquet":
            limits = Limits(self.samples_per_shard, 1 << 62, 32 << 20)
            shards = ParquetShards(data, pa.schema([pa.field(name, pa.string())]), limits)
            for piece in pieces:
                shards.add(pa.record_batch([piece], names=[name]))
            shards.close()
            counts = shards.counts
        else:
            counts = self._write_plain(pieces, data)
        if content.unit != "pair" and sum(counts.values()) != content.query("SELECT count(*) FROM released")[0][0]:
            raise UsageError(f"ids: several {content.unit}s have one {name}; choose a column that tells them apart")
        return {f"data/{name}": count for name, count in counts.items()}

    def _check_column(self, content: Content, name: str) -> None:
        known = {column.name: column.type for column in content.exported}
        if name not in known:
            raise UsageError(f"ids: a release of {content.unit}s has no column {name!r}; {nearest(name, known)}")
        if not (pa.types.is_string(known[name]) or pa.types.is_integer(known[name])):
            raise UsageError(f"ids: {name} is {known[name]}; ids are text or whole numbers")

    def _pieces(self, content: Content, name: str) -> Iterator[pa.Array]:
        """The ids, checked, in pieces that fit their shard."""
        room = self.samples_per_shard
        for batch in content.distinct(name):
            ids = batch["id"]
            if ids.null_count:
                raise UsageError(f"ids: some {content.unit}s have no {name}; add the rule `{name} is not null`")
            for text in ids.to_pylist():
                if "\n" in text or "\r" in text or (self.kind == "npy" and not _DIGITS.fullmatch(text)):
                    wanted = "32 lower-case hexadecimal digits" if self.kind == "npy" else "one line"
                    raise UsageError(f"ids: {name} {text!r} is not {wanted}; choose another column or kind")
            start = 0
            while start < len(ids):
                piece = ids.slice(start, room)
                yield piece
                start += len(piece)
                room = room - len(piece) or self.samples_per_shard

    def _write_plain(self, pieces: Iterator[pa.Array], folder: Path) -> dict[str, int]:
        counts: dict[str, int] = {}
        name = ""
        for piece in pieces:
            if not counts or counts[name] >= self.samples_per_shard:
                name = shard_name(len(counts), _EXTENSIONS[self.kind])
                counts[name] = 0
            with (folder / name).open("ab") as stream:
                stream.write(_lines(piece) if self.kind == "text" else _packed(piece))
            counts[name] += len(piece)
        if self.kind == "npy":
            for name, count in counts.items():
                _put_header(folder / name, count)
        return counts

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Number of ids, order, each once, over all shards."""
        last: Any = None
        for name in sorted(shards):
            count = 0
            try:
                for ids in self._read(folder / name):
                    count += len(ids)
                    for one in ids:
                        if last is not None and one <= last:
                            yield Problem(name, "ids are out of order or repeated", f"an id after {last}", str(one))
                        last = one
            except (ValueError, OSError, EOFError, pa.ArrowException) as error:
                yield Problem(name, f"cannot be read: {type(error).__name__}: {error}")
            if count != shards[name]:
                yield Problem(name, "number of ids", str(shards[name]), str(count))

    def _read(self, path: Path) -> Iterator[list[Any]]:
        """Ids as they compare: by bytes."""
        if self.kind == "parquet":
            for batch in read_parquet(path):
                yield [text.encode() for text in batch.column(0).to_pylist()]
        elif self.kind == "npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if array.dtype != HALVES or array.ndim != 1:
                raise ValueError(f"an array of {array.dtype}, not of {HALVES}")
            step = _CHECK_BYTES // HALVES.itemsize
            yield from (array[start : start + step].tolist() for start in range(0, len(array), step))
        else:
            with path.open("rb") as stream:
                while lines := stream.readlines(_CHECK_BYTES):
                    if not lines[-1].endswith(b"\n"):
                        raise ValueError("the last line is cut off")
                    yield [line[:-1] for line in lines]

    def configs(self) -> list[dict[str, str]]:
        """One configuration: all shards."""
        return [{"config_name": "default", "data_files": f"data/*.{_EXTENSIONS[self.kind]}"}]

    def features(self, content: Content) -> list[dict[str, Any]]:
        """Text and Parquet say it themselves."""
        return []

    def record_sets(self, folder: Path, shards: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """One record set of ids; Croissant has no word for NumPy's arrays."""
        if self.kind == "parquet":
            return parquet_records("default", "data", folder / shards[0])
        if self.kind == "npy":
            return [], []
        ids = field("default/id", "sc:Text", "lists", file_property="lines")
        record_set = {"@type": "cr:RecordSet", "@id": "default", "name": "default", "field": [ids]}
        return [file_set("lists", "data/*.txt", "text/plain")], [record_set]

    def usage(self) -> str:
        """How to use it."""
        extension = _EXTENSIONS[self.kind]
        read = {
            "text": 'ids = open("data/00000.txt", encoding="utf-8").read().splitlines()',
            "parquet": 'ids = pyarrow.parquet.read_table("data")',
            "npy": 'ids = numpy.load("data/00000.npy")  # "u8,u8": the halves of each id, the higher first; sorted',
        }[self.kind]
        return f"""```python
{read}
```

Ids alone, sorted, each once: what they stand for is elsewhere. `tuwen join CORPUS data/00000.{extension} --on KEY`
turns them into a column that is true for these rows.
"""


def _lines(ids: pa.Array) -> bytes:
    return "".join(f"{text}\n" for text in ids.to_pylist()).encode()


def _packed(ids: pa.Array) -> bytes:
    """16 bytes an id: its halves as little-endian numbers."""
    raw = bytes.fromhex("".join(ids.to_pylist()))
    return np.frombuffer(raw, ">u8").astype("<u8").tobytes()


def _put_header(path: Path, count: int) -> None:
    """Make a file of packed ids an `.npy`."""
    body = path.with_suffix(".body")
    path.rename(body)
    with path.open("wb") as stream:
        described = {"descr": np.lib.format.dtype_to_descr(HALVES), "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(stream, described)
        with body.open("rb") as packed:
            while chunk := packed.read(_CHECK_BYTES):
                stream.write(chunk)
    body.unlink()
