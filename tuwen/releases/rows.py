"""The rows of a release, read back from its shards whatever their format, without any image.

Values are plain and the same in every format that holds them, so that a row of WebDataset compares with one of Parquet.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tuwen.errors import TuwenError
from tuwen.releases.manifest import Manifest
from tuwen.releases.samples import plain_rows
from tuwen.releases.shards import read_parquet
from tuwen.releases.writers.text import read_lines

Row = dict[str, Any]


class Released(NamedTuple):
    """One row: the shard that holds it, the key of its sample there, and its columns."""

    shard: str
    sample: str
    row: Row


def key_column(manifest: Manifest) -> str:
    """The column that tells rows of a release apart: pair_id, image_id or document_id, or that of a list of ids."""
    if manifest.writer["name"] == "ids" and manifest.writer["parameters"].get("column"):
        return str(manifest.writer["parameters"]["column"])
    return f"{manifest.selection['unit']}_id"


def released_rows(folder: Path, manifest: Manifest, within: str = "") -> Iterator[Released]:
    """Every row of every shard, shard by shard; of documents, those of `images/` as well, unless `within` is `data/`.

    Raises `TuwenError` for a shard that is missing or damaged, or of a format that has no rows to read.
    """
    key = key_column(manifest)
    shards = [name for name, file in manifest.files.items() if file.num_samples is not None]
    for name in sorted(name for name in shards if name.startswith(within)):
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise TuwenError(f"{folder}: its manifest names {name!r}, outside of the release; nothing is read")
        try:
            for sample, row in _rows(path, key):
                yield Released(name, sample, row)
        except (OSError, ValueError, KeyError, tarfile.TarError, pa.ArrowException) as error:
            raise TuwenError(f"{path} cannot be read: {error}; `tuwen verify {folder}` says what is wrong") from error


def _rows(path: Path, key: str) -> Iterator[tuple[str, Row]]:
    if path.suffix == ".tar":
        yield from _tar_rows(path)
    elif path.suffix == ".parquet":
        for row in _parquet_rows(path):
            yield str(row.get(key) or row.get("image_id")), row
    elif path.suffix == ".jsonl":
        for row in read_lines(path):
            yield str(row[key]), row
    elif path.suffix == ".txt":
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n"), {key: line.rstrip("\n")}
    elif path.suffix == ".npy":
        for high, low in np.load(path, mmap_mode="r"):
            yield f"{high:016x}{low:016x}", {key: f"{high:016x}{low:016x}"}
    else:
        raise TuwenError(f"{path}: {path.suffix or 'such'} files hold no rows that could be read")


def _tar_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """One row per text of a sample, or, without texts, per sample; images are skipped over."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            sample, _, extension = member.name.partition(".")
            stream = tar.extractfile(member) if extension == "json" else None
            if stream is None:
                continue
            found = json.loads(stream.read())
            texts = found.pop("texts", None)
            for text in [{}] if texts is None else texts:
                yield sample, {**found, **text}


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    columns = [name for name in pq.read_schema(path).names if name != "image"]
    for batch in read_parquet(path, columns):
        yield from plain_rows(batch)
