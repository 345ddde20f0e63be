"""What a sample looks like: its columns, with type and origin, and the first sample of the release. For the card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuwen.releases.content import Content
from tuwen.releases.manifest import plain
from tuwen.releases.samples import plain_rows

MAX_CHARACTERS = 80  # of a text that is shown
MAX_ITEMS = 3  # of a list
FROM_SOURCE, FROM_RELEASE = "source", "release"


@dataclass(frozen=True)
class Column:
    """One column: where it is found, its type, the stage that wrote it (or source, or release) and its first value."""

    name: str
    type: str
    origin: str
    value: Any


@dataclass(frozen=True)
class Anatomy:
    """`columns` by folder of shards; `example`: the first sample without nulls and without what stages computed."""

    columns: Mapping[str, Sequence[Column]]
    example: Mapping[str, Any]


def anatomy(content: Content, folder: Path, shards: Sequence[str]) -> Anatomy:
    """Read from the first shard of each folder, Parquet or tar; other formats have none."""
    written = (*content.image_columns, *content.exported)
    origins = {"image_id": FROM_SOURCE} | {column.name: column.stage or FROM_SOURCE for column in written}
    columns: dict[str, list[Column]] = {}
    examples: dict[str, dict[str, Any]] = {}
    for name in sorted(shards):
        parent, _, leaf = name.rpartition("/")
        if parent not in columns and leaf.endswith(".parquet"):
            columns[parent], examples[parent] = _of_parquet(folder / name, origins)
        elif parent not in columns and leaf.endswith(".tar"):
            columns[parent], examples[parent] = _of_tar(folder / name, content, origins)
    return Anatomy(columns, examples.get("data", {}))


def _of_parquet(path: Path, origins: Mapping[str, str]) -> tuple[list[Column], dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        row = next(plain_rows(next(file.iter_batches(batch_size=1))))
        columns = [
            Column(field.name, str(field.type), origins.get(field.name, FROM_RELEASE), brief(row[field.name]))
            for field in file.schema_arrow
        ]
    return columns, {column.name: column.value for column in columns if _is_telling(column)}


def _of_tar(path: Path, content: Content, origins: Mapping[str, str]) -> tuple[list[Column], dict[str, Any]]:
    """Members of the first sample, then what is in its JSON: columns of the image, and of each of its texts."""
    from tuwen.releases.writers.webdataset import read_samples

    _, members = next(read_samples(path))
    sample = json.loads(members.pop("json"))
    texts = sample.get("texts", [])
    shown = {name: brief(data.decode() if name == "txt" else data) for name, data in members.items()}
    columns = [Column(name, "text" if name == "txt" else "image", FROM_RELEASE, shown[name]) for name in shown]
    of_image: dict[str, Any] = {}
    of_text: dict[str, Any] = {}
    for exported in content.exported:
        place, values, found = (
            ("json", sample, of_image) if exported.name in sample else ("json.texts[]", texts[0], of_text)
        )
        value, origin = brief(values[exported.name]), origins[exported.name]
        column = Column(f"{place}.{exported.name}", str(exported.type), origin, value)
        columns.append(column)
        if _is_telling(column):
            found[exported.name] = value
    made = sample.keys() - {"texts"} - {exported.name for exported in content.exported}
    for name in sorted(made):
        of_image[name] = brief(sample[name])
        columns.append(Column(f"json.{name}", "string", FROM_RELEASE, of_image[name]))
    more = [f"… {len(texts) - 1} more"] if len(texts) > 1 else []
    return columns, {**shown, "json": of_image | ({"texts": [of_text, *more]} if texts else {})}


def _is_telling(column: Column) -> bool:
    return column.value is not None and (
        column.origin in (FROM_SOURCE, FROM_RELEASE) or column.name.endswith("image_id")
    )


def brief(value: Any) -> Any:
    """`value` as plain JSON, with long texts and lists cut and images as format, width × height and size."""
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        return brief(value["bytes"])
    if isinstance(value, bytes):
        return _image(value)
    if isinstance(value, str):
        text = " ".join("".join(c if c.isprintable() else " " for c in value).split())
        return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    if isinstance(value, list):
        more = [f"… {len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else []
        return [brief(item) for item in value[:MAX_ITEMS]] + more
    if isinstance(value, Mapping):
        return {key: brief(item) for key, item in value.items()}
    return plain(value)


def _image(data: bytes) -> str:
    from tuwen.stages.image.pixels import decode

    found = decode(data, 1)
    return f"{found.format}, {found.width} × {found.height}, {len(data):,} bytes"
