"""Fetching in a build: what the corpus wants is asked for, and what came is appended as units of the source `fetch`.

Fetchers write finished attempts into spool files in the corpus' folder `fetching`, which survive a kill; the driver
appends each sealed file as one unit and then removes it. A build that finds files of a killed one appends them first,
so that no URL is asked for twice. Hosts are divided among the fetchers, so politeness needs no word between them.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from tuwen.corpus.corpus import Corpus, read_json
from tuwen.corpus.tables import digest, source_schema
from tuwen.corpus.units import SealedUnit, UnitAppender, sealed_units
from tuwen.engine.local import Workers
from tuwen.engine.progress import Phase, Progress, RunLog
from tuwen.engine.targets import read_targets, write_targets
from tuwen.fetching.attempt import Attempt
from tuwen.fetching.outcomes import OK, shares
from tuwen.fetching.settings import FETCHED, Fetch
from tuwen.fetching.spool import Spool, read, seal_left_over, sealed_files

FOLDER = "fetching"
VERSION = 1
URLS_PER_FETCHER = 50_000  # fewer do not repay starting another process
SPOOL_AGE_S = 120.0
LOOK_EVERY_S = 0.2
TELL_EVERY_S = 1.0
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
    """What the fetchers noticed about the line and the resolver."""
    wall_s: float = 0.0


@dataclass(frozen=True)
class _Share:
    """What one fetcher is to do, and the files through which it and the driver tell each other."""

    targets: tuple[Path, ...]
    settings: Fetch
    spool: Path
    cache: Path
    progress: Path
    stop: Path


def fetch_images(
    corpus: Corpus, settings: Fetch, kept: Path | None, workers: Workers, progress: Progress, log: RunLog
) -> Fetched:
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
    folder = corpus.folder("tmp") / f"fetch-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        files = [folder / f"targets-{number}.arrow" for number in range(workers.number)]
        result.num_targets = write_targets(corpus, settings, kept, files)
        if result.num_targets:
            shares = _shares(files, result.num_targets, settings, folder, spool, corpus)
            asked = _run(shares, workers, appender, progress, result, log)
            result.num_pending = result.num_targets - asked
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result.outcomes = dict(sorted(result.outcomes.items()))
    result.wall_s = time.monotonic() - started
    return result


def _shares(
    files: list[Path], num_targets: int, settings: Fetch, folder: Path, spool: Path, corpus: Corpus
) -> list[_Share]:
    """As many fetchers as the work repays; together they stay within the settings."""
    number = min(len(files), 1 + num_targets // URLS_PER_FETCHER)
    divided = replace(
        settings,
        concurrency=max(1, settings.concurrency // number),
        dns_concurrency=max(1, settings.dns_concurrency // number),
    )
    cache = corpus.folder(FOLDER) / "sites.sqlite"
    return [
        _Share(tuple(files[first::number]), divided, spool, cache, folder / f"progress-{first}.json", folder / "stop")
        for first in range(number)
    ]


def _run(
    shares: list[_Share], workers: Workers, appender: _Appender, progress: Progress, result: Fetched, log: RunLog
) -> int:
    """Run the fetchers beside this thread, which appends what they seal; returns how many URLs were asked for."""
    pool = workers if len(shares) > 1 else Workers(1)
    interrupted: BaseException | None = None
    with progress.phase("fetching", result.num_targets, "URLs") as phase, ThreadPoolExecutor(1) as beside:
        running = beside.submit(lambda: list(pool.unordered(_fetch_share, shares)))
        while not running.done():
            try:
                appender.append_sealed(shares[0].spool)
                _show(phase, shares)
                time.sleep(LOOK_EVERY_S)
            except BaseException as error:
                interrupted = interrupted or error
                shares[0].stop.touch()
                if not isinstance(error, KeyboardInterrupt):
                    break
        summaries = running.result()
        _show(phase, shares)
    if interrupted is None or isinstance(interrupted, KeyboardInterrupt):
        appender.append_sealed(shares[0].spool)
    for summary in summaries:
        log.write("fetcher", **summary)
        result.notes += summary["changes"]
    if interrupted is not None:
        raise interrupted
    return sum(summary["num_attempts"] for summary in summaries)


def _show(phase: Phase, share_files: list[_Share]) -> None:

    states = [read_json(share.progress) for share in share_files if share.progress.exists()]
    counts: Counter[str] = Counter()
    for state in states:
        counts.update(state["outcomes"])
    done = counts.total()
    rate = sum(state["rate"] for state in states)
    phase.advance(done - phase.done, " · ".join([f"{rate:,.0f}/s", *shares(counts)]))


def _fetch_share(share: _Share) -> dict[str, Any]:
    """Run one fetcher to its end. In a worker process, or in a thread of the driver."""
    import asyncio

    from tuwen.fetching.fetcher import fetch

    counts: Counter[str] = Counter()
    tell = _Teller(share.progress, counts)

    def on_attempt(attempt: Attempt) -> None:
        counts[attempt.error or OK] += 1
        tell()

    with Spool(share.spool, max_age_s=SPOOL_AGE_S) as spool:
        summary = asyncio.run(
            fetch(
                read_targets(share.targets),
                share.settings,
                spool,
                cache=share.cache,
                stop=share.stop.exists,
                on_attempt=on_attempt,
            )
        )
    tell(last=True)
    return {**vars(summary), "outcomes": dict(summary.outcomes), "changes": [str(change) for change in summary.changes]}


class _Teller:
    """Writes counts into a file, at most once a second."""

    def __init__(self, path: Path, counts: Mapping[str, int]) -> None:
        self._path, self._counts = path, counts
        self._started = self._last = time.monotonic()
        self._before = 0

    def __call__(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._last < TELL_EVERY_S and not last:
            return
        done = sum(self._counts.values())
        rate = (done - self._before) / max(now - self._last, 1e-3)
        temporary = self._path.with_suffix(".partial")
        temporary.write_text(json.dumps({"outcomes": self._counts, "rate": rate}), encoding="utf-8")
        temporary.replace(self._path)
        self._last, self._before = now, done


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
            fetches = list(fetch_rows(read(path)))  # a few thousand rows without images
            counts = Counter(error or OK for batch in fetches for error in batch["error"].to_pylist())
            count = counts.total()
            unit = SealedUnit(FETCHED, path.stem, "the web", self._reader, count, 0, None, None)
            rows: dict[str, Callable[[], Iterator[pa.RecordBatch]]] = {
                "images": lambda: image_rows(read(path)),
                "fetches": lambda: iter(fetches),
            }
            added = self._units.append(unit, rows)
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


def fetch_rows(attempts: Iterator[Attempt]) -> Iterator[pa.RecordBatch]:
    """Rows of `fetches`, in the order of the attempts."""
    schema = source_schema("fetches")
    rows: list[dict[str, Any]] = []
    for attempt in attempts:
        rows.append(_fetch_row(attempt))
        if len(rows) == _BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema)


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
