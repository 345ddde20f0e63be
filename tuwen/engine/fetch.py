"""Fetching in a build: what the corpus wants is asked for, and what came is appended as units of the source `fetch`.

The fetcher writes finished attempts into spool files in the corpus' folder `fetching`, which survive a kill; the driver
appends each sealed file as one unit and then removes it. A build that finds files of a killed one appends them first,
so that no URL is asked for twice.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import digest, source_schema
from tuwen.corpus.units import SealedUnit, UnitAppender, sealed_units
from tuwen.engine.progress import Phase, Progress, RunLog
from tuwen.engine.targets import read_targets, write_targets
from tuwen.errors import UsageError
from tuwen.fetching.attempt import Attempt
from tuwen.fetching.outcomes import OK, shares
from tuwen.fetching.settings import FETCHED, Fetch
from tuwen.fetching.spool import Spool, read, seal_left_over, sealed_files
from tuwen.selections.held import HeldFile

if TYPE_CHECKING:
    from tuwen.fetching.attempt import Summary

FOLDER = "fetching"
VERSION = 1
SPOOL_AGE_S = 120.0
LOOK_EVERY_S = 0.2
_BATCH_BYTES, _BATCH_ROWS = 8 << 20, 4_096


@dataclass
class Fetched:
    """What a fetch came to: attempts by class (`ok`, `http_404`, …), images added, URLs that are still pending."""

    num_targets: int = 0
    num_attempts: int = 0
    num_images: int = 0
    num_pending: int = 0
    num_recovered: int = 0
    """Attempts of a killed run that were found and kept."""
    outcomes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """When and why fewer requests than allowed ran at once."""
    wall_s: float = 0.0


def check_fetch(settings: Fetch) -> None:
    """`UsageError` for all that can be known to be wrong before hours of fetching: contact and files."""
    from tuwen.fetching.blocklists import Blocklists

    _ = settings.user_agent
    Blocklists(settings.blocklists, settings.blocklist_distance)
    if settings.fallback:
        from tuwen.engine.fallback import archives

        try:
            archives(settings).units()
        except UsageError as error:
            raise UsageError(f"fetch.fallback: {error}") from error


def fetch_images(corpus: Corpus, settings: Fetch, kept: HeldFile | None, progress: Progress, log: RunLog) -> Fetched:
    """Ask for every URL that the corpus wants (those of `kept`, a ledger of pairs, if given) and append what came.

    Only under the write lock. Ctrl-C and the deadline end it cleanly: what is in flight is finished and kept.
    """
    started = time.monotonic()
    result = Fetched()
    spool = corpus.folder(FOLDER) / "spool"
    spool.mkdir(exist_ok=True)
    appender = _Appender(corpus, settings, result, log)
    seal_left_over(spool)
    result.num_recovered = appender.append_sealed(spool)
    targets = corpus.folder("tmp") / f"targets-{os.getpid()}.arrow"
    try:
        result.num_targets = write_targets(corpus, settings, kept, targets)
        if result.num_targets:
            fetcher = _Fetcher(targets, settings, spool, corpus.folder(FOLDER) / "sites.sqlite")
            _run(fetcher, appender, progress, result, log)
            result.num_pending = result.num_targets - fetcher.counts.total()
    finally:
        targets.unlink(missing_ok=True)
    result.outcomes = dict(sorted(result.outcomes.items()))
    result.wall_s = time.monotonic() - started
    return result


def _run(fetcher: _Fetcher, appender: _Appender, progress: Progress, result: Fetched, log: RunLog) -> None:
    """Run the fetcher beside this thread, which appends what it seals and shows how far it is."""
    interrupted: BaseException | None = None
    with progress.phase("fetching", result.num_targets, "URLs") as phase, ThreadPoolExecutor(1) as beside:
        running = beside.submit(fetcher.run)
        while not running.done():
            try:
                appender.append_sealed(fetcher.spool)
                _show(phase, fetcher)
                wait([running], LOOK_EVERY_S)
            except BaseException as error:
                interrupted = interrupted or error
                fetcher.stopping = True
                if not isinstance(error, KeyboardInterrupt):
                    break
        summary = running.result()
        _show(phase, fetcher)
    if interrupted is None or isinstance(interrupted, KeyboardInterrupt):
        appender.append_sealed(fetcher.spool)
    result.notes = [str(change) for change in summary.changes]
    log.write("fetcher", **{**vars(summary), "outcomes": dict(summary.outcomes), "changes": result.notes})
    if interrupted is not None:
        raise interrupted


def _show(phase: Phase, fetcher: _Fetcher) -> None:
    counts = Counter(fetcher.counts)
    done = counts.total()
    rate = done / max(time.monotonic() - fetcher.started, 1e-3)
    phase.advance(done - phase.done, " · ".join([f"{rate:,.0f}/s", *shares(counts)]))


class _Fetcher:
    """The fetcher in a thread of its own: one event loop takes some 0.3 ms of CPU per image, so it outruns most lines
    and politeness needs a single place that knows what each host was asked.
    """

    def __init__(self, targets: Path, settings: Fetch, spool: Path, cache: Path) -> None:
        self.spool = spool
        self.counts: Counter[str] = Counter()
        self.stopping = False
        self.started = time.monotonic()
        self._targets, self._settings, self._cache = targets, settings, cache

    def run(self) -> Summary:
        """Fetch to the end, the deadline, or until `stopping`."""
        import asyncio

        from tuwen.fetching.fetcher import fetch

        with Spool(self.spool, max_age_s=SPOOL_AGE_S) as spool:
            return asyncio.run(
                fetch(
                    read_targets(self._targets),
                    self._settings,
                    spool,
                    cache=self._cache,
                    stop=lambda: self.stopping,
                    on_attempt=self._count,
                )
            )

    def _count(self, attempt: Attempt) -> None:
        self.counts[attempt.error or OK] += 1


class _Appender:
    """Appends spool files to the corpus, each as one unit named like the file, and removes them."""

    def __init__(self, corpus: Corpus, settings: Fetch, result: Fetched, log: RunLog) -> None:
        self._corpus, self._result, self._log = corpus, result, log
        self._units: UnitAppender | None = None  # it reads all keys of the corpus: not before there is need
        self._reader = json.dumps([FETCHED, VERSION, {"user_agent": settings.user_agent, "obey": settings.obey}])

    def append_sealed(self, spool: Path) -> int:
        """Append all sealed files; returns how many attempts they held."""
        return sum(self._append(path) for path in sealed_files(spool))

    def _append(self, path: Path) -> int:
        if self._units is None:
            self._units = UnitAppender(self._corpus)
            self._sealed = sealed_units(self._corpus)
        count = 0
        if (FETCHED, path.stem) not in self._sealed:  # else killed between sealing the unit and removing the file
            unit = SealedUnit(FETCHED, path.stem, "the web", self._reader, 0, 0, None, None)
            counts: Counter[str] = Counter()
            fetches: list[dict[str, Any]] = []  # a few thousand, without images: the file is read once

            def attempts() -> Iterator[Attempt]:
                for attempt in read(path):
                    counts[attempt.error or OK] += 1
                    fetches.append(_fetch_row(attempt))
                    yield attempt
                unit.num_records = counts.total()

            rows: dict[str, Callable[[], Iterator[pa.RecordBatch]]] = {
                "images": lambda: image_rows(attempts()),  # appended first, and read to the end
                "fetches": lambda: fetch_rows(fetches),
            }
            added = self._units.append(unit, rows)
            count = counts.total()
            self._result.num_attempts += count
            self._result.num_images += added["images"]
            for name, number in counts.items():
                self._result.outcomes[name] = self._result.outcomes.get(name, 0) + number
            self._log.write("fetched", source_unit=path.stem, rows=added, outcomes=counts)
        path.unlink()
        return count


def image_rows(attempts: Iterator[Attempt]) -> Iterator[pa.RecordBatch]:
    """Images in the order of the attempts, about 8 MB a batch, repeated ones once a batch."""
    schema = source_schema("images")
    images: dict[str, bytes] = {}
    size = 0
    for attempt in attempts:
        if attempt.image is None or attempt.image_id is None:
            continue
        if attempt.image_id not in images:
            images[attempt.image_id] = attempt.image
            size += len(attempt.image)
        if size >= _BATCH_BYTES:
            yield pa.RecordBatch.from_pydict({"image_id": list(images), "bytes": list(images.values())}, schema)
            images, size = {}, 0
    if images:
        yield pa.RecordBatch.from_pydict({"image_id": list(images), "bytes": list(images.values())}, schema)


def fetch_rows(rows: Sequence[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Rows of `fetches` in batches."""
    for start in range(0, len(rows), _BATCH_ROWS):
        yield pa.RecordBatch.from_pylist(rows[start : start + _BATCH_ROWS], source_schema("fetches"))


def _fetch_row(attempt: Attempt) -> dict[str, Any]:
    rights = attempt.rights
    return {
        "fetch_id": digest(attempt.url, attempt.captured_at, attempt.status, attempt.error, attempt.sha256),
        "url": attempt.url,
        "captured_at": attempt.captured_at,
        "status": attempt.status,
        "error": attempt.error,
        "content_type": attempt.content_type,
        "rights": None if rights is None else [{"kind": kind, "value": value} for kind, value in rights],
        "redirect_url": attempt.redirect_url,
        "num_bytes": attempt.num_bytes,
        "sha256": attempt.sha256,
        "elapsed_ms": attempt.elapsed_ms,
        "image_id": attempt.image_id,
    }
