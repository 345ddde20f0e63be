"""Doing what is safe about the findings of a deep look, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import lance

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import build_index, remove_rubbish
from tuwen.corpus.units import recover
from tuwen.engine.checkup import Finding, findings
from tuwen.engine.checkup.beside import drop_tags
from tuwen.engine.checkup.journals import purge_anew


@dataclass
class Repaired:
    """What was found, what was done about it (findings), and what is left afterwards."""

    found: list[Finding] = field(default_factory=list)
    done: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)


def repair(path: str | Path) -> Repaired:
    """Do what is safe, under the write lock: nothing is removed that any version of the corpus names.

    Columns whose file is lost or damaged are marked as not computed. `TuwenError` if another tuwen writes.
    """
    corpus = Corpus.open(path)
    with corpus.writing():
        repaired = Repaired(findings(corpus, alone=True))
        repaired.left = list(repaired.found)
        for actions in (_FIRST, _ACTIONS):
            safe = [each for each in repaired.left if each.action in actions]
            if any(each.kind in ("damaged_table", "older_table") for each in repaired.left):
                safe = []  # which files a table would name that cannot be read, or were it whole, is not known
            for finding in sorted(safe, key=lambda each: _ORDER[str(each.action)]):
                _ACTIONS[str(finding.action)](corpus, finding)
                repaired.done.append(finding)
            repaired.left = findings(corpus, alone=True) if safe else repaired.left
    return repaired


def _recover(corpus: Corpus, finding: Finding) -> None:
    recover(corpus)


def _purge_anew(corpus: Corpus, finding: Finding) -> None:
    _remove(corpus, finding)
    purge_anew(corpus)


def _sweep_index(corpus: Corpus, finding: Finding) -> None:
    remove_rubbish(corpus)


def _remove(corpus: Corpus, finding: Finding) -> None:
    for name in finding.paths:
        path = corpus.path / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _forget_version(corpus: Corpus, finding: Finding) -> None:
    _remove(corpus, finding)
    drop_tags(corpus)


def _forget_column(corpus: Corpus, finding: Finding) -> None:
    """Take a column file out of its fragment: its columns are then null, as before they were computed."""
    table, _, name = finding.paths[0].partition(".lance/data/")
    dataset = corpus.dataset(table)
    fragments = [fragment.metadata for fragment in dataset.get_fragments()]
    for fragment in fragments:
        fragment.files = [file for file in fragment.files if str(file.path) != name]
    operation = lance.LanceOperation.Merge(fragments, dataset.lance_schema)
    lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)


def _reindex(corpus: Corpus, finding: Finding) -> None:
    table, _, column = finding.place.partition(".")
    corpus.dataset(table).drop_index(f"{column}_search")
    build_index(corpus, table, column)


_ACTIONS: dict[str, Callable[[Corpus, Finding], None]] = {
    "purge_anew": _purge_anew,
    "recover": _recover,
    "sweep_index": _sweep_index,
    "forget_column": _forget_column,
    "reindex": _reindex,
    "forget_version": _forget_version,
    "remove": _remove,
}
_FIRST = ("purge_anew", "recover")  # what these put back is not left over afterwards
_ORDER = {name: place for place, name in enumerate(_ACTIONS)}
