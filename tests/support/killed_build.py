"""Run as a script: build FOLDER/corpus from FOLDER/pages and die (SIGKILL) at the n-th step that changes the disk.

Steps are counted before and after each commit and each small file, so every gap between two of them is hit.
Prints the number of steps when the build comes to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
from tiny import Length, Mean, NumPairs, PageLength, Pages, Parity

import tuwen.corpus.corpus
import tuwen.corpus.journal
import tuwen.corpus.units
import tuwen.corpus.versions
import tuwen.engine.build
from tuwen.engine.recipe import NamedSource, Recipe


def recipe_for(folder: Path) -> Recipe:
    stages = (Parity(), Length(), NumPairs(), PageLength(), Mean())
    return Recipe("t", (NamedSource("pages", Pages(str(folder / "pages"))),), stages, {"name": "t"})


class Steps:
    def __init__(self, last: int) -> None:
        self.count, self.last = 0, last

    def step(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.step()
            result = function(*arguments, **options)
            self.step()
            return result

        return counted


def main(folder: Path, last: int) -> None:
    steps = Steps(last)
    lance.write_dataset = tuwen.corpus.units.lance.write_dataset = steps.around(lance.write_dataset)
    lance.LanceDataset.commit = staticmethod(steps.around(lance.LanceDataset.commit))
    for name in ("add_columns", "drop_columns", "restore"):
        setattr(lance.LanceDataset, name, steps.around(getattr(lance.LanceDataset, name)))
    for module in (tuwen.corpus.corpus, tuwen.corpus.journal, tuwen.corpus.versions, tuwen.engine.build):
        module.write_json = steps.around(module.write_json)
    tuwen.engine.build.COMMIT_EVERY_S = 0.0
    tuwen.engine.build.build(recipe_for(folder), folder / "corpus", workers=1, quiet=True)
    print(steps.count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
