"""Journals that are not what a run has written: whoever writes is referred to repair, and nobody waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tuwen.corpus import indexes, rewriting, units
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import remove_rubbish
from tuwen.corpus.journal import Journal
from tuwen.corpus.units import recover
from tuwen.errors import TuwenError

ENTRIES = {
    indexes.JOURNAL: {"table": "pairs", "folders": []},
    rewriting.JOURNAL: {"phase": "rewriting", "tables": {}, "joins": [], "indexes": [], "fitted": []},
    units.JOURNAL: {"source": "s", "source_unit": "u", "tables": {}},
}
DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:9]),
    "another's": lambda path: path.write_text('{"phase": 1, "table": 1}'),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_journal_stops_who_writes(tmp_path: Path, how: str) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    for journal, entries in ENTRIES.items():
        journal.write(corpus, **entries)
        DAMAGE[how](journal.path(corpus))
        refused(corpus, journal)
        journal.path(corpus).rmdir() if how == "folder" else journal.end(corpus)


def refused(corpus: Corpus, journal: Journal) -> None:
    with pytest.raises(TuwenError, match=rf"{journal.name} is damaged; tuwen repair .*corpus says what can be done"):
        remove_rubbish(corpus) if journal is indexes.JOURNAL else recover(corpus)


@pytest.mark.parametrize("journal", [rewriting.JOURNAL, units.JOURNAL], ids=lambda each: each.name)
def test_versions_that_are_not_there_cannot_be_put_back(tmp_path: Path, journal: Journal) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    before = corpus.version()
    journal.write(corpus, **{**ENTRIES[journal], "tables": {**before, "units": 99}})
    refused(corpus, journal)
    assert corpus.version() == before
