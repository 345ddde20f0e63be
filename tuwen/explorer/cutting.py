"""Releases cut and checked in the background, one at a time, by the command that a person would type.

A process of its own does the work: pages stay quick, and it can be ended at any moment without a trace, since a release
appears only when it is whole.
"""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tuwen.corpus.corpus import write_json
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.manifest import MANIFEST, Manifest, read_manifest
from tuwen.releases.problem import Problem

WRITING, VERIFYING, DONE, FAILED, CANCELLED = "writing", "verifying", "done", "failed", "cancelled"
UNCHECKED = "unchecked"  # the check was cancelled; the release stays
MADE = (DONE, UNCHECKED)  # the release is there
LOG = logging.getLogger("tuwen.explorer")
PATIENCE_S = 5.0  # between asking a process to end and ending it
MOST_FOUND = 60
# SIGTERM does what Ctrl-C does: a shell makes what it starts in the background, and its children, deaf to SIGINT.
_HEARS = "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler); "
_TUWEN = (sys.executable, "-c", f"{_HEARS}from tuwen.cli import script; script()")


def command(*words: object) -> str:
    """A command of ours as a person types it into a shell, in the folder where the explorer was started."""
    return shlex.join(["tuwen", *map(str, words)])


@dataclass(frozen=True)
class Order:
    """A release to cut. `words`: its parameters, as `--set` takes them; `flags`: further options."""

    corpus: Path
    selection: str
    format: str
    to: str
    words: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """What follows `tuwen` on the command line."""
        sets = [each for word in self.words for each in ("--set", word)]
        return ["release", str(self.corpus), f"--selection={self.selection}", f"--to={self.to}",
                f"--format={self.format}", *sets, *self.flags]  # fmt: skip

    @property
    def command(self) -> str:
        """The command that does the same."""
        return command(*self.arguments)


@dataclass
class Work:
    """A release that is being cut or, where it was there already, checked (`is_cut` false)."""

    order: Order
    target: Path
    state: str = WRITING
    told: str = ""
    started: float = field(default_factory=time.time)
    ended: float | None = None
    is_cut: bool = True

    @property
    def is_running(self) -> bool:
        return self.state in (WRITING, VERIFYING)

    @property
    def seconds(self) -> float:
        return (self.ended or time.time()) - self.started

    def written(self) -> tuple[int, int]:
        """Files and bytes so far: in the hidden folder beside the target, or in the target."""
        parent, name = self.target.parent, self.target.name
        try:
            places = [self.target, *(each for each in parent.iterdir() if each.name.startswith(f".{name}."))]
            sizes = [path.stat().st_size for place in places for path in place.rglob("*") if path.is_file()]
        except OSError:  # it moves while we look
            return 0, 0
        return len(sizes), sum(sizes)


@dataclass(frozen=True)
class Made:
    """A release that this corpus' explorer cut, or that lies near. `problems` is null where nobody checked it here."""

    path: str
    selection: str = ""
    format: str = ""
    made: float = 0.0
    problems: list[str] | None = None


class Cutting:
    """What is cut, and what was. Thread-safe."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._file = corpus / "cache" / "explorer" / "releases.json"
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._cancelled = False
        self.base = Path.cwd()
        self.work: Work | None = None

    def target(self, to: str) -> Path:
        """The folder that a release goes to; `UsageError` unless it is a new one that may be written."""
        text = to.strip()
        if not text or "\0" in text:
            raise UsageError("name a new folder for the release")
        path = Path(text)
        if not path.is_absolute() and ".." in path.parts:
            raise UsageError(f"{text!r} leads out of {self.base}; give an absolute path for another place")
        if text.startswith("~"):  # a folder of that name would be made, and whoever removes it may remove another
            raise UsageError(f"{text[:200]!r}: no shell reads this; write the whole path of your own folder")
        path = self.base / path
        try:
            self._check_free(path)
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # a long name, a shut folder, a circle of links
            told = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"{str(path)[:200]!r} cannot be made: {told}; name another folder") from None
        return path

    def _check_free(self, path: Path) -> None:
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} exists already; name a new folder")
        if path.resolve().is_relative_to(self._corpus.resolve()):
            raise UsageError(f"{path} lies inside the corpus; name a folder elsewhere")
        if any(parent.exists() and not parent.is_dir() for parent in path.parents):
            raise UsageError(f"{path} cannot be made: something above it is a file")

    def start(self, order: Order) -> Work:
        """Begin to cut; `UsageError` while another release is being cut."""
        with self._lock:
            if self.work is not None and self.work.is_running:
                raise UsageError(f"{self.work.target} is being cut; wait for it, or cancel it")
            work = self.work = Work(order, self.target(order.to))
            self._cancelled = False
        threading.Thread(target=self._ended, args=(self._run, work), name="tuwen-release", daemon=True).start()
        return work

    def is_making(self, to: str) -> bool:
        """Whether the release that is being cut goes to this folder."""
        work = self.work
        return work is not None and work.is_running and work.target == self.base / to.strip()

    def check(self, path: Path, made: Made) -> Work:
        """Verify a release that is there."""
        with self._lock:
            if self.work is not None and self.work.is_running:
                raise UsageError(f"{self.work.target} is being cut; wait for it, or cancel it")
            order = Order(self._corpus, made.selection, made.format, str(path))
            work = self.work = Work(order, path, VERIFYING, is_cut=False)
            self._cancelled = False
        threading.Thread(target=self._ended, args=(self._verify, work), name="tuwen-verify", daemon=True).start()
        return work

    def cancel(self) -> None:
        """End what is being cut; nothing of it stays."""
        with self._lock:
            process, self._cancelled = self._process, True
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _ended(self, run: Callable[[Work], None], work: Work) -> None:
        """Work ends whatever happens: nothing else is cut while it does not."""
        try:
            run(work)
        except Exception as error:
            LOG.exception("%s", work.order.command)
            self._end(work, FAILED, str(error))

    def _run(self, work: Work) -> None:
        code, _, told = self._tuwen(work.order.arguments)
        is_whole = self._cancelled and (work.target / MANIFEST).is_file()  # cancelled too late
        if code and not is_whole:
            self._end(work, CANCELLED if self._cancelled else FAILED, _last_words(told))
            return
        self._remember(Made(str(work.target), work.order.selection, work.order.format, time.time()))
        work.state = VERIFYING
        self._verify(work)

    def _verify(self, work: Work) -> None:
        code, out, told = self._tuwen(["verify", str(work.target), "--json"])
        if self._cancelled:
            self._end(work, UNCHECKED, "")
            return
        try:
            problems = [str(Problem(**each)) for each in json.loads(out)]
        except (ValueError, TypeError):
            self._end(work, FAILED, _last_words(told) or f"tuwen verify ended with {code}")
            return
        self._remember(
            Made(str(work.target), work.order.selection, work.order.format, work.target.stat().st_mtime, problems)
        )
        self._end(work, DONE, "\n".join(problems[:5]))

    def _end(self, work: Work, state: str, told: str) -> None:
        work.ended, work.told, work.state = time.time(), told, state

    def _tuwen(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        with self._lock:
            if self._cancelled:
                return 1, "", ""
            process = self._process = subprocess.Popen(
                [*_TUWEN, *arguments],
                cwd=self.base,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        out, told = process.communicate()
        with self._lock:
            self._process = None
        return process.returncode, out, told

    # What there is ----------------------------------------------------------------------------------------------

    def listed(self) -> list[Made]:
        """Releases that were cut here and are still there, the newest first, then others that lie near."""
        ours = {made.path: made for made in self._stored() if (Path(made.path) / MANIFEST).is_file()}
        for path in self._near():
            if str(path) not in ours and len(ours) < MOST_FOUND:
                try:
                    manifest = read_manifest(path)
                except TuwenError:
                    continue
                found = Made(str(path), str(manifest.selection.get("name", "")), str(manifest.writer.get("name", "")),
                             (path / MANIFEST).stat().st_mtime)  # fmt: skip
                ours[found.path] = found
        return sorted(ours.values(), key=lambda made: (-made.made, made.path))

    def named(self, path: str) -> tuple[Made, Manifest]:
        """A release of those listed; `UsageError` else: no page reads a folder that merely was asked for."""
        for made in self.listed():
            if made.path == path:
                return made, read_manifest(Path(path))
        raise UsageError(f"{path[:200]!r} is none of the releases that are listed")

    def _near(self) -> Iterator[Path]:
        parent = self._corpus.resolve().parent
        places = dict.fromkeys((self.base, self.base / "releases", parent, parent / "releases"))
        for place in places:
            try:
                folders = sorted(each for each in place.iterdir() if (each / MANIFEST).is_file())
            except OSError:
                continue
            yield from (each for each in folders[:MOST_FOUND] if not each.name.startswith("."))

    def _stored(self) -> list[Made]:
        try:
            entries: list[dict[str, Any]] = json.loads(self._file.read_text(encoding="utf-8"))
            return [Made(**entry) for entry in entries]
        except (OSError, ValueError, TypeError):
            return []  # a cache: releases are found by their folders, too

    def _remember(self, made: Made) -> None:
        with self._lock:
            others = [each for each in self._stored() if each.path != made.path]
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_json(self._file, [asdict(each) for each in (*others, made)])
            except OSError:
                return


def _last_words(told: str) -> str:
    lines = [line for line in told.splitlines() if line.strip()]
    return "\n".join(lines[-6:])
