"""Parquet with embedded images, one row per kept pair (or image). <https://huggingface.co/docs/datasets/image_dataset>"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tuwen.fetching.settings import Reencode
from tuwen.releases.content import Content
from tuwen.releases.croissant import parquet_records
from tuwen.releases.images import box_column, check_blur, extension_of, image_problems, reencoded
from tuwen.releases.problem import Problem
from tuwen.releases.shards import Limits, ParquetShards, read_parquet

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


@dataclass(frozen=True)
class Parquet:
    """`data/00000.parquet`, …: column `image` (struct of `bytes`, original, and `path`), then every exported column,
    vectors included.

    Rows come by (image_id, pair_id), so the pairs of one image are neighbours and its repeated bytes compress away.
    A row group holds at most `group_bytes` before compression (unless a single row is larger).

    `reencode` makes the images smaller: `{short_side: 256, quality: 95, format: jpeg}` (or webp, png), with a column
    `sha256` of the new bytes. `image_id` and the other columns stay those of the original.

    `blur` names an images' column of boxes (faces that a detector of yours found, brought by `tuwen join`), whose
    insides become mosaics. Boxes are [left, top, right, bottom] as shares of the upright image's width and height, as
    DataComp's `face_bboxes`. An image without any (null) was not checked: it is released as it is, and the card counts
    it. Needs `reencode`.
    """

    version: ClassVar[int] = 1
    units: ClassVar[tuple[str, ...]] = ("pair", "image")
    sample: ClassVar[str] = "row"
    vectors: ClassVar[bool] = True

    samples_per_shard: int = 100_000
    shard_bytes: int = 512 << 20
    group_bytes: int = 32 << 20
    reencode: Reencode | None = None
    blur: str | None = None

    def __post_init__(self) -> None:
        check_blur("parquet", self.blur, self.reencode)
        self._limits()

    def _limits(self) -> Limits:
        return Limits(self.samples_per_shard, self.shard_bytes, self.group_bytes)

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write `data/00000.parquet`, …"""
        folder = folder / "data"
        counts = write_images(content, content.rows(), content.schema, folder, self._limits(), self.reencode, self.blur)
        return {f"data/{name}": count for name, count in counts.items()}

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Readable with page checksums, rows, order, ids or `sha256` against bytes, decodability, size."""
        yield from check_images(folder, shards, self.reencode)

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
        digest = "`image_id` is the first 32 hexadecimal digits of the SHA-256 of "
        digest += "the original; `sha256` is that of `image.bytes`." if self.reencode else "`image.bytes`."
        return f"""```python
from datasets import load_dataset

dataset = load_dataset("parquet", data_files="data/*.parquet", split="train")
dataset[0]["image"]  # a PIL image; dataset[0]["text"] its text
```

{digest}
"""


def write_images(
    content: Content,
    rows: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    folder: Path,
    limits: Limits,
    reencode: Reencode | None = None,
    blur: str | None = None,
) -> dict[str, int]:
    """Rows with `image_id`, ordered by it, into Parquet shards with the bytes in front; returns {name: rows}."""
    front = [pa.field("image", IMAGE), *([pa.field("sha256", pa.string())] if reencode else [])]
    schema = pa.schema([*front, *schema])
    boxes = box_column(content, blur).name if blur else None
    shards = ParquetShards(folder, schema, limits, image="image")
    for piece, images in content.with_bytes(rows):
        ids = piece["image_id"].to_pylist()
        columns = []
        if reencode:
            shown = piece[boxes].to_pylist() if boxes else [None] * len(ids)
            originals = {key: rest for key, *rest in zip(ids, images, shown, strict=True)}
            made = {key: reencoded(key, data, reencode, found) for key, (data, found) in originals.items()}
            images = [made[key][0] for key in ids]
            columns = [pa.array([made[key][1] for key in ids])]
        names = [f"{key}.{extension_of(data)}" for key, data in zip(ids, images, strict=True)]
        image = pa.StructArray.from_arrays([pa.array(images, pa.binary()), pa.array(names)], fields=list(IMAGE))
        shards.add(pa.RecordBatch.from_arrays([image, *columns, *piece.columns], names=schema.names))
    shards.close()
    return shards.counts


def check_images(folder: Path, shards: Mapping[str, int], reencode: Reencode | None = None) -> Iterator[Problem]:
    """Problems of Parquet shards with embedded images, ordered by image_id and, where there is one, pair_id."""
    last: tuple[str, ...] = ()
    last_image: tuple[str, bytes, str | None] | None = None  # its next rows hold the same bytes
    for name in sorted(shards):
        count = 0
        for batch in read_parquet(folder / name):
            keys = [batch[key].to_pylist() for key in ("image_id", "pair_id") if key in batch.schema.names]
            count += batch.num_rows
            digests = batch["sha256"].to_pylist() if reencode else [None] * batch.num_rows
            for key, image, sha256 in zip(zip(*keys, strict=True), batch["image"], digests, strict=True):
                if key <= last:
                    yield Problem(name, "rows are out of order or repeated", f"a key after {last}", str(key))
                last = max(last, key)
                shown = (key[0], image["bytes"].as_py() or b"", sha256)
                if shown != last_image:
                    yield from image_problems(name, *shown[:2], reencode, sha256)
                last_image = shown
        if count != shards[name]:
            yield Problem(name, "number of rows", str(shards[name]), str(count))
