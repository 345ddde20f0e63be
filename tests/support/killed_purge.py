"""Run as a script: purge FOLDER/corpus and die (SIGKILL) at the n-th step that changes the disk.

Prints the number of steps when the purge comes to its end.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import lance
from killed_build import Steps

import tuwen.corpus.joins
import tuwen.corpus.journal
import tuwen.corpus.rewriting
import tuwen.corpus.versions
import tuwen.engine.purge


def main(folder: Path, last: int) -> None:
    steps = Steps(last)
    lance.LanceDataset.commit = staticmethod(steps.around(lance.LanceDataset.commit))
    for name in ("drop_index", "create_scalar_index", "cleanup_old_versions"):
        setattr(lance.LanceDataset, name, steps.around(getattr(lance.LanceDataset, name)))
    for module in (tuwen.corpus.joins, tuwen.corpus.journal, tuwen.corpus.versions):
        module.write_json = steps.around(module.write_json)
    tuwen.corpus.rewriting.write_fragments = steps.around(tuwen.corpus.rewriting.write_fragments)
    lance.write_dataset = steps.around(lance.write_dataset)
    for name in ("rewrite_left_over", "clear_tmp", "finish", "forget_versions", "seal_again"):
        setattr(tuwen.engine.purge, name, steps.around(getattr(tuwen.engine.purge, name)))
    shutil.rmtree = steps.around(shutil.rmtree)
    tuwen.engine.purge.purge(folder / "corpus", allow_code=True)
    print(steps.count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
