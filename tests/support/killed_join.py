"""Run as a script: join FOLDER/s.csv to FOLDER/corpus as `s` and die (SIGKILL) at the n-th step.

Steps are counted before and after whatever changes the disk.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lance
from killed_build import Steps

import tuwen.corpus.corpus
import tuwen.corpus.joins
import tuwen.corpus.versions
import tuwen.engine.join


def main(folder: Path, last: int) -> None:
    steps = Steps(last)
    lance.LanceDataset.commit = staticmethod(steps.around(lance.LanceDataset.commit))
    for name in ("add_columns", "drop_columns"):
        setattr(lance.LanceDataset, name, steps.around(getattr(lance.LanceDataset, name)))
    for module in (tuwen.corpus.joins, tuwen.corpus.versions):
        module.write_json = steps.around(module.write_json)
    Path.rename = steps.around(Path.rename)  # type: ignore[method-assign]
    tuwen.engine.join.write_sorted = steps.around(tuwen.engine.join.write_sorted)
    tuwen.engine.join.join(folder / "corpus", folder / "s.csv", "pair_id", name="s")
    print(steps.count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
