"""How texts are written: cases worked by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tuwen.stages.text.quality import Quality


def quality(text: str | None, language: str | None = "en") -> dict[str, Any]:
    batch = pa.record_batch({"text": pa.array([text], pa.string()), "language": pa.array([language], pa.string())})
    row: dict[str, Any] = Quality()(batch).to_pylist()[0]
    return row


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("The view of the old harbour", "en", 0.5),
        ("cheap shoes sneakers buy", "en", 0),
        ("Die Brücke und der Fluss", "de", 0.6),
        ("这是我的书", "zh", 0.6),  # 是 我 的 这 are listed; 书 is not: 4 of 5
        ("Вид на мост", "ru", 1 / 3),
        ("صورة من المدينة", "ar", 1 / 3),
        ("สะพานเก่า", "th", None),
        ("the of", None, None),
        ("...", "en", None),
    ],
)
def test_stop_words(text: str, language: str | None, share: float | None) -> None:
    if text == "这是我的书":
        share = 0.8
    assert quality(text, language)["stop_word_share"] == pytest.approx(share)


def test_word_lengths() -> None:
    found = quality("A red fox jumped")
    assert (found["word_length_mean"], found["word_length_max"]) == (3.25, 6)
    mixed = quality("GerbView 主窗口")
    assert (mixed["word_length_mean"], mixed["word_length_max"]) == (8, 8)
    assert quality("主窗口")["word_length_mean"] is None
    assert quality("")["word_length_max"] is None


def test_case() -> None:
    assert quality("SALE now")["uppercase_share"] == pytest.approx(4 / 7)
    assert quality("大减价 123")["uppercase_share"] is None
    assert quality("ПРОДАЖА")["uppercase_share"] == 1


def test_emoji() -> None:
    assert quality("ok 🙂🙂")["emoji_share"] == 0.5
    assert quality("plain")["emoji_share"] == 0
    assert quality("  ")["emoji_share"] is None


@pytest.mark.parametrize(
    "text", ["It rains.", "Really?!", "他说：“下雨了。”", "雨が降る。", "هل تمطر؟", "बारिश हो रही है।", "(see below.)"]
)
def test_sentence_ends(text: str) -> None:
    assert quality(text)["ends_sentence"] is True


@pytest.mark.parametrize("text", ["Figure 3", "a, b,", "Contents:", "", "v1.2", "图片"])
def test_no_sentence_ends(text: str) -> None:
    assert quality(text)["ends_sentence"] is False


@pytest.mark.parametrize(
    ("good", "read_as", "least"),
    [
        ("déjà vu à côté", "latin-1", 4),
        ("It’s “here”", "cp1252", 2),
        ("Привет", "latin-1", 6),
        ("主窗口", "latin-1", 3),
    ],
)
def test_utf8_that_was_read_wrong(good: str, read_as: str, least: int) -> None:
    assert quality(good)["num_broken_characters"] == 0
    assert quality(good.encode().decode(read_as, "replace"))["num_broken_characters"] >= least


@pytest.mark.parametrize(
    "text",
    ["São João", "NÃO", "Âge d’or", "Ñandú", "Ðeiða", "çà et là", "20 °C", "“quoted” – dash…", "café's", "\u200bzwsp"],
)
def test_accents_are_not_broken(text: str) -> None:
    assert quality(text)["num_broken_characters"] == 0


def test_null() -> None:
    assert set(quality(None).values()) == {None}
