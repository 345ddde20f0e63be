"""Views that choose or change texts."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.views.chosen_text import ChosenText
from tuwen.views.source_prefix import SourcePrefix
from tuwen.views.sub_captions import SubCaptions


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_prefixes_by_source() -> None:
    batch = {"text": ["a", "b", "c"], "source": np.array([0, 1, 4])}
    assert SourcePrefix()(batch, rng())["text"] == ["^ a", "~ b", "~ c"]
    assert batch["text"] == ["a", "b", "c"]
    with pytest.raises(UsageError, match="source = -1"):
        SourcePrefix()({**batch, "source": np.array([-1, 0, 0])}, rng())


def test_sub_captions_are_distinct_where_there_are_enough() -> None:
    batch = {"sentences": [["a", "b", "c"]] * 50 + [["d"]] * 50}
    found = SubCaptions(2)(batch, rng())
    drawn = list(zip(found["part_0"], found["part_1"], strict=True))
    assert all(one != two for one, two in drawn[:50]) and set(drawn[50:]) == {("d", "d")}
    assert len(set(drawn[:50])) == 6
    with pytest.raises(UsageError, match="no texts in sentences"):
        SubCaptions()({"sentences": [[]]}, rng())


def test_chosen_texts_have_their_shares() -> None:
    batch = {"one": ["1"] * 4000, "two": ["2"] * 4000}
    found = ChosenText(("one", "two"), shares=(3, 1))(batch, rng())["text"]
    assert found.count("1") == pytest.approx(3000, abs=120)
    assert ChosenText(("one",))(batch, rng())["text"] == batch["one"]


def test_the_row_stays_the_row() -> None:
    batch = {"one": ["a1", "b1"], "two": ["a2", "b2"]}
    found = ChosenText(("one", "two"))(batch, rng())["text"]
    assert [text[0] for text in found] == ["a", "b"]
