"""Path patterns of site files: a prefix in which `*` stands for anything and a final `$` for the end.

RFC 9309, 2.2.2 and 2.2.3: matched octet by octet after percent-encoding has been made alike. TDMRep and AIPREF take
their patterns from there.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_PLAIN = re.compile(r"[A-Za-z0-9_.~/?&=+,;:@!'()-]*").fullmatch
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPED_OR_ODD = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9_.~/?&=+,;:@!'()-]")


def path_of(url: str) -> str:
    """Path and query of an absolute URL, as site files compare them: percent-encoding made alike, no fragment."""
    rest = url.partition("://")[2]
    start = next((place for place, character in enumerate(rest) if character in "/?#"), len(rest))
    path = rest[start:].partition("#")[0]
    return normalised(path if path.startswith("/") else f"/{path}")


def normalised(text: str) -> str:
    """Escapes of unreserved characters undone, all that is neither unreserved nor a plain delimiter escaped."""
    return text if _PLAIN(text) else _ESCAPED_OR_ODD.sub(_one, text)


def _one(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 3:
        character = chr(int(found[1:], 16))
        return character if character in _UNRESERVED else found.upper()
    return quote(found, safe="", errors="replace")


class PathPattern:
    """One pattern. `length` is that of its normalised form: the longest match is the most specific one."""

    __slots__ = ("_ends", "_first", "_last", "_middle", "length")

    def __init__(self, pattern: str) -> None:
        self._ends = pattern.endswith("$")
        parts = [normalised(part) for part in pattern.removesuffix("$").split("*")]
        self.length = sum(map(len, parts)) + len(parts) - 1 + self._ends
        self._first = parts[0]
        self._last = parts[-1] if len(parts) > 1 else None
        self._middle = tuple(part for part in parts[1:-1] if part)

    def matches(self, path: str) -> bool:
        """Whether it matches a path from `path_of`. Linear in the path's length: nothing is tried twice."""
        if not path.startswith(self._first):
            return False
        if self._last is None:
            return not self._ends or len(path) == len(self._first)
        position = len(self._first)
        for part in self._middle:
            found = path.find(part, position)
            if found < 0:
                return False
            position = found + len(part)
        if self._ends:
            return len(path) - len(self._last) >= position and path.endswith(self._last)
        return path.find(self._last, position) >= 0
