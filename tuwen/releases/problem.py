"""One thing that is wrong with a release."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """Where (path in the release), what is wrong, what was expected and what was found."""

    file: str
    what: str
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        detail = f" (expected {self.expected}, found {self.found})" if self.expected or self.found else ""
        return "".join(map(_printable, f"{self.file}: {self.what}{detail}"))


def _printable(character: str) -> str:
    """As it is, or as an escape: a release must not steer the terminal of whoever verifies it."""
    return character if character.isprintable() else character.encode("unicode_escape").decode()
