"""Standard streams that lose their other end, as in `tuwen … | head -1`: that costs what is said, never the work."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class _Patient(io.FileIO):
    """Goes on when nobody listens: what then is written goes nowhere."""

    def __init__(self, number: int, forgiven: type[OSError]) -> None:
        super().__init__(number, "w", closefd=False)
        self._forgiven = forgiven

    def write(self, data: Any) -> int:
        """Bytes taken."""
        try:
            return super().write(data)
        except self._forgiven:
            return memoryview(data).nbytes


def make_patient() -> None:
    """Let the process outlive the readers of its output, errors on standard error, and streams that were closed.

    A full disk under standard output still raises `OSError`: who redirects results wants to have them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # or a table would be opened under this number, and get what is printed
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _stream(sys.stdout, 1, BrokenPipeError)
    sys.stderr = _stream(sys.stderr, 2, OSError)


def _stream(given: TextIO | None, number: int, forgiven: type[OSError]) -> TextIO:
    known = given if isinstance(given, io.TextIOWrapper) else None
    return io.TextIOWrapper(
        io.BufferedWriter(_Patient(number, forgiven)),
        encoding=known.encoding if known else "utf-8",
        errors=known.errors if known else "backslashreplace",
        line_buffering=number == 2 or bool(known and known.line_buffering),
        write_through=bool(known and known.write_through),
    )
