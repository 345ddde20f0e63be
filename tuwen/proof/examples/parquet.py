"""Parquet with images in it: releases of tuwen, data sets of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.proof.index import IndexWriter, indexed
from tuwen.proof.streamed import Streamed
from tuwen.releases.samples import text_order
from tuwen.sources.datasets.files import find_files, is_url
from tuwen.sources.datasets.released import shards_in
from tuwen.sources.sniffing import image_format

BATCH_ROWS = 256
TEXTS, IMAGES = ("text", "caption", "captions"), ("image", "jpg", "png")
RELEASED = {"image_id", "pair_id", "text", "text_source"}
"""Columns of pairs that tuwen released: those of one image are neighbours, and their texts have an order."""


@dataclass(frozen=True)
class Parquet:
    """Rows with an image, as bytes or a struct of `bytes` and `path`, and its texts, a string or a list of them.

    The pairs of one image in a release of tuwen are one example, the best text first. `text`, `image`: names of the
    columns; where nothing is said, the usual ones. `columns`: our name → theirs; strings, empty where they are missing.

    Parquet gives no access to a single image, so all of them are copied once into the run's folder.
    """

    paths: tuple[str, ...]
    text: str | None = None
    image: str | None = None
    columns: dict[str, str] = field(default_factory=dict)

    def load(self, folder: Path, side: int, *, crop: bool = False, workers: int = 1) -> Streamed:
        """The examples, in the order of files and rows."""
        found = shards_in(find_files(self.paths, (".parquet",), "parquet"))
        if urls := [path for path in found if is_url(path)]:
            raise UsageError(f"{urls[0]!r}: to be trained on, files have to lie on this machine")
        files = [Path(path).resolve() for path in found]
        key = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]

        def fill(writer: IndexWriter) -> None:
            for path in files:
                self._add(path, writer)

        index = indexed(folder, ["parquet", key, self.text, self.image, self.columns], list(self.columns), fill)
        return Streamed(index, side, crop=crop, workers=workers)

    def _add(self, path: Path, writer: IndexWriter) -> None:
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                names = file.schema_arrow.names
                if missing := [theirs for theirs in self.columns.values() if theirs not in names]:
                    raise UsageError(f"{path} has no column {missing[0]!r}; it has {', '.join(names)}")
                image = _named("image", self.image, IMAGES, names, path)
                text = _named("text", self.text, TEXTS, names, path)
                is_released = set(names) >= RELEASED and text == "text"
                wanted = {image, text, *self.columns.values(), *(RELEASED | {"editorial"} if is_released else ())}
                rows = _rows(file, [name for name in names if name in wanted])
                for key, group in groupby(rows, key=lambda row: row[1]["image_id"] if is_released else row[0]):
                    found = [row for _, row in group]
                    data = found[0][image]
                    if is_released:
                        found.sort(key=text_order)
                    texts = [each for row in found for each in _texts(row[text])]
                    self._example(str(key), data, texts, found[0], writer)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            writer.skipped[f"ends of damaged files ({path.name}: {type(error).__name__})"] += 1

    def _example(self, name: str, image: Any, texts: list[str], row: dict[str, Any], writer: IndexWriter) -> None:
        data = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(data, bytes) or not data:
            writer.skipped["rows without an image"] += 1
        elif not image_format(data):
            writer.skipped["images that are none by their first bytes"] += 1
        elif not texts:
            writer.skipped["rows without a text"] += 1
        else:
            more = {ours: "" if row[theirs] is None else str(row[theirs]) for ours, theirs in self.columns.items()}
            writer.add([{"name": name, "texts": texts, **writer.stored(data), **more}])


def _named(what: str, given: str | None, usual: tuple[str, ...], names: list[str], path: Path) -> str:
    found = [name for name in ([given] if given else usual) if name in names]
    if not found:
        raise UsageError(f"{path} has no column of {what}s; say {what}: one of {', '.join(names)}")
    return found[0]


def _rows(file: Any, names: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in file.iter_batches(BATCH_ROWS, columns=names):
        for row in batch.to_pylist():
            yield number, row
            number += 1


def _texts(value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [str(each) for each in found if each is not None and str(each).strip()]
