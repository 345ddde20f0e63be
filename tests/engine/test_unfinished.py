"""Notes of a run that was cut off."""

from __future__ import annotations

from pathlib import Path

from tuwen.corpus.corpus import Corpus
from tuwen.engine.unfinished import FINISHED, commit_finished


def test_damaged_notes_are_ignored(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    (corpus.path / FINISHED).write_bytes(b'\xff\xfe\x00\n[1]\n7\n"x"\n{"table": "images"}\n{"ta')
    assert commit_finished(corpus) == 0
    assert not (corpus.path / FINISHED).exists()
