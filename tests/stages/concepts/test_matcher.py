"""Matching against a reference that looks at one character, and one entry, after the other."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuwen.stages.concepts import matcher as matcher_module
from tuwen.stages.concepts import tokens
from tuwen.stages.concepts.matcher import Matcher, distinct, make_index
from tuwen.stages.concepts.tokens import CHUNK_CHARACTERS

IGNORED = {"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))}
# Names of characters in the scripts of the tests that put no spaces between words.
UNSPACED = ("CJK UNI", "CJK COMPAT", "HIRAGANA", "KATAKANA", "THAI", "LAO ", "KHMER", "MYANMAR", "IDEOGRAPHIC")


def reference_tokens(text: str) -> list[str]:
    """The tokens of a text, the slow way; a gap between two unspaced letters is a blank."""
    text = "".join(c for c in text.replace("\0", " ") if unicodedata.category(c) != "Cf" and c not in IGNORED)
    text = text.replace("™", " ").replace("’", "'").replace("‘", "'").replace("ʼ", "'")
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    tokens: list[tuple[str, str]] = []  # (kind, token), with separators
    for c in text:
        category = unicodedata.category(c)
        if category[0] == "M":
            if tokens and tokens[-1][0] != " ":
                tokens[-1] = (tokens[-1][0], tokens[-1][1] + c)
        elif category[0] == "Z" or category in ("Cc", "Pd", "Pc"):
            if not tokens or tokens[-1][0] != " ":
                tokens.append((" ", " "))
        elif category[0] in "LN" and not unicodedata.name(c, "").startswith(UNSPACED):
            if tokens and tokens[-1][0] == "word":
                tokens[-1] = ("word", tokens[-1][1] + c)
            else:
                tokens.append(("word", c))
        else:
            tokens.append(("unspaced" if category[0] in "LN" else "symbol", c))
    kept = []
    for place, (kind, token) in enumerate(tokens):
        if kind != " " or (tokens[place - 1 : place] + tokens[place + 1 : place + 2] and is_gap(tokens, place)):
            kept.append(token)
    return kept


def is_gap(tokens: Sequence[tuple[str, str]], place: int) -> bool:
    return 0 < place < len(tokens) - 1 and tokens[place - 1][0] == tokens[place + 1][0] == "unspaced"


def reference(entries: Sequence[str], text: str) -> list[str]:
    """Names of the entries in a text: the first of those that are the same tokens."""
    tokens, names = reference_tokens(text), {}
    for entry in entries:
        names.setdefault(tuple(reference_tokens(entry)), entry)
    runs = {tuple(tokens[a:b]) for a in range(len(tokens)) for b in range(a + 1, len(tokens) + 1)}
    return sorted(name for run, name in names.items() if run and run in runs)


def found(entries: Sequence[str], *texts: str | None, fold_chinese: bool = False) -> list[list[str] | None]:
    index = make_index(((entry, ()) for entry in entries), fold_chinese=fold_chinese)
    return list(Matcher(index, fold_chinese=fold_chinese).concepts(texts).to_pylist())


PIECES = [*"aAbßéİ19-_–'’.,+", "e\u0301", "\u0301", " ", "  ", "\n", "\u3000", "C++", "3.1", "art", "fox", "red"]
PIECES += [*"图文圖中漢の々", "ア", "ー", "ｱ", "が", "か\u3099", "ก", "กำ", "ที่", "ລາ", "ខ្មែ", "မြန်"]
PIECES += [
    "한",
    "글",
    "하",
    "ب",
    "بّ",
    "त",
    "क्\u200dष",
    "🦊",
    "👩\u200d🔬",
    "❤\ufe0f",
    "™",
    "½",
    "ﬁ",
    "\u200b",
    "\u00ad",
    "\0",
]
TEXT = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXT, max_size=8), st.lists(TEXT, max_size=6))
@example(["red fox", "fox", "red fox art"], ["red-fox art", "a red  fox", "redfox", ""])
def test_equals_the_reference(entries: list[str], texts: list[str]) -> None:
    assert found(entries, *texts) == [reference(entries, text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=6), max_size=6), st.text(max_size=30))
def test_any_text_is_matched_with_itself(entries: list[str], text: str) -> None:
    """Whatever Unicode brings: an entry is found in itself, and between spaced neighbours, exactly if it has tokens."""
    for entry in entries:
        has_tokens = make_index([(entry, ())]).num_rows > 0
        assert found([entry], entry, f"zz {entry} zz") == [[entry] * has_tokens] * 2


@pytest.mark.parametrize(
    ("entry", "text", "is_found"),
    [
        ("art", "The start of a party", False),
        ("art", "State-of-the-art!", True),
        ("ART", "modern art.", True),
        ("图", "图文", True),
        ("图文", "图 文", False),
        ("图文", "一张图文并茂的页", True),
        ("GerbView 主窗口", "GerbView主窗口，显示", True),
        ("C++", "a C++ program", True),
        ("C++", "vitamin C", False),
        ("3.1", "Figure 3.1: x", True),
        ("3.1", "3 1", False),
        ("31", "3.1", False),
        ("red fox", "red, fox", False),
        ("red fox", "RED\u00a0\n FOX", True),
        ("red fox", "red_fox", True),
        ("women's", "Women’s shoes", True),
        ("fox", "the fox's den", True),
        ("🦊", "a🦊b", True),
        ("fox", "🦊fox🦊", True),
        ("naïve", "nai\u0308ve", True),
        ("naive", "naïve", False),
        ("ภาพ", "รูปภาพสวย", True),
        ("ก", "ก็", False),  # the mark belongs to its letter
        ("アイコン", "ｱｲｺﾝを開く", True),
        ("設定", "設定画面", True),
        ("사진", "오래된 사진 한 장", True),
        ("사진", "사진을", False),  # Korean has spaces: particles are part of the word
        ("صورة", "هذه صورة جميلة", True),
        ("صورة", "الصورة", False),
        ("می\u200cخواهم", "میخواهم", True),
        ("straße", "STRASSE", True),
        ("half", "ha\u00adlf", True),
        ("Acme", "Acme™", True),
    ],
)
def test_boundaries(entry: str, text: str, is_found: bool) -> None:
    assert found([entry], text) == [[entry] * is_found]


def test_entries_within_entries_all_count() -> None:
    entries = ["new", "new york", "new york city hall", "york city", "city hall park"]
    assert found(entries, "New York City Hall, new") == [["new", "new york", "new york city hall", "york city"]]


def test_names_with_the_same_tokens_are_one_concept_and_a_pattern_may_mean_two() -> None:
    index = make_index([("Mouse", ["rodent"]), ("mouse device", ["mouse"]), ("MOUSE", ["mice"]), ("–", ["dash"])])
    matcher = Matcher(index)
    texts = ["a mouse", "mice", "rodent", "dash"]
    assert matcher.concepts(texts).to_pylist() == [["Mouse", "mouse device"], ["Mouse"], ["Mouse"], ["–"]]


def test_a_pattern_of_many_concepts_costs_each_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index([(f"concept {number}", ["fox", "red fox"]) for number in range(1_000)] + [("red fox cub", [])])
    matcher, sizes = Matcher(index), [0]
    monkeypatch.setattr(matcher_module, "distinct", lambda *pairs: sizes.append(len(pairs[0])) or distinct(*pairs))
    rows, entries = matcher.mentions(["red fox " * 1_000, "cub", "a red fox cub"])
    assert np.bincount(rows).tolist() == [2_000, 0, 2_001]
    assert len(set(zip(rows.tolist(), entries.tolist(), strict=True))) == 4_001
    names = matcher.concepts(["fox " * 1_000, "cub", "a red fox cub"]).to_pylist()
    assert [len(each) for each in names] == [1_000, 0, 1_001]
    assert max(sizes) < 5_000


def test_nothing_matches_across_texts_and_null_stays_null() -> None:
    assert found(["red fox", "a"], "red", "fox", None, "a\0a", "") == [[], [], None, ["a"], []]
    assert found([], "red", None) == [[], None]
    assert found(["red"]) == []


@pytest.mark.parametrize(
    ("cap", "text"), [(1 << 20, "a " * (1 << 19)), (360, "a " * 180), (360, "ﷺ" * 20)], ids=["long", "cut", "expanded"]
)
def test_what_lies_beyond_the_cap_takes_no_part(cap: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_CHARACTERS", cap)
    monkeypatch.setattr(tokens, "LONG_CHARACTERS", cap // 18)
    texts = ["a fox", f"{text}fox", None, "fox", f"{text[:-4]} fox"]
    assert found(["fox"], *texts) == [["fox"], [], None, ["fox"], ["fox"]]
    chunks = list(tokens.tokens_of(texts))
    assert max(len(chunk.text) for chunk in chunks) <= cap + 1
    assert [row for chunk in chunks for row in sorted(set(chunk.rows.tolist()))] == [0, 1, 2, 3, 4]


def test_traditional_characters_are_folded_when_asked_for() -> None:
    assert found(["图书馆", "漢字"], "圖書館與汉字") == [[]]
    assert found(["图书馆", "漢字"], "圖書館與汉字", fold_chinese=True) == [["图书馆", "漢字"]]


def test_half_a_million_entries_of_words_and_texts_larger_than_a_chunk() -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghij图文", k=rng.randint(2, 6))) for _ in range(30_000)]
    entries = [" ".join(rng.choices(words, k=rng.choice([1, 2, 2, 3]))) for _ in range(500_000)]
    texts = [" ".join(rng.choices(words, k=20)) for _ in range(300)]
    planted = [f"{text} {rng.choice(entries)} cab" for text in texts]
    planted.append(" ".join(rng.choices(words, k=CHUNK_CHARACTERS // 4)) + " " + entries[0])

    def quick(text: str) -> tuple[str, ...]:  # equal to reference_tokens on these characters
        return tuple(re.findall("[a-j]+|[图文]|(?<=[图文]) (?=[图文])|[^ ]", text))

    assert quick(planted[0]) == tuple(reference_tokens(planted[0]))
    known = {quick(entry) for entry in entries}
    longest = max(map(len, known))
    result = found(entries, *planted)
    for text, names in list(zip(planted, result, strict=True))[:100]:
        tokens = quick(text)
        runs = {tokens[a : a + n] for a in range(len(tokens)) for n in range(1, longest + 1)}
        assert {quick(name) for name in names or ()} == known & runs
    assert quick(entries[0]) in {quick(name) for name in result[-1] or ()}
