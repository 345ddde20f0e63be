"""Word lists: hits, false friends, and lists of the user's own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.stages.text.flagged_words import FlaggedWords


def flagged(text: str | None, lists: str | None = None) -> list[str] | None:
    batch = pa.record_batch({"text": pa.array([text], pa.string())})
    found: list[str] | None = FlaggedWords(lists)(batch)["flagged"].to_pylist()[0]
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Free PORN here", ["adult"]),
        ("ｐｏｒｎ", ["adult"]),
        ("best Online  Casino bonus", ["gambling"]),
        ("porn and online casino", ["adult", "gambling"]),
        ("porn_", ["adult"]),
        ("成人视频在线观看", ["adult"]),
        ("澳门赌场百家乐", ["gambling"]),
        ("онлайн казино", ["gambling"]),
        ("A red fox", []),
        ("", []),
    ],
)
def test_hits(text: str, names: list[str]) -> None:
    assert flagged(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "A cocktail in Scunthorpe, Sussex",
        "Great tits and a cock in Dick's garden",
        "Pussy willow in spring",
        "Ford Escort, 1984",
        "Sex education for adults",
        "黄色的花，成人教育",
        "十字路口交通信号灯",
        "个性交友，女性交流",
        "欧美性能测试",
        "The strip of land; you bet",
        "Essex, Middlesex",
        "pornichet",
        "analysis of a glass",
        "Rouletted stamps",
        "潮吹きクジラ",
    ],
)
def test_false_friends(text: str) -> None:
    assert flagged(text) == []


def test_null() -> None:
    assert flagged(None) is None


def test_own_lists(tmp_path: Path) -> None:
    path = tmp_path / "lists.yaml"
    path.write_text("b: [C++, 'a.b', ไทย]\na: {words: [fox], except: [fox terrier]}\n", encoding="utf-8")
    assert flagged("I like c++ and fox", str(path)) == ["b", "a"]
    assert flagged("fox terrier, axb", str(path)) == []
    assert flagged("ภาษาไทยง่าย", str(path)) == ["b"]


@pytest.mark.parametrize("content", ["", "[a, b]", "a: 3", "a: []", "a: {except: [x]}", "a: [", "\x00"])
def test_broken_lists(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lists.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"lists\.yaml"):
        flagged("x", str(path))


def test_a_missing_file() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        load("tuwen.stages", "text.flagged_words", {"lists": "nowhere.yaml"})
