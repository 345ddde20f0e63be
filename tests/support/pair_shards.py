"""Drawn scenes with their captions as shards that others could have written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import data_sets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tuwen.models.columns import Columns
from tuwen.proof.worlds.scenes import Scenes

BROKEN = b"\x89PNG\r\n\x1a\n and nothing more"


def scenes(number: int, seed: int = 1) -> Columns:
    """Simple ones, 32 pixels wide."""
    return Scenes(style=("flat",), objects=(1,)).train(number, seed)


def png(pixels: Any) -> bytes:
    """A file of these pixels."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def write_shards(folder: Path, number: int, seed: int = 1, *, shards: int = 2, broken: tuple[int, ...] = ()) -> Columns:
    """`number` samples in tar shards as img2dataset lays them out; images of the rows `broken` do not decode."""
    folder.mkdir(parents=True, exist_ok=True)
    found = scenes(number, seed)
    size = -(-number // shards)
    for shard in range(shards):
        entries = []
        for row in range(shard * size, min(number, (shard + 1) * size)):
            data = BROKEN if row in broken else png(found["image"][row])
            told = {"caption": found["text"][row], "number": row}
            entries += [(f"{row:06}.png", data), (f"{row:06}.txt", found["text"][row].encode())]
            entries += [(f"{row:06}.json", json.dumps(told).encode())]
        (folder / f"{shard:05}.tar").write_bytes(data_sets.tar(entries))
    return found


def write_table(path: Path, number: int, seed: int = 1, *, broken: tuple[int, ...] = ()) -> Columns:
    """The same as one Parquet file with the columns image, text and number."""
    found = scenes(number, seed)
    files = [BROKEN if row in broken else png(found["image"][row]) for row in range(number)]
    cells = pa.array([{"bytes": data, "path": None} for data in files], data_sets.IMAGE)
    table = pa.table({"image": cells, "text": found["text"], "number": list(range(number))})
    pq.write_table(table, path, row_group_size=50)
    return found
