"""An index: what can be shared where the images cannot. One row per kept pair (or image), no image bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tuwen.releases.content import Content
from tuwen.releases.croissant import parquet_records
from tuwen.releases.problem import Problem
from tuwen.releases.shards import Limits, ParquetShards, read_parquet


@dataclass(frozen=True)
class Index:
    """`data/00000.parquet`, …: `image_url`, `image_id` and every exported column, as in the format `parquet`.

    `image_id` is the SHA-256 prefix of the bytes that were judged, so whoever fetches the URL again knows whether
    the image is still the same; a perceptual hash is among the columns where the recipe computed one. `image_url` is
    null for an image that was embedded in its page.
    """

    version: ClassVar[int] = 1
    units: ClassVar[tuple[str, ...]] = ("pair", "image")
    sample: ClassVar[str] = "row"

    samples_per_shard: int = 1_000_000
    group_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        self._limits()

    def _limits(self) -> Limits:
        return Limits(self.samples_per_shard, 1 << 62, self.group_bytes)

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write `data/00000.parquet`, …"""
        shards = ParquetShards(folder / "data", content.schema, self._limits())
        for batch in content.rows():
            shards.add(batch)
        shards.close()
        return {f"data/{name}": count for name, count in shards.counts.items()}

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Readable with page checksums, rows, order, and no bytes."""
        last: tuple[str, ...] = ()
        for name in sorted(shards):
            count = 0
            for batch in read_parquet(folder / name):
                count += batch.num_rows
                if "image" in batch.schema.names:
                    yield Problem(name, "an index holds no images", "no column 'image'", "one")
                keys = [batch[key].to_pylist() for key in ("image_id", "pair_id") if key in batch.schema.names]
                for key in zip(*keys, strict=True):
                    if key <= last:
                        yield Problem(name, "rows are out of order or repeated", f"a key after {last}", str(key))
                    last = max(last, key)
            if count != shards[name]:
                yield Problem(name, "number of rows", str(shards[name]), str(count))

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

index = load_dataset("parquet", data_files="data/*.parquet", split="train")
index[0]["image_url"], index[0]["image_id"]
```

No image bytes are in this release. `image_id` is the first 32 hexadecimal digits of the SHA-256 of the bytes that were
judged: an image fetched again that hashes to something else is another image.
"""
