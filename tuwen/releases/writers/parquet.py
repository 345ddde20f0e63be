"""Parquet with embedded images, one row per kept pair (or image). <https://huggingface.co/docs/datasets/image_dataset>"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.releases.content import Content
from tuwen.releases.croissant import parquet_records
from tuwen.releases.images import decode_problem, extension_of
from tuwen.releases.problem import Problem
from tuwen.releases.shards import Limits, ParquetShards, read_parquet

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


@dataclass(frozen=True)
class Parquet:
    """`data/00000.parquet`, …: column `image` (struct of `bytes`, original, and `path`), then every exported column.

    Rows come by (image_id, pair_id), so the pairs of one image are neighbours and its repeated bytes compress away.
    A row group holds at most `group_bytes` before compression (unless a single row is larger).
    """

    version: ClassVar[int] = 1
    units: ClassVar[tuple[str, ...]] = ("pair", "image")
    sample: ClassVar[str] = "row"

    samples_per_shard: int = 100_000
    shard_bytes: int = 512 << 20
    group_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        self._limits()

    def _limits(self) -> Limits:
        return Limits(self.samples_per_shard, self.shard_bytes, self.group_bytes)

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write `data/00000.parquet`, …"""
        counts = write_images(content, content.rows(), content.schema, folder / "data", self._limits())
        return {f"data/{name}": count for name, count in counts.items()}

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Readable with page checksums, rows, order, ids against bytes, decodability."""
        yield from check_images(folder, shards)

    def configs(self) -> list[dict[str, str]]:
        """One configuration: all shards."""
        return [{"config_name": "default", "data_files": "data/*.parquet"}]

    def features(self, content: Content) -> list[dict[str, Any]]:
        """Parquet says it itself."""
        return []

    def record_sets(self, folder: Path, shards: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """One record set."""
        return parquet_records("default", "data", folder / shards[0])

    def usage(self) -> str:
        """How to load it."""
        return """```python
from datasets import load_dataset

dataset = load_dataset("parquet", data_files="data/*.parquet", split="train")
dataset[0]["image"]  # a PIL image; dataset[0]["text"] its text
```

`image_id` is the first 32 hexadecimal digits of the SHA-256 of `image.bytes`.
"""


def write_images(
    content: Content, rows: Iterator[pa.RecordBatch], schema: pa.Schema, folder: Path, limits: Limits
) -> dict[str, int]:
    """Rows with `image_id`, ordered by it, into Parquet shards with the bytes in front; returns {name: rows}."""
    shards = ParquetShards(folder, pa.schema([pa.field("image", IMAGE), *schema]), limits, image="image")
    for piece, images in content.with_bytes(rows):
        names = [f"{key}.{extension_of(data)}" for key, data in zip(piece["image_id"].to_pylist(), images, strict=True)]
        column = pa.StructArray.from_arrays([pa.array(images, pa.binary()), pa.array(names)], fields=list(IMAGE))
        shards.add(pa.RecordBatch.from_arrays([column, *piece.columns], names=["image", *piece.schema.names]))
    shards.close()
    return shards.counts


def check_images(folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
    """Problems of Parquet shards with embedded images, ordered by image_id and, where there is one, pair_id."""
    last: tuple[str, ...] = ()
    good = ""  # the image that was checked last: its next rows hold the same bytes
    for name in sorted(shards):
        count = 0
        for batch in read_parquet(folder / name):
            keys = [batch[key].to_pylist() for key in ("image_id", "pair_id") if key in batch.schema.names]
            count += batch.num_rows
            for key, image in zip(zip(*keys, strict=True), batch["image"], strict=True):
                if key <= last:
                    yield Problem(name, "rows are out of order or repeated", f"a key after {last}", str(key))
                last = max(last, key)
                data = image["bytes"].as_py()
                if data is None or digest(data) != key[0]:
                    yield Problem(name, "image_id is not the SHA-256 prefix of the bytes", key[0], digest(data or b""))
                elif key[0] != good and (problem := decode_problem(data)):
                    yield Problem(name, f"image {key[0]} cannot be decoded", "an image", problem)
                good = key[0]
        if count != shards[name]:
            yield Problem(name, "number of rows", str(shards[name]), str(count))
