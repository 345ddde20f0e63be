"""Words of texts, cut by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tuwen.stages.words import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red fox, don't!", ["a", "red", "fox", "don't"]),
        ("'quoted' well-known -- snake_case_", ["quoted", "well-known", "snake_case"]),
        ("图1：主界面 GerbView", ["图", "1", "主", "界", "面", "gerbview"]),
        ("カテゴリー", ["カ", "テ", "ゴ", "リ", "ー"]),
        ("สวัสดี ชาวโลก", ["สวัสดี", "ชาวโลก"]),
        ("نافذة البرنامج", ["نافذة", "البرنامج"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ ①", ["full", "width", "1"]),
        ("...", []),
        ("", []),
        (None, []),
    ],
)
def test_words(text: str | None, words: list[str]) -> None:
    found, rows = words_of(pa.array(["x", text, "y"], pa.string()))
    assert found.to_pylist() == ["x", *words, "y"]
    assert rows.to_pylist() == [0, *([1] * len(words)), 2]


def test_case_is_kept_when_asked_for() -> None:
    assert words_of(pa.array(["A Fox"]), cased=True)[0].to_pylist() == ["A", "Fox"]
