"""Corpus versions: numbered tuples of table versions, tagged so that nothing they need is ever cleaned away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lance

from tuwen.corpus.corpus import Corpus, read_json, write_json
from tuwen.errors import TuwenError, UsageError

_PLAIN = re.compile(r"[A-Za-z0-9_./ -]*")


def tag_version(corpus: Corpus, reason: str) -> int:
    """Give the corpus' present state a number (the last one if nothing has changed since) and tag its tables."""
    tables = corpus.version()
    # Which columns count, and what made them: a patch of a release has to know. Selections are not of the rows.
    recipe = {key: value for key, value in corpus.recipe().items() if key != "selections"}
    numbers = version_numbers(corpus.path)
    if numbers:
        last = read_version(corpus.path, numbers[-1])
        if last["tables"] == tables and last.get("recipe", recipe) == recipe:
            return numbers[-1]
    number = (numbers[-1] if numbers else 0) + 1
    with _plainly_named(corpus.path) as path:
        for table, version in tables.items():
            tags = lance.dataset(str(path / f"{table}.lance")).tags
            if _tag(number) in tags.list():  # a run killed between tagging and writing the file below
                tags.delete(_tag(number))
            tags.create(_tag(number), version)
    (corpus.path / "versions").mkdir(exist_ok=True)
    write_json(_file(corpus.path, number), {"number": number, "reason": reason, "tables": tables, "recipe": recipe})
    return number


def version_numbers(path: Path) -> list[int]:
    """All numbered versions, oldest first."""
    return sorted(int(file.stem) for file in (path / "versions").glob("*.json"))


def read_version(path: Path, number: int) -> dict[str, Any]:
    """number, reason, tables (name → Lance version) and, but for old ones, recipe of a numbered version."""
    try:
        return read_json(_file(path, number))
    except FileNotFoundError:
        known = ", ".join(map(str, version_numbers(path))) or "none yet"
        raise UsageError(f"{path} has no version {number}; it has {known}") from None


def older_tables(corpus: Corpus) -> dict[str, tuple[int, int]]:
    """Tables that are older than a numbered version has them: how old they are, and how old that one has them.

    A table never goes back, so it was put back from a copy without the others, and rows that came later are not there.
    """
    now = corpus.version()
    found: dict[str, tuple[int, int]] = {}
    for number in version_numbers(corpus.path):
        with suppress(TuwenError, KeyError, TypeError):  # a damaged version says nothing
            tables = read_version(corpus.path, number)["tables"]
            found |= {table: (now[table], tables[table]) for table in now if tables[table] > now[table]}
    return found


@contextmanager
def _plainly_named(path: Path) -> Iterator[Path]:
    """The folder by a path that stays itself when it is percent-encoded: Lance 14 makes the folder of a table's tags
    where the encoded path leads, `%E5%9B%BE` beside `图`, and fails where it may not."""
    if _PLAIN.fullmatch(str(path.resolve())):
        yield path
        return
    with TemporaryDirectory(prefix="tuwen-") as folder:
        link = Path(folder) / "corpus"
        link.symlink_to(path.resolve())
        yield link


def _tag(number: int) -> str:
    return f"v{number:06d}"


def _file(path: Path, number: int) -> Path:
    return path / "versions" / f"{number:06d}.json"
