"""Classes told by their names, with the names and prompts of a test set in CLIP_benchmark's layout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items
from tuwen.evaluations.zero_shot import ZeroShot
from tuwen.models.columns import Columns

CLASSES, PROMPTS = "classnames.txt", "zeroshot_classification_templates.txt"


@dataclass(frozen=True)
class ClipBenchmark:
    """`zero_shot` over images (`micro`) with the classes and prompts of `folder`; `label` is each image's class.

    https://github.com/LAION-AI/CLIP_benchmark
    """

    folder: str
    label: str = "label"

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        return self.zero_shot().items(model, train, test)

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        return ZeroShot(self.label, average="micro").statistic(items, indices)

    def zero_shot(self) -> ZeroShot:
        """The evaluation with its words; `UsageError` where the files of the layout are not there."""
        prompts = tuple(line.replace("{c}", "{}") for line in lines(self.folder, PROMPTS))
        return ZeroShot(self.label, prompts=prompts, classes=tuple(lines(self.folder, CLASSES)), average="micro")

    @property
    def fingerprint(self) -> str:
        """Digest of the words that it reads."""
        return hashlib.sha256(repr(self.zero_shot()).encode()).hexdigest()[:32]


def lines(folder: str, name: str) -> list[str]:
    """Lines of a file of the layout that are not empty."""
    path = Path(folder) / name
    try:
        found = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}; CLIP_benchmark's layout has it") from error
    if not (told := [line.strip() for line in found if line.strip()]):
        raise UsageError(f"{path} is empty")
    return told
