"""Corpus versions: numbered tuples of table versions, tagged so that nothing they need is ever cleaned away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuwen.corpus.corpus import Corpus, read_json, write_json
from tuwen.errors import UsageError


def tag_version(corpus: Corpus, reason: str) -> int:
    """Give the corpus' present state a number (the last one if nothing has changed since) and tag its tables."""
    tables = corpus.version()
    numbers = version_numbers(corpus.path)
    if numbers and read_version(corpus.path, numbers[-1])["tables"] == tables:
        return numbers[-1]
    number = (numbers[-1] if numbers else 0) + 1
    for table, version in tables.items():
        tags = corpus.dataset(table).tags
        if _tag(number) in tags.list():  # a run killed between tagging and writing the file below
            tags.delete(_tag(number))
        tags.create(_tag(number), version)
    (corpus.path / "versions").mkdir(exist_ok=True)
    write_json(_file(corpus.path, number), {"number": number, "reason": reason, "tables": tables})
    return number


def version_numbers(path: Path) -> list[int]:
    """All numbered versions, oldest first."""
    return sorted(int(file.stem) for file in (path / "versions").glob("*.json"))


def read_version(path: Path, number: int) -> dict[str, Any]:
    """number, reason and tables (name → Lance version) of a numbered version."""
    try:
        return read_json(_file(path, number))
    except FileNotFoundError:
        known = ", ".join(map(str, version_numbers(path))) or "none yet"
        raise UsageError(f"{path} has no version {number}; it has {known}") from None


def _tag(number: int) -> str:
    return f"v{number:06d}"


def _file(path: Path, number: int) -> Path:
    return path / "versions" / f"{number:06d}.json"
