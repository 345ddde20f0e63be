"""Scores in replies: what is stated once is found, what is in doubt is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.models.score import score_of

STATED = [
    ("85", 85),
    ("85.", 85),
    (" 85\n", 85),
    ("85.0", 85),
    ("**90**", 90),
    ("100分", 100),
    ("85points", 85),
    ("85/100", 85),
    ("85 / 100", 85),
    ("８５／１００", 85),
    ("85%", 85),
    ("7/10", 70),
    ("score:85", 85),
    ("**Score:** 90", 90),
    ("Score = 90/100 points", 90),
    ("Score：85分", 85),
    ("Rating: 4/5", 80),
    ("The score is 85.", 85),
    ("Score: 8.5 out of 10", 85),
    ("I give it a score of 45 out of 100", 45),
    ("I'd say 70.", 70),
    ("I'd give 70 out of 100 because of 3 dogs", 70),
    ("On a scale of 0 to 100, I'd say 70.", 70),
    ("Score: 85. The image shows 3 dogs.", 85),
    ("85\nThe image shows 3 dogs.", 85),
    ("Relevance score: 80\nFluency score: 60\nOverall score: 70", 70),
    ("Final score: 90/100 (initial score: 40)", 90),
    ("Qwen2 says 70", 70),
    ("<think>maybe 40</think>80", 80),
    ('{"score": 85}', 85),
    ('{"Score": "8.5/10", "objects": 3}', 85),
    ('```json\n{"score": 85, "reason": "3 dogs, 2 cats"}\n```', 85),
    ("评分：８５", 85),
    ("评分：八十五", 85),
    ("八十五分", 85),
    ("一百分", 100),
    ("零分", 0),
    ("百分之八十五", 85),
    ("评分：十分", 10),
    ("我会打九十分。", 90),
    ("我给85", 85),
    ("好的，85", 85),
    ("满分100分，我给85分", 85),
    ("满分10分，我给8分", 80),
    ("85分（满分100分）", 85),
    ("分数在0到100之间：60", 60),
]
REFUSED = [
    "",
    "no",
    "good",
    "-5",
    "Score: -85",
    "score: 101",
    "150/100",
    "70-80",
    "80–90",
    "between 60 and 70",
    "8,5/10",
    "1,000",
    "1e3",
    "score: 8.5.3",
    "3/10/2024",
    "The image from 2024",
    "The image shows 3 dogs.",
    "85 - The image shows 3 dogs",
    "99 bottles, 99",
    "24/7 service, 60",
    "Relevance score: 80\nFluency score: 60",
    "80\n60",
    "I cannot rate this image with 1 person.",
    "Sorry, I can't assess it: 0.",
    "<think>maybe 40",
    '{"score": true}',
    '{"score": NaN}',
    '{"score": null}',
    '{"score": 80, "rating": 60}',
    "无法评分，图中有1个人",
    "十分匹配",
    "满分",
    "一部分匹配",
    "三分之二",
    "85到90分",
]


@pytest.mark.parametrize(("reply", "score"), STATED)
def test_stated_once(reply: str, score: float) -> None:
    assert score_of(reply, 0, 100) == pytest.approx(score)


@pytest.mark.parametrize("reply", REFUSED)
def test_doubtful(reply: str) -> None:
    assert score_of(reply, 0, 100) is None


def test_other_scales() -> None:
    assert [score_of(reply, 1, 5) for reply in ("4", "4/5", "8/10", "0", "6", "score: 80%")] == [4, 4, 4, None, None, 4]
    assert score_of("score: 9", 0, 10) == 9
    assert score_of("-3", -5, 5) == -3
    assert score_of("On a scale from 1 to 10: 8", 0, 100) == 80


TEMPLATES = [
    "{}",
    "{}.",
    "Score: {}",
    "score {}/100",
    "{}/100",
    "I'd say {}.",
    "评分：{}",
    "{}分",
    '{{"score": {}}}',
    "**{}**",
]


@settings(max_examples=50)
@given(st.integers(0, 100), st.sampled_from(TEMPLATES), st.booleans())
def test_any_number_in_any_form(score: int, template: str, is_wide: bool) -> None:
    reply = template.format(score)
    if is_wide:
        reply = "".join(chr(ord(each) + 0xFEE0) if "0" <= each <= "9" else each for each in reply)
    assert score_of(reply, 0, 100) == score


@settings(max_examples=50)
@given(st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True))
def test_two_numbers_are_not_one(numbers: list[int]) -> None:
    first, second = numbers
    for reply in (
        f"{first}, {second}.",
        f"{first} to {second}",
        f"score: {first}, score: {second}",
        f"{first}\n{second}",
    ):
        assert score_of(reply, 0, 100) is None


PIECES = st.sampled_from(
    [*"0123456789", *'./,-%:{}"* \n', "score", "out of", "分", "满分", "十", "百", "评分", "<think>", "a"]
)


@settings(max_examples=60)
@given(st.one_of(st.text(max_size=20), st.lists(PIECES, max_size=20).map("".join)))
def test_anything_is_a_score_of_the_scale_or_none(reply: str) -> None:
    found = score_of(reply, 0, 100)
    assert found is None or 0 <= found <= 100


def test_long_replies_take_no_long_time() -> None:
    for piece in ("1", "1 ", "score ", "{", "1/", "十", "9分 ", '{"a":'):
        score_of(piece * 100_000, 0, 100)
