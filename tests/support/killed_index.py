"""Run as a script: index FOLDER/corpus and die (SIGKILL) at the n-th step that changes the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import lance
from killed_build import Steps

import tuwen.corpus.journal
import tuwen.corpus.versions
from tuwen.engine.search_indexes import make_indexes


def main(folder: Path, last: int) -> None:
    steps = Steps(last)
    for name in ("create_index", "create_scalar_index"):
        setattr(lance.LanceDataset, name, steps.around(getattr(lance.LanceDataset, name)))
    for module in (tuwen.corpus.journal, tuwen.corpus.versions):
        module.write_json = steps.around(module.write_json)
    make_indexes(folder / "corpus")
    print(steps.count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
