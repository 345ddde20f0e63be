"""A tiny source and tiny stages whose results can be worked out by hand; importable by worker processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.tables import digest, source_schema
from tuwen.sources import Report, Unit, file_unit
from tuwen.stages import DERIVED


@dataclass(frozen=True)
class Pages:
    """Units are JSON files: a list of {"url", "texts": [...], "image": "..."}; each image's bytes are its name."""

    folder: str
    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("folder",)

    def units(self) -> list[Unit]:
        return [file_unit(path) for path in sorted(Path(self.folder).glob("*.json"))]

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        for page in json.loads(Path(unit.location).read_text()):
            report.num_records += 1
            document_id = digest(page["url"], 0, "")
            data = page["image"].encode()
            yield "images", _batch("images", [{"image_id": digest(data), "bytes": data}])
            pairs = [
                {
                    "pair_id": digest(document_id, number, text),
                    "document_id": document_id,
                    "image_ref": f"data:sha256,{digest(data)}",
                    "position": 0,
                    "text": text,
                    "text_source": "alt",
                }
                for number, text in enumerate(page["texts"])
            ]
            yield "pairs", _batch("pairs", pairs)
            yield "documents", _batch("documents", [{"document_id": document_id, "url": page["url"], "nodes": []}])


def _batch(table: str, rows: list[dict[str, object]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=source_schema(table))


def write_pages(folder: Path, name: str, pages: range, texts: int = 3) -> Path:
    """One unit with pages numbered by `pages`; every page shares image 0 with the pages of its hundred."""
    path = folder / f"{name}.json"
    rows = [
        {"url": f"http://a.test/{n}", "texts": [f"text {n} {k}" for k in range(texts)], "image": f"image {n % 100}"}
        for n in pages
    ]
    path.write_text(json.dumps(rows))
    return path


@dataclass(frozen=True)
class Length:
    """Characters of the text, times `factor`."""

    factor: int = 1
    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("length", pa.int32())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        counts = pc.multiply(pc.utf8_length(batch["text"]), self.factor).cast(pa.int32())
        return pa.RecordBatch.from_arrays([counts], schema=self.writes)


@dataclass(frozen=True)
class Parity:
    """Whether the length is even, and the digits of it: reads what another stage writes in the same pass."""

    table = "pairs"
    reads = ("length",)
    writes = pa.schema([("is_even", pa.bool_()), ("digits", pa.list_(pa.string()))])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        even = pc.equal(pc.bit_wise_and(batch["length"], 1), 0)
        digits = pa.array([None if n % 3 == 0 else list(str(n)) for n in batch["length"].to_pylist()])
        return pa.RecordBatch.from_arrays([even, digits.cast(pa.list_(pa.string()))], schema=self.writes)


@dataclass(frozen=True)
class NumPairs:
    """How many pairs the whole corpus holds: corpus-wide."""

    table = "documents"
    reads = ("document_id",)
    writes = pa.schema([("num_pairs", pa.int64()), ("own_pairs", pa.int64())])
    kind = "corpus"
    surveys = ("pairs.document_id",)

    def prepare(self, corpus: object) -> pa.RecordBatchReader:
        query = "select document_id, count(*) as own, sum(count(*)) over () as total from pairs group by document_id"
        return corpus.sql(query, {"pairs": ["document_id"]})  # type: ignore[attr-defined]

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        places = pc.index_in(batch["document_id"], state["document_id"].combine_chunks())
        own = state["own"].combine_chunks().take(places).cast(pa.int64())
        total = state["total"].combine_chunks().cast(pa.int64())[0].as_py()
        return pa.RecordBatch.from_arrays([pa.array([total] * batch.num_rows, pa.int64()), own], schema=self.writes)


@dataclass(frozen=True)
class PageLength:
    """Length of the url of the pair's page: follows a key."""

    table = "pairs"
    reads = ("document.url", "document.own_pairs")
    writes = pa.schema([("page_length", pa.int32()), ("siblings", pa.int64())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        lengths = pc.utf8_length(batch["document.url"]).cast(pa.int32())
        return pa.RecordBatch.from_arrays([lengths, batch["document.own_pairs"]], schema=self.writes)


@dataclass(frozen=True)
class ImageWidth:
    """Width of the pair's image: follows a key into a table that may be empty."""

    table = "pairs"
    reads = ("image.width",)
    writes = pa.schema([("image_width", pa.int32())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([batch["image.width"]], schema=self.writes)


@dataclass(frozen=True)
class Picky:
    """Raises on texts that end in `fatal`: the engine must isolate them."""

    fatal: str = "7 1"
    slow_s: float = 0.0
    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("fine", pa.bool_())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        time.sleep(self.slow_s)
        if any(text.endswith(self.fatal) for text in batch["text"].to_pylist()):
            raise ValueError("a bad row")
        return pa.RecordBatch.from_arrays([pa.array([True] * batch.num_rows)], schema=self.writes)


@dataclass(frozen=True)
class Mean:
    """Distance from the mean text length: fitted, so the mean holds until the user refits."""

    table = "pairs"
    reads = ("length",)
    writes = pa.schema([("above_mean", pa.float64())])
    kind = "fitted"
    surveys = ("pairs.length",)

    def prepare(self, corpus: object) -> pa.RecordBatchReader:
        return corpus.sql("select avg(length) as mean from pairs", {"pairs": ["length"]})  # type: ignore[attr-defined]

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        mean = state["mean"][0].as_py()
        return pa.RecordBatch.from_arrays([pc.subtract(batch["length"].cast(pa.float64()), mean)], schema=self.writes)


@dataclass(frozen=True)
class Marked:
    """Adds pairs: the text with a mark."""

    mark: str = "!"
    table = "pairs"
    adds = "pairs"
    reads = ("text",)
    writes = DERIVED

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = [{"row": row, "text": text + self.mark} for row, text in enumerate(batch["text"].to_pylist())]
        return pa.RecordBatch.from_pylist(rows, schema=DERIVED)
