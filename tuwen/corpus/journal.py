"""Journals: what a run has begun and not ended, so that the next one can put it right. One small file each.

A journal is written before the first change and removed after the last. One that cannot be read, or lacks an entry, is
damaged: what was begun is not known, and nobody writes before `tuwen repair` has said what can be done about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lance

from tuwen.corpus.corpus import Corpus, read_json, write_json
from tuwen.errors import TuwenError


@dataclass(frozen=True, eq=False)
class Journal:
    """A kind of journal: its file's name, and the entries that it has to have, by type."""

    name: str
    entries: Mapping[str, type]

    def path(self, corpus: Corpus) -> Path:
        """Where it lies while something is begun."""
        return corpus.path / self.name

    def begun(self, corpus: Corpus) -> dict[str, Any] | None:
        """What was begun and not ended; None: nothing. `TuwenError` where the journal is damaged."""
        path = self.path(corpus)
        if not path.exists():
            return None
        try:
            noted = read_json(path)
        except TuwenError as error:
            raise self._damaged(corpus) from error
        if any(not isinstance(noted.get(name), kind) for name, kind in self.entries.items()):
            raise self._damaged(corpus)
        return noted

    def write(self, corpus: Corpus, **entries: Any) -> None:
        """Note what is begun."""
        write_json(self.path(corpus), entries)

    def end(self, corpus: Corpus) -> None:
        """All is done."""
        self.path(corpus).unlink(missing_ok=True)

    def put_back(self, corpus: Corpus, begun: Mapping[str, Any]) -> None:
        """Make the versions of `tables` that were noted the latest again. `TuwenError`: as `earlier`."""
        for dataset in self.earlier(corpus, begun):
            dataset.restore()  # type: ignore[no-untyped-call]

    def earlier(self, corpus: Corpus, begun: Mapping[str, Any]) -> list[lance.LanceDataset]:
        """Tables that have changed, as they were noted. `TuwenError` where such a version is not there."""
        changed = {name: number for name, number in begun["tables"].items() if corpus.dataset(name).version != number}
        try:
            return [lance.dataset(str(corpus.path / f"{name}.lance"), version=changed[name]) for name in changed]
        except (ValueError, OSError) as error:
            raise self._damaged(corpus) from error

    def _damaged(self, corpus: Corpus) -> TuwenError:
        return TuwenError(f"{self.path(corpus)} is damaged; tuwen repair {corpus.path} says what can be done about it")
