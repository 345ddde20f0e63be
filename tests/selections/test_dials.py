"""The numbers of a selection: all are found, and a turned one changes itself alone."""

from __future__ import annotations

import pytest

from tuwen.errors import UsageError
from tuwen.selections.dials import dial_at, dials, rule_of, turned
from tuwen.selections.selection import Selection

STEPS = [
    {"rule": {"where": "width >= 64 and 0.5 > share or not (height < 3)", "name": "large"}},
    {"rule": "score between 2 and 8.5"},
    {"rule": "coalesce(len(tags), 0) = 0"},
    {"threshold": {"of": "score", "at_least": 0.3, "at_most": "p95"}},
    {"best": {"k": 2, "per": "image_id", "by": ["score desc"]}},
    {"sample": {"share": 0.25, "seed": 7}},
    {"quota": {"per": "host", "at_most": 5}},
]


def selection() -> Selection:
    return Selection.from_mapping("s", {"unit": "image", "steps": STEPS})


def test_all_numbers_are_found():
    found = [(dial.step, dial.label, dial.above) for dial in dials(selection())]
    assert found == [
        (1, "width >= 64", True),
        (1, "share < 0.5", False),
        (1, "height < 3", True),  # denied: larger ones pass
        (2, "score >= 2", True),
        (2, "score <= 8.5", False),
        (4, "score >= 0.3", True),
        (5, "k = 2", True),
        (6, "share = 0.25", True),
        (7, "at_most = 5", True),
    ]


@pytest.mark.parametrize("at", range(9))
def test_a_turned_number_changes_itself_alone(at):
    before = selection()
    dial = dials(before)[at]
    after = turned(before, dial, "1")
    others = [(each.label, other.label) for each, other in zip(dials(before), dials(after), strict=True)]
    assert [one for one, two in others if one != two] == [dial.label]
    assert dials(after)[at].value in ("1", "1.0")
    assert [each.name for each in after.steps[:1]] == ["large"]
    assert turned(after, dials(after)[at], dial.value) == turned(before, dial, dial.value)


@pytest.mark.parametrize("value", ["", "abc", "1; drop", "nan", "1e999999", "0x1"])
def test_only_numbers(value):
    with pytest.raises(UsageError):
        turned(selection(), dials(selection())[0], value)


def test_a_step_refuses_what_it_cannot_be():
    made = selection()
    with pytest.raises(UsageError, match="whole number"):
        turned(made, dial_at(made, 5, 0), "1.5")
    with pytest.raises(UsageError, match="share"):
        turned(made, dial_at(made, 6, 0), "2")
    with pytest.raises(UsageError, match="no threshold"):
        dial_at(made, 3, 0)


def test_rules_of_steps():
    steps = [named.step for named in selection().steps]
    assert str(rule_of(steps[1])) == "score between 2 and 8.5"
    assert rule_of(steps[3]) is None  # a statistic: it depends on other rows
    assert rule_of(steps[4]) is None


def test_numbers_that_something_is_reckoned_with():
    made = Selection.from_mapping("s", {"unit": "image", "steps": [{"rule": "width <= 5 * height + 8 and height > 2"}]})
    found = dials(made)
    assert [(dial.label, dial.value, dial.place) for dial in found] == [
        ("width <= (5 * height) + 8: 5", "5", 0),
        ("width <= (5 * height) + 8: 8", "8", 0),
        ("height > 2", "2", 1),
    ]
    assert str(turned(made, found[1], "9").steps[0].step) == "width <= (5 * height) + 9 and height > 2"


def test_each_number_knows_the_other_conditions_of_its_step():
    rule = "width >= 64 and num_words between 3 and 50 and (share < 0.5 or pages <= 2)"
    found = dials(Selection.from_mapping("s", {"unit": "image", "steps": [{"rule": rule}]}))
    either = "share < 0.5 or pages <= 2"
    told = [(str(dial.own), [*map(str, dial.others)], dial.part, dial.alone) for dial in found]
    assert told == [
        ("width >= 64", ["num_words >= 3", "num_words <= 50", either], 0, True),
        ("num_words >= 3", ["width >= 64", "num_words <= 50", either], 1, True),
        ("num_words <= 50", ["width >= 64", "num_words >= 3", either], 1, True),
        (either, ["width >= 64", "num_words >= 3", "num_words <= 50"], 2, False),
        (either, ["width >= 64", "num_words >= 3", "num_words <= 50"], 2, False),
    ]
    limits = {"threshold": {"of": "score", "at_least": 0.3, "at_most": 0.9}}
    found = dials(Selection.from_mapping("s", {"unit": "image", "steps": [limits]}))
    assert [(str(dial.own), dial.part, dial.alone, dial.limit) for dial in found] == [
        ("score >= 0.3", 0, True, 0),
        ("score <= 0.9", 0, True, 1),
    ]
