"""Texts as they really stand in alt attributes, captions and titles."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tuwen.stages.text.properties import Properties


def properties(text: str | None) -> dict[str, Any]:
    row: dict[str, Any] = Properties()(pa.record_batch({"text": pa.array([text], pa.string())})).to_pylist()[0]
    return row


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("A red fox", 3),
        ("don't use well-known snake_case", 4),
        ("Überraschung à la carte", 4),
        ("图1：主界面", 5),
        ("GerbView 主窗口", 4),
        ("カテゴリー", 5),
        ("서울의 오래된 다리", 3),
        ("एक पुराना पुल", 3),
        ("640 × 480 px", 3),
        ("… — !", 0),
    ],
)
def test_words(text: str, words: int) -> None:
    assert properties(text)["num_words"] == words


def test_shares() -> None:
    found = properties("图文 ab 12 !?")
    assert (found["num_characters"], found["cjk_share"], found["digit_share"], found["symbol_share"]) == (
        11,
        0.25,
        0.25,
        0.25,
    )
    assert properties(" \u200b ")["cjk_share"] is None
    assert set(properties(None).values()) == {None}


def test_repetition() -> None:
    assert properties("abcd")["repetition"] == 0
    assert properties("abcdefgh")["repetition"] == 0
    assert properties("aaaaaaaaa")["repetition"] == pytest.approx(0.8)  # five 5-grams, one distinct
    assert properties("Buy now! " * 50)["repetition"] > 0.9


@pytest.mark.parametrize(
    "text",
    [
        "IMG_2041.JPG",
        "foo bar.png",
        " photo.jpeg?w=640",
        "DSC00042",
        "plot_canny_001",
        "Screenshot 2024-01-02",
        "image(3)",
        "3f2504e0-4f89-41d3-9a0c-0305e82cc301",
        "123456",
        "结果图.webp",
    ],
)
def test_file_names(text: str) -> None:
    assert properties(text)["looks_like_filename"] is True


@pytest.mark.parametrize("text", ["A red fox", "图1：主界面", "The file a.png holds", "2019", "deadbeef", ""])
def test_no_file_names(text: str) -> None:
    assert properties(text)["looks_like_filename"] is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.test/b c", False),
        ("https://a.test/b", True),
        ("www.a.test", True),
        ("example.com/x", True),
        ("see example.com", False),
        ("//cdn.test/a", True),
        ("3.org", True),
        ("A red fox", False),
    ],
)
def test_urls(text: str, expected: bool) -> None:
    assert properties(text)["looks_like_url"] is expected


@pytest.mark.parametrize(
    "text",
    [
        "Logo",
        "[Note]",
        "Click here to enlarge",
        "Figure 3",
        "图 2-1",
        "图片",
        "点击放大",
        "圖片",
        "画像",
        "Abbildung 4:",
        "Рис. 1",
        "Image 12",
        "[警告]",
        "",
        "...",
        "🙂",
        "이미지",
        "صورة",
    ],
)
def test_boilerplate(text: str) -> None:
    assert properties(text)["looks_like_boilerplate"] is True


@pytest.mark.parametrize(
    "text", ["Fox logo", "图1：主界面", "A note on foxes", "Open the file", "2019", "点击放大后的细胞"]
)
def test_no_boilerplate(text: str) -> None:
    assert properties(text)["looks_like_boilerplate"] is False
