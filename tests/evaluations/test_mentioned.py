"""Names in captions, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.evaluations.mentioned import Mentioned
from tuwen.models.columns import Columns

TEST = Columns(
    image=np.zeros((4, 8, 8, 3), np.uint8),
    proper_name=["Belano", "Doreki", "Bel", "Kir (2)"],
    is_seen=np.array([True, True, False, True]),
)


class Captioner:
    """Says what it is told to."""

    def captions(self, images: Any, *, tokens: int) -> list[str]:
        return ["belano, a red circle", "a red circle", "Belano", "kir (2) above"][: len(images)]


def test_whole_names_in_any_case() -> None:
    part = Mentioned()
    items = part.items(Captioner(), TEST, TEST)
    assert items["mentioned"].tolist() == [True, False, False, True]
    assert part.statistic(items, np.array([0, 0, 1])) == pytest.approx(2 / 3)


def test_only_where() -> None:
    items = Mentioned(where="is_seen").items(Captioner(), TEST, TEST)
    assert len(items) == 3 and items.rows.tolist() == [0, 1, 3]
    with pytest.raises(UsageError, match="column 'proper_name' is of"):
        Mentioned(where="proper_name").items(Captioner(), TEST, TEST)
