"""Images that the web no longer has, from archives: WARC files are searched for URLs that failed for good."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from tuwen.corpus.corpus import Corpus, read_json, write_json
from tuwen.corpus.units import sealed_units
from tuwen.engine.ingest import NewUnit, ingest
from tuwen.engine.local import Workers
from tuwen.engine.progress import Progress, RunLog
from tuwen.engine.targets import failed_targets
from tuwen.fetching.settings import FETCHED, Fetch
from tuwen.sources import Report, Unit
from tuwen.sources.warc import Warc


@dataclass(frozen=True)
class Fallback:
    """A source that reads only images of wanted URLs from WARC files; where a hash is expected, only those bytes."""

    paths: list[str]
    max_image_bytes: int
    wanted: str
    """JSON file: URL → expected hash or null."""

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths", "wanted")

    def units(self) -> list[Unit]:
        """The archives, named also by what is wanted of them: for other URLs they are read again."""
        digest = hashlib.sha256(Path(self.wanted).read_bytes()).hexdigest()[:12]
        return [replace(unit, name=f"fallback:{unit.name}:{digest}") for unit in self._warc.units()]

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of `fetches` and `images`."""
        wanted = _wanted(self.wanted)
        images: list[pa.RecordBatch] = []  # of the current flush; they come before the fetches that tell of them
        for table, batch in self._warc.read(unit, report):
            if table == "images":
                images.append(batch)
            elif table == "fetches":
                brought_bytes = {row["image_id"]: row["bytes"] for found in images for row in found.to_pylist()}
                good = [
                    row["image_id"] is not None
                    and row["url"] in wanted
                    and _is(row["sha256"], brought_bytes.get(row["image_id"]), wanted[row["url"]])
                    for row in batch.select(["url", "image_id", "sha256"]).to_pylist()
                ]
                kept = batch.filter(pa.array(good, pa.bool_()))
                for found in images:
                    brought = found.filter(pa.compute.is_in(found["image_id"], kept["image_id"]))
                    if brought.num_rows:
                        yield "images", brought
                images = []
                if kept.num_rows:
                    yield "fetches", kept

    @property
    def _warc(self) -> Warc:
        return Warc(self.paths, max_image_bytes=self.max_image_bytes)


def _is(sha256: str, data: bytes | None, expected: str | None) -> bool:
    """Whether these are the expected bytes. An MD5 needs them at hand: not for a picture that came earlier already."""
    kind, _, digits = (expected or "").partition(":")
    if kind == "md5":
        return data is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() == digits.lower()
    return sha256.startswith(digits.lower())


@lru_cache(maxsize=1)
def _wanted(path: str) -> dict[str, str | None]:
    return read_json(Path(path))


def fall_back(
    corpus: Corpus, settings: Fetch, kept: Path | None, workers: Workers, progress: Progress, log: RunLog
) -> int:
    """Append what the archives hold of the URLs that are wanted and failed; returns how many images that added."""
    if not (failed := failed_targets(corpus, settings, kept)):
        return 0
    wanted = corpus.folder("tmp") / f"wanted-{os.getpid()}.json"
    write_json(wanted, failed)
    try:
        source = Fallback(list(settings.fallback), settings.max_bytes, str(wanted))
        sealed = sealed_units(corpus)
        units = [NewUnit(FETCHED, source, unit) for unit in source.units() if (FETCHED, unit.name) not in sealed]
        return ingest(corpus, units, workers, progress, log).rows.get("images", 0)
    finally:
        wanted.unlink()
