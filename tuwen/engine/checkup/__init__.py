"""A deep look at a corpus: everything that a finished run would not have left, explained, nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine.checkup.beside import (
    check_joins,
    check_json,
    check_ledgers,
    check_leftovers,
    check_versions,
)
from tuwen.engine.checkup.contents import check_contents
from tuwen.engine.checkup.files import check_files
from tuwen.engine.checkup.finding import Finding
from tuwen.engine.checkup.journals import check_journals
from tuwen.errors import TuwenError

__all__ = ["Finding", "examine", "findings"]


def examine(path: str | Path) -> list[Finding]:
    """All findings of a corpus, harm first. Reads every byte, in streams, and writes nothing.

    While another tuwen writes, its unfinished work cannot be told from leftovers: then those are not looked for.
    """
    corpus = Corpus.open(path)
    try:
        with corpus.writing():
            return findings(corpus, alone=True)
    except TuwenError as error:
        if "being written" not in str(error):
            raise
    except OSError:  # a folder that cannot be written
        pass
    told = "it is being written, or cannot be: what nobody names may be work in progress and is not listed"
    return [Finding("busy", ".", told, "ask again when nobody writes"), *findings(corpus, alone=False)]


def findings(corpus: Corpus, *, alone: bool) -> list[Finding]:
    """As `examine`, under a lock of the caller's or none."""
    found = list(check_json(corpus))
    unreadable = set()
    for table in TABLES:
        files = list(check_files(corpus, table, alone=alone))
        found += files
        if any(finding.kind == "damaged_table" for finding in files):
            unreadable.add(table)
        else:
            found += _guarded(table, lambda table=table: check_contents(corpus, table))  # type: ignore[misc]
    if not unreadable:
        found += [*check_journals(corpus), *check_joins(corpus), *check_versions(corpus), *check_ledgers(corpus)]
    if alone:
        found += check_leftovers(corpus)
    return sorted(found, key=lambda finding: (not finding.is_harm, finding))


def _guarded(table: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Damage that makes a check fail is a finding."""
    try:
        return list(check())
    except Exception as error:
        told = f"a check of its rows failed ({type(error).__name__}: {str(error).splitlines()[0][:200]})"
        return [Finding("damaged_table", f"{table}.lance", told, "put back a copy of the folder, or build anew")]
