"""Interleaved documents: text and images of a page in reading order, OBELICS style.

Field by field, so that loaders written for other corpora need a rename and no more:

| here | OBELICS | MMC4 | WanJuan |
|---|---|---|---|
| `texts[i]`, null at an image | `texts` | `text_list` | `content_list[i].content` |
| `images[i]`, an image_id, null at a text | `images` (URLs) | `image_info[k].image_name` | — |
| `image_urls[i]` | `images` | `image_info[k].raw_url` | `content_list[i].img_url` |
| `kinds[i]`, as the nodes of a document | — | — | `content_list[i].type` |
| `matched_text_index[i]`, the place in `texts` of an image's text | — | `image_info[k].matched_text_index` | — |
| `matched_similarity[i]` | — | `image_info[k].matched_sim` | — |
| `url`, `title`, … | `general_metadata` | `url` | `url`, `title` |
| `num_removed_images` | — | — | — |

The two matches are there where the recipe has the stage `document.assignment`; its `regions` should be those written.

One layout, two tables. `data/` holds the documents; `images/` holds every image that stays, once, with its columns,
ordered by image_id. Pages share images (a logo may stand on each of them), so bytes inside the rows would repeat
them; and whoever wants only text or only the structure need not download pixels. <https://arxiv.org/abs/2306.16527>,
<https://arxiv.org/abs/2304.06939>, <https://arxiv.org/abs/2308.10755>
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.releases.content import Content
from tuwen.releases.croissant import parquet_records
from tuwen.releases.problem import Problem
from tuwen.releases.shards import Limits, ParquetShards, read_parquet
from tuwen.releases.writers.parquet import check_images, write_images

_STRINGS = pa.list_(pa.string())
_IMAGE_KINDS = ("image", "frame")
INTERLEAVED = pa.schema(
    [
        pa.field("texts", _STRINGS),
        pa.field("images", _STRINGS),
        pa.field("image_urls", _STRINGS),
        pa.field("kinds", _STRINGS),
        pa.field("num_written_texts", pa.int32()),
        pa.field("num_written_images", pa.int32()),
        pa.field("num_removed_images", pa.int32()),
    ]
)
MATCHED = pa.schema(
    [pa.field("matched_text_index", pa.list_(pa.int32())), pa.field("matched_similarity", pa.list_(pa.float32()))]
)
_SLICE_ROWS = 16  # documents as Python values at a time: a page may have thousands of nodes


@dataclass(frozen=True)
class Documents:
    """`data/00000.parquet`, … with one row per document, `images/00000.parquet`, … with one per image that stays.

    Only nodes in `regions` are written (a node without a region counts as main). An image stays if the selection of
    images keeps it; `num_removed_images` counts the images of those regions that did not. Inline SVG has no bytes in
    a corpus and is left out uncounted.
    """

    version: ClassVar[int] = 3
    units: ClassVar[tuple[str, ...]] = ("document",)
    sample: ClassVar[str] = "row"

    regions: tuple[str, ...] = ("main",)
    samples_per_shard: int = 100_000
    shard_bytes: int = 512 << 20
    group_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        if not self.regions:
            raise UsageError("documents: regions must name at least one region, for example main")
        self._limits()

    def _limits(self) -> Limits:
        return Limits(self.samples_per_shard, self.shard_bytes, self.group_bytes)

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write the documents, then the images."""
        written = pa.schema([*INTERLEAVED, *(MATCHED if content.matches else ())])
        shards = ParquetShards(folder / "data", pa.schema([*content.schema, *written]), self._limits())
        for batch in content.document_rows(self.regions):
            for start in range(0, batch.num_rows, _SLICE_ROWS):
                shards.add(self._interleaved(batch.slice(start, _SLICE_ROWS), content.schema.names, written))
        shards.close()
        images = write_images(content, content.image_rows(), content.image_schema, folder / "images", self._limits())
        return {
            **{f"data/{name}": count for name, count in shards.counts.items()},
            **{f"images/{name}": count for name, count in images.items()},
        }

    def _interleaved(self, batch: pa.RecordBatch, names: list[str], written: pa.Schema) -> pa.RecordBatch:
        beside = [name for name in ("nodes", "image_ids", "kept_images", *MATCHED.names) if name in batch.schema.names]
        rows = []
        for row in batch.select(beside).to_pylist():
            nodes = row["nodes"] or []
            none: list[Any] = [None] * len(nodes)
            matches = list(zip(*(row.get(name) or none for name in MATCHED.names), strict=True))
            rows.append(self._document(nodes, row["image_ids"] or none, set(row["kept_images"] or []), matches))
        built = pa.RecordBatch.from_pylist(rows, schema=written)
        return pa.RecordBatch.from_arrays(
            [*(batch[name] for name in names), *built.columns], names=[*names, *written.names]
        )

    def _document(
        self, nodes: list[dict[str, Any]], image_ids: list[str | None], kept: set[str], matches: list[tuple[Any, Any]]
    ) -> dict[str, Any]:
        pieces: list[tuple[str | None, str | None, str | None, str]] = []
        places: dict[int, int] = {}  # of nodes among the pieces
        removed = 0
        for number, (node, image_id) in enumerate(zip(nodes, image_ids, strict=True)):
            if (node["region"] or "main") not in self.regions:
                continue
            if node["kind"] in _IMAGE_KINDS:
                if image_id in kept:
                    places[number] = len(pieces)
                    pieces.append((None, image_id, _url(node["image_ref"]), node["kind"]))
                else:
                    removed += 1
            elif node["text"]:
                places[number] = len(pieces)
                pieces.append((node["text"], None, None, node["kind"]))
        texts, images, urls, kinds = (
            (list(column) for column in zip(*pieces, strict=True)) if pieces else ([], [], [], [])
        )
        num_images = sum(image is not None for image in images)
        found = [(places.get(index), similarity) for index, similarity in (matches[number] for number in places)]
        return {
            "texts": texts,
            "images": images,
            "image_urls": urls,
            "kinds": kinds,
            "num_written_texts": len(pieces) - num_images,
            "num_written_images": num_images,
            "num_removed_images": removed,
            "matched_text_index": [index for index, _ in found],
            "matched_similarity": [None if index is None else similarity for index, similarity in found],
        }

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Alignment and counts of the documents, order, every image present, and the images themselves."""
        image_shards = {name: count for name, count in shards.items() if name.startswith("images/")}
        present = _ids(folder, image_shards)
        used: set[str] = set()
        last = ""
        for name in sorted(set(shards) - set(image_shards)):
            count = 0
            for batch in read_parquet(folder / name):
                count += batch.num_rows
                for start in range(0, batch.num_rows, _SLICE_ROWS):
                    for row in batch.slice(start, _SLICE_ROWS).to_pylist():
                        if row["document_id"] <= last:
                            yield Problem(
                                name,
                                "rows are out of order or repeated",
                                f"an id after {last}",
                                row["document_id"],
                            )
                        last = max(last, row["document_id"])
                        used.update(image for image in row["images"] if image)
                        yield from _check_document(name, row, present)
            if count != shards[name]:
                yield Problem(name, "number of rows", str(shards[name]), str(count))
        if unused := present - used:
            yield Problem("images", "images that no document uses", "none", f"{len(unused)}, one is {min(unused)}")
        yield from check_images(folder, image_shards)

    def configs(self) -> list[dict[str, str]]:
        """Documents, and their images."""
        return [
            {"config_name": "default", "data_files": "data/*.parquet"},
            {"config_name": "images", "data_files": "images/*.parquet"},
        ]

    def features(self, content: Content) -> list[dict[str, Any]]:
        """Parquet says it itself."""
        return []

    def record_sets(self, folder: Path, shards: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Two record sets: default, images."""
        first = {name.split("/")[0]: name for name in sorted(shards, reverse=True)}
        sets, records = [], []
        for folder_name, record_set in (("data", "default"), ("images", "images")):
            if folder_name in first:
                found = parquet_records(record_set, folder_name, folder / first[folder_name])
                sets.extend(found[0])
                records.extend(found[1])
        return sets, records

    def usage(self) -> str:
        """How to load it."""
        return """```python
from datasets import load_dataset

documents = load_dataset("parquet", data_files="data/*.parquet", split="train")
images = load_dataset("parquet", data_files="images/*.parquet", split="train")
position = {image_id: row for row, image_id in enumerate(images["image_id"])}

for text, image_id in zip(documents[0]["texts"], documents[0]["images"]):
    part = text if image_id is None else images[position[image_id]]["image"]
```

`texts` and `images` have the same length: position by position one of them is null. Field names follow OBELICS, with
image ids in place of URLs (those are in `image_urls`). `num_removed_images` counts images that the selection of images
left out of the document; `num_written_texts` and `num_written_images` count what is there. Other columns (`num_images`,
…) describe the whole page.
"""


def _url(image_ref: str | None) -> str | None:
    return None if image_ref is None or image_ref.startswith("data:") else image_ref


def _ids(folder: Path, shards: Mapping[str, int]) -> set[str]:
    return {
        image_id
        for name in shards
        for batch in read_parquet(folder / name, ["image_id"])
        for image_id in batch["image_id"].to_pylist()
    }


def _check_document(name: str, row: dict[str, Any], present: set[str]) -> Iterator[Problem]:
    document = row["document_id"]
    columns = ("texts", "images", "image_urls", "kinds", *(name for name in MATCHED.names if name in row))
    lengths = {len(row[column]) for column in columns}
    aligned = len(lengths) == 1 and all(
        (text is None) != (image is None) for text, image in zip(row["texts"], row["images"], strict=False)
    )
    if not aligned:
        yield Problem(name, f"texts and images of document {document} are not aligned", "one of the two at each place")
    wrong = [
        index
        for index, image in zip(row.get("matched_text_index", ()), row["images"], strict=False)
        if index is not None and (image is None or not 0 <= index < len(row["texts"]) or not row["texts"][index])
    ]
    if wrong:
        yield Problem(name, f"matches of document {document}", "from an image to a text", f"place {wrong[0]}")
    found = (
        sum(text is not None for text in row["texts"]),
        sum(image is not None for image in row["images"]),
    )
    if found != (row["num_written_texts"], row["num_written_images"]):
        yield Problem(name, f"counts of document {document}", f"{row['num_texts']}, {row['num_images']}", str(found))
    for image_id in row["images"]:
        if image_id is not None and image_id not in present:
            yield Problem(name, f"an image of document {document} is missing", image_id, "not in images/")
