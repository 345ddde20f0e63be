"""Tokens and shingles, against a slow reading of the same rules."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.stages.dedup import shingles
from tuwen.stages.dedup.shingles import Shingled, shingle


def shingled(texts: list[str | None], ngram: int = 1) -> Shingled:
    (one,) = shingle(pa.array(texts, pa.string()), ngram)
    return one


def num_shingles(text: str, ngram: int = 1) -> int:
    return len(shingled([text], ngram).shingles)


def num_tokens(text: str) -> int:
    """Distinct tokens: with every shingle cut to one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "TOKENS_IN_WORD", np.ones(6, dtype=np.int64))
        return num_shingles(text)


def same(first: str, second: str) -> bool:
    equal = shingled([first, second]).equal
    return bool(equal[0] == equal[1])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A red fox", 3),
        ("don't stop", 3),
        ("图文语料", 4),
        ("GerbView 主窗口", 4),
        ("ひらがなー", 5),
        ("แมวน่ารัก", 9),
        ("نافذة البرنامج الرئيسية", 3),
        ("शहर का पुल", 3),
        ("서울의 다리", 2),
        ("C++", 2),
        ("🙂🚀", 2),
        ("… — !", 0),
        ("", 0),
        ("Hans\u00ad\u200bwurst", 1),
    ],
)
def test_distinct_tokens(text: str, tokens: int) -> None:
    assert num_tokens(text) == tokens


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Straße, ALT!", "strasse alt"),
        ("ＡＢＣ　１２", "abc 12"),
        ("ｶﾞﾗｽ", "ガラス"),
        ("cafe\u0301", "café"),
        ("٣ قطط", "3 قطط"),
        ("❤\ufe0f", "❤"),
    ],
)
def test_what_does_not_count(first: str, second: str) -> None:
    assert same(first, second)


@pytest.mark.parametrize(
    ("first", "second"), [("a b", "b a"), ("ab", "a b"), ("3.1", "31"), ("图", "圖"), ("C", "C++")]
)
def test_what_counts(first: str, second: str) -> None:
    assert not same(first, second)


def test_short_texts_have_one_shingle_and_no_text_none() -> None:
    found = shingled(["one two", "one two three", "one two three four", "", None], 3)
    assert np.diff(found.starts).tolist() == [1, 1, 2, 0, 0]
    assert found.equal[3] == found.equal[4] == 0 and (found.equal[:3] != 0).all()


def test_numbers_are_runs_of_digits_in_order() -> None:
    texts = ["Figure 3.1", "figure 3 (1)", "Figure 3.2", "31", "1 3", "图三", "图四", "no", "gpt4o 2", "4, 2"]
    numbers = shingled(texts).numbers.tolist()
    assert numbers[0] == numbers[1]
    assert len({numbers[0], *numbers[2:7]}) == 6
    assert numbers[7] == 0 and numbers[8] == numbers[9]


def slow_tokens(text: str) -> list[str]:
    tokens, word = [], ""
    for character in unicodedata.normalize("NFKC", text).casefold():
        kind = unicodedata.category(character)
        if kind == "Cf":
            continue
        if kind[0] in "LMN" and not "一" <= character <= "鿿":
            word += character
            continue
        tokens += [word] if word else []
        word = ""
        if "一" <= character <= "鿿" or kind[0] == "S":
            tokens.append(character)
    return [*tokens, word] if word else tokens


TEXT = st.text(alphabet="ab é.,一文\u00ad+1３", max_size=20)


def slow_shingles(tokens: list[str], ngram: int) -> set[tuple[str, ...]]:
    found, reached = set(), 0
    for start, token in enumerate(tokens):
        end = start + ngram * (2 if "一" <= token <= "鿿" else 1)
        if end <= len(tokens) or start == 0 or reached < len(tokens):
            found.add(tuple(tokens[start:end]))
        reached = end
    return found


@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(1, 4))
def test_equal_to_a_slow_reading(texts: list[str], ngram: int) -> None:
    found = shingled(texts, ngram)
    tokens = [slow_tokens(text) for text in texts]
    expected = [slow_shingles(words, ngram) for words in tokens]
    sets = [found.shingles[start:end].tolist() for start, end in pairwise(found.starts)]
    for row, values in enumerate(sets):
        assert len(values) == len(set(values)) == len(expected[row]) and values == sorted(values)
        alone = shingled([texts[row]], ngram)
        assert alone.shingles.tolist() == values and alone.equal[0] == found.equal[row]  # neighbours change nothing
        for other in range(row):
            assert len(set(sets[other]) & set(values)) == len(expected[other] & expected[row])
            assert (found.equal[row] == found.equal[other]) == (tokens[row] == tokens[other])


def test_every_token_is_in_a_shingle() -> None:
    assert num_shingles("ab cd 主窗", 2) == 3  # ab cd, cd 主, 主窗
    assert num_shingles("主窗口显示两个图层", 2) == 6
    assert num_shingles("สวัสดีตอนเช้า", 2) == 6


def test_slices_and_the_bound_of_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array([f"text number {number} of many" for number in range(50)])
    whole = shingled(texts.to_pylist(), 2)
    monkeypatch.setattr(shingles, "SLICE_CHARACTERS", 100)
    parts = list(shingle(texts, 2))
    assert len(parts) > 5
    assert np.concatenate([part.shingles for part in parts]).tolist() == whole.shingles.tolist()
    monkeypatch.setattr(shingles, "MAX_CHARACTERS", 8)
    assert same("the same beginning", "the same end")


def test_hostile_texts() -> None:
    texts = ["\x00" * 100, "\ufffd", "\U0010ffff" * 5, "\U000e0041", "a" * 300_000, "ﷺ" * 1000, "\u0301" * 500]
    found = shingled(texts[:4])
    assert len(found.equal) == 4
    assert sum(len(part.equal) for part in shingle(pa.array(texts), 5)) == len(texts)
