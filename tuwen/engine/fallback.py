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
from tuwen.corpus.tables import digest, source_schema
from tuwen.corpus.units import sealed_units
from tuwen.engine.ingest import NewUnit, ingest
from tuwen.engine.mapper import Mapper
from tuwen.engine.progress import Progress, RunLog
from tuwen.engine.targets import failed_targets
from tuwen.fetching.inspection import Inspector
from tuwen.fetching.reservations import refusal
from tuwen.fetching.settings import FETCHED, Fetch
from tuwen.selections.held import HeldFile
from tuwen.sources import Report, Unit
from tuwen.sources.warc import Warc


@dataclass(frozen=True)
class Fallback:
    """A source that reads only images of wanted URLs from WARC files, held to all that holds for fetched ones.

    Hashes, blocklists, limits, re-encoding and the reservations of the archived answer decide as in the fetcher; what
    does not pass is left out, for the attempt on the web has its row already.
    """

    paths: list[str]
    settings: Fetch
    wanted: str
    """JSON file: URL → expected hashes."""

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths", "wanted", "settings")

    def units(self) -> list[Unit]:
        """The archives, named also by what is wanted of them: for other URLs they are read again."""
        digest = hashlib.sha256(Path(self.wanted).read_bytes()).hexdigest()[:12]
        return [replace(unit, name=f"fallback:{unit.name}:{digest}") for unit in archives(self.settings).units()]

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of `fetches` and `images`."""
        wanted = _wanted(self.wanted)
        inspect = Inspector(self.settings)
        bodies: dict[str, bytes] = {}  # of the current flush; images come before the fetches that tell of them
        for table, batch in archives(self.settings).read(unit, report):
            if table == "images":
                bodies.update((row["image_id"], row["bytes"]) for row in batch.to_pylist())
            elif table == "fetches":
                kept = [row for row in batch.to_pylist() if row["url"] in wanted and row["image_id"] in bodies]
                images: dict[str, bytes] = {}
                fetches = []
                for row in kept:
                    found = inspect(bodies[row["image_id"]], wanted[row["url"]])
                    if found.stored is None or refusal(_evidence(row["rights"]), self.settings):
                        continue
                    image_id = digest(found.stored)
                    images[image_id] = found.stored
                    fetches.append({**row, "image_id": image_id})
                bodies.clear()
                if images:
                    columns = {"image_id": list(images), "bytes": list(images.values())}
                    yield "images", pa.RecordBatch.from_pydict(columns, schema=source_schema("images"))
                    yield "fetches", pa.RecordBatch.from_pylist(fetches, schema=batch.schema)


def archives(settings: Fetch) -> Warc:
    """The WARC files that `fetch.fallback` names; `UsageError` from its `units` where there are none."""
    return Warc(list(settings.fallback), max_image_bytes=settings.max_bytes)


def _evidence(rights: list[dict[str, str]] | None) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["value"]) for entry in rights or ()]


@lru_cache(maxsize=1)
def _wanted(path: str) -> dict[str, tuple[str, ...]]:
    return {url: tuple(expected) for url, expected in read_json(Path(path)).items()}


def fall_back(
    corpus: Corpus, settings: Fetch, kept: HeldFile | None, workers: Mapper, progress: Progress, log: RunLog
) -> int:
    """Append what the archives hold of the URLs that are wanted and failed; returns how many images that added."""
    if not (failed := failed_targets(corpus, settings, kept)):
        return 0
    wanted = corpus.folder("tmp") / f"wanted-{os.getpid()}.json"
    write_json(wanted, failed)
    try:
        source = Fallback(list(settings.fallback), settings, str(wanted))
        sealed = sealed_units(corpus)
        units = [NewUnit(FETCHED, source, unit) for unit in source.units() if (FETCHED, unit.name) not in sealed]
        return ingest(corpus, units, workers, progress, log).rows.get("images", 0)
    finally:
        wanted.unlink()
