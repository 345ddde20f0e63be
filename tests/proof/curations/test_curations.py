"""What curations leave of examples, against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.proof.curations.balanced import Balanced
from tuwen.proof.curations.basic import Basic
from tuwen.proof.curations.filtered import Filtered
from tuwen.proof.curations.mixed import Mixed


def columns(**values: object) -> Columns:
    number = len(next(iter(values.values())))  # type: ignore[call-overload]
    return Columns(row=np.arange(number), **values)


def rows(found: Columns) -> list[int]:
    return list(map(int, found["row"]))


def test_concepts_up_to_the_cap_keep_all() -> None:
    given = columns(name=["common"] * 4000 + ["rare"] * 20 + ["at the cap"] * 400)
    found = list(Balanced(cap=400)(given, 1)["name"])
    assert found.count("rare") == 20 and found.count("at the cap") == 400
    assert found.count("common") == pytest.approx(400, abs=4 * np.sqrt(4000 * 0.1 * 0.9))


def test_any_concept_of_an_example_keeps_it() -> None:
    """P(keep) = 1 - (1 - 1/2)(1 - 1/4)."""
    given = columns(entries=[["a", "b"]] * 2000 + [["b"]] * 2000 + [[]] * 5)
    found = Balanced(cap=1000, concept="entries")(given, 1)
    assert sum(row < 2000 for row in rows(found)) == pytest.approx(2000 * 5 / 8, abs=90)
    assert sum(2000 <= row < 4000 for row in rows(found)) == pytest.approx(2000 / 4, abs=80)
    assert max(rows(found)) < 4000  # nothing without a concept


def test_a_concept_counts_once_for_each_example() -> None:
    assert rows(Balanced(cap=2, concept="entries")(columns(entries=[["a", "a", "a"], ["a"]]), 1)) == [0, 1]


def test_the_seed_decides() -> None:
    given = columns(name=["a"] * 200)
    one, again, other = (rows(Balanced(cap=50)(given, seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_filtered_by_a_threshold_and_by_a_share() -> None:
    given = columns(score=np.array([0.1, 0.9, 0.5, 0.5, 0.3]))
    assert rows(Filtered("score", least=0.5)(given, 1)) == [1, 2, 3]
    assert rows(Filtered("score", share=0.4)(given, 1)) == [1, 2]
    assert rows(Filtered("flag", least=1)(columns(flag=np.array([True, False, True])), 1)) == [0, 2]
    for wrong in ({}, {"least": 1, "share": 0.5}, {"share": 0.0}):
        with pytest.raises(UsageError):
            Filtered("score", **wrong)  # type: ignore[arg-type]


def test_mixed_sources_have_their_shares() -> None:
    given = columns(source=np.array([0] * 10 + [1] * 10))
    found = Mixed({"0": 1, "1": 3}, 8)(given, 1)
    assert [int(each) for each in found["source"]] == [0] * 2 + [1] * 6
    assert len(set(rows(found))) == 8
    with pytest.raises(UsageError, match=r"12 examples with source = 1 are asked for, and there are 10"):
        Mixed({"0": 1, "1": 3}, 16)(given, 1)


def test_strings_are_numbers_where_they_say_one() -> None:
    """As columns of shards are; what is missing is not good enough, whatever the share."""
    given = columns(clip=["0.3", "", "0.1", "2e-1", None, "0.3"])
    assert rows(Filtered("clip", share=0.5)(given, 1)) == [0, 3, 5]
    assert rows(Filtered("clip", share=1)(given, 1)) == [0, 2, 3, 5]
    assert rows(Filtered("clip", least=0.2)(given, 1)) == [0, 3, 5]
    with pytest.raises(UsageError, match="column 'clip' holds 'good', which is no number"):
        Filtered("clip", least=0.2)(columns(clip=["good"]), 1)


BASIC = [  # text, width, height, whether it stays
    ("a dog on the beach", "200", "600", True),
    ("a dog on the beach", "199", "400", False),
    ("a dog on the beach", "200", "601", False),
    ("a dog on the beach", "601", "200", False),
    ("a dog on the beach", "", "400", False),
    ("the dogs", "400", "400", False),
    ("a b c", "400", "400", False),
    ("ein Hund am Strand mit einem Ball", "400", "400", False),
    ("海滩上的一只狗 很 可爱", "400", "400", False),
    ("three dogs play with a ball", "400", "400", True),
]


def test_the_basic_filter_is_datacomps() -> None:
    text, width, height, stays = (list(each) for each in zip(*BASIC, strict=True))
    given = columns(text=text, original_width=width, original_height=height, words=["en"] * 9 + ["de"])
    assert rows(Basic()(given, 1)) == [row for row, each in enumerate(stays) if each] == [0, 9]
    assert rows(Basic(told="words")(given, 1)) == [0, 7, 8]
    assert rows(Basic(told="words", language="de", side=300, characters=99)(given, 1)) == []
