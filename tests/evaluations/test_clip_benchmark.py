"""The words of a test set in CLIP_benchmark's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.clip_benchmark import ClipBenchmark
from tuwen.models.columns import Columns
from tuwen.proof.verdict import everything

TEXTS = {"a cat": [1.0, 0.0], "cats": [0.8, 0.6], "a dog": [0.0, 1.0], "dogs": [0.6, 0.8]}


class Known:
    """Images are their own vectors."""

    def images(self, images: Any) -> Any:
        return np.asarray(images, np.float32)

    def texts(self, texts: Any) -> Any:
        return np.array([TEXTS[text] for text in texts], np.float32)


def test_classes_and_prompts_are_those_of_the_folder(tmp_path: Path) -> None:
    """Class vectors lie at 18 and 72 degrees, so 44 degrees is a cat and 46 a dog; the mean is over images."""
    (tmp_path / "classnames.txt").write_text("cat\ndog\n\n")
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a {c}\n{c}s\n")
    angles = np.deg2rad([44, 46, 80])
    test = Columns(image=np.stack([np.cos(angles), np.sin(angles)], 1), label=["cat", "cat", "dog"])
    part = ClipBenchmark(str(tmp_path))
    items = part.items(Known(), Columns(), test)
    assert items["correct"].tolist() == [True, False, True]
    assert part.statistic(items, everything(items)) == pytest.approx(2 / 3)
    before = part.fingerprint
    (tmp_path / "classnames.txt").write_text("dog\ncat\n")
    assert part.fingerprint != before
    (tmp_path / "classnames.txt").write_text(" \n")
    with pytest.raises(UsageError, match=r"classnames\.txt is empty"):
        part.items(Known(), Columns(), test)
