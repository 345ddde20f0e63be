"""What a person sees of a run, and the log that a machine can read."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger("tuwen")
LINE_EVERY_S = 30.0


class Progress:
    """Bars on a terminal, one plain line per 30 s otherwise, on standard error; nothing when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty() and not quiet

    @contextmanager
    def phase(self, title: str, total: int, unit: str) -> Iterator[Phase]:
        """One stretch of work with a known number of steps."""
        if self._terminal:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
            console = Console(stderr=True)
            with Bars(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console) as bars:
                task = bars.add_task(title, total=total, note="")
                yield Phase(lambda done, note: bars.update(task, completed=done, note=note))
        else:
            phase = Phase(_Lines(title, total, unit, self._quiet).show)
            yield phase
            if not self._quiet:
                print(f"{title}: {phase.done}/{total} {unit} {phase.note}".rstrip(), file=sys.stderr)


class Phase:
    """Counts steps and shows them."""

    def __init__(self, show: Any) -> None:
        self._show = show
        self.done = 0
        self.note = ""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """So many more steps are done; `note` stands at the end of the line."""
        self.done += steps
        self.note = note
        self._show(self.done, note)


class _Lines:
    def __init__(self, title: str, total: int, unit: str, quiet: bool) -> None:
        self._text = (title, total, unit)
        self._quiet, self._last = quiet, time.monotonic()

    def show(self, done: int, note: str) -> None:
        if self._quiet or time.monotonic() - self._last < LINE_EVERY_S:
            return
        title, total, unit = self._text
        self._last = time.monotonic()
        print(f"{title}: {done}/{total} {unit} {note}".rstrip(), file=sys.stderr)


class RunLog:
    """One JSON object per line and event in `logs/` of the corpus: time (UTC), event, and whatever belongs to it."""

    def __init__(self, folder: Path, verb: str) -> None:
        self._lines: list[str] = []
        now = datetime.now(UTC)
        self.path = folder / f"{now:%Y%m%dT%H%M%S.%f}Z-{verb}.jsonl"

    def begin(self, event: str, **details: Any) -> None:
        """Keep an event until another follows: a run that finds nothing to do leaves no log."""
        self._lines.append(_line(event, details))

    def write(self, event: str, **details: Any) -> None:
        """Append one event."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.writelines([*self._lines, _line(event, details)])
        self._lines.clear()
        logger.debug("%s %s", event, details)


def _line(event: str, details: dict[str, Any]) -> str:
    line = {"time": datetime.now(UTC).isoformat(), "event": event, **details}
    return json.dumps(line, ensure_ascii=False, default=str) + "\n"
