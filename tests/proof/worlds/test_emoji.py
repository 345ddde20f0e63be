"""Emoji: names belong to their pictures, and what looks alike is never on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.proof.claim import Claim
from tuwen.proof.kept import drawn
from tuwen.proof.run import Task
from tuwen.proof.worlds.emoji import Emoji, head_noun
from tuwen.proof.worlds.emoji_builder import Glyph, main, of_font, read_glyphs, write_glyphs
from tuwen.proof.worlds.groups import COSINE

TRAIN, TEST = 200, 40
CLDR = """<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE ldml SYSTEM "../../common/dtd/ldml.dtd">
<ldml><annotations>{}</annotations></ldml>"""


def test_names_of_a_picture() -> None:
    found = Emoji(languages=("en", "zh", "de")).train(300, 1)
    row = found["code"].tolist().index("1f34b")
    assert [found[f"name_{each}"][row] for each in ("en", "zh", "de")] == ["lemon", "柠檬", "Zitrone"]
    assert found["text"][row] == found[f"name_{found['language'][row]}"][row]
    assert found["image"][row].shape == (32, 32, 3)
    red, green, blue = found["image"][row, 16, 16]
    assert red > 200 and green > 150 and blue < 120  # it is yellow
    assert len(set(zip(found["code"], found["language"], strict=True))) == 300


def test_captions() -> None:
    found = Emoji(text="caption", languages=("en",)).train(100, 1)
    row = found["code"].tolist().index("1f34b")
    assert found["text"][row] == "lemon (citrus, fruit, lemon)"
    assert found["name"][row] == "lemon"


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("lemon", "lemon"),
        ("man in lotus position: dark skin tone", "man"),
        ("flag: Japan", "flag"),
        ("Japanese “prohibited” button", "button"),
        ("A button (blood type)", "button"),
        ("ear of corn", "ear"),
    ],
)
def test_head_nouns(name: str, head: str) -> None:
    assert head_noun(name) == head


@pytest.mark.parametrize("split", [0, 1])
def test_no_group_is_on_both_sides(split: int) -> None:
    world = Emoji(split=split)
    train, test = world.train(TRAIN, 1), world.test(TEST, 1)
    assert not set(train["group"].tolist()) & set(test["group"].tolist())
    assert not {head_noun(each) for each in train["name_en"]} & {head_noun(each) for each in test["name_en"]}
    pixels = [each["image"].reshape(len(each["image"]), -1).astype(float) for each in (train, test)]
    alike = np.corrcoef(*pixels)[:TRAIN, TRAIN:]
    assert alike.max() < COSINE + 0.01  # colours of the sides differ a little from those that were compared


def test_splits_and_seeds() -> None:
    world = Emoji()

    def codes(columns: Columns) -> list[str]:
        return columns["code"].tolist()

    assert codes(world.test(TEST, 1)) == codes(world.test(TEST, 2))
    assert codes(world.test(TEST, 1)) != codes(Emoji(split=1).test(TEST, 1))
    assert codes(world.train(TRAIN, 1)) != codes(world.train(TRAIN, 2))
    assert codes(world.train(TRAIN, 1))[:20] == codes(world.train(20, 1))
    assert world.test(4, 1)["language"].tolist() == ["en", "zh", "en", "zh"]


def test_mismatch_moves_texts_alone() -> None:
    before, after = Emoji().train(TRAIN, 1), Emoji(mismatch=0.4).train(TRAIN, 1)
    moved = {name for name in before if not np.array_equal(np.array(before[name]), np.array(after[name]))}
    assert moved == {"text", "is_true", "is_mismatched"}
    rows = np.flatnonzero(after["is_mismatched"])
    assert 0.3 < len(rows) / TRAIN < 0.5
    for row in range(TRAIN):
        assert (after["text"][row] == after["true_text"][row]) == (row not in rows)
    assert Emoji(mismatch=0.4).test(TEST, 1)["is_true"].all()


def test_what_is_not_there() -> None:
    with pytest.raises(UsageError, match="500 training examples are asked for and there are 268"):
        Emoji().train(500, 1)
    with pytest.raises(UsageError, match=r"no emoji has a name in 'tlh'; there are: ar, de, en"):
        Emoji(languages=("en", "tlh")).test(1, 1)
    with pytest.raises(UsageError, match="cannot be read"):
        Emoji(path="nowhere").test(1, 1)


def test_a_folder_of_the_crawl_is_the_same_world(demo_crawl: Path, tmp_path: Path) -> None:
    main(["--crawl", str(demo_crawl), "--to", str(tmp_path / "emoji")])
    shipped, built = Emoji().train(TRAIN, 1), Emoji(path=str(tmp_path / "emoji")).train(TRAIN, 1)
    assert shipped["text"] == built["text"]
    assert np.array_equal(shipped["image"], built["image"])
    assert np.array_equal(shipped["group"], built["group"])


def test_another_folder_is_drawn_anew(tmp_path: Path) -> None:
    glyphs = read_demo(tmp_path)
    world = Emoji(path=str(tmp_path / "emoji"), languages=("en",))
    first = drawn(world, "train", 50, 1, tmp_path)
    write_glyphs(
        [Glyph(each.code, each.picture, {"en": f"new {each.names['en']}"}) for each in glyphs], tmp_path / "emoji"
    )
    second = drawn(world, "train", 50, 1, tmp_path)
    assert all(each.startswith("new ") for each in second["text"])
    assert not any(each.startswith("new ") for each in first["text"])


def test_results_on_another_folder_are_other_results(tmp_path: Path) -> None:
    glyphs = read_demo(tmp_path)
    told = Claim.from_mapping(
        {
            "name": "emoji",
            "statement": "Any.",
            "world": {"emoji": {"path": str(tmp_path / "emoji")}},
            "budget": {"examples": 10, "samples": 10, "batch_size": 5},
            "seeds": [1],
            "arms": {"one": {"objectives": ["contrast"]}, "two": {"objectives": ["contrast"]}},
            "evaluations": {"retrieval": "retrieval"},
            "comparisons": [{"arm": "one", "against": "two", "evaluation": "retrieval", "smallest_effect": 0.1}],
        }
    )
    before = Task(told, "one", 1, str(tmp_path)).key
    assert before == Task(told, "one", 1, str(tmp_path)).key
    write_glyphs(glyphs[1:], tmp_path / "emoji")
    assert before != Task(told, "one", 1, str(tmp_path)).key


def read_demo(folder: Path) -> list[Glyph]:
    from tuwen.proof.worlds.emoji import _demo
    from tuwen.proof.worlds.emoji_builder import of_crawl

    glyphs = of_crawl(_demo())
    write_glyphs(glyphs, folder / "emoji")
    assert read_glyphs(folder / "emoji") == glyphs
    return glyphs


def test_a_font_and_cldr(tmp_path: Path) -> None:
    """Digits stand for emoji: all as wide as each other. A sequence that is two pictures is left out, and so is what
    has no name, no ink, or a name that is the parent language's."""
    font = tmp_path / "font.ttf"
    font.write_bytes(ImageFont.load_default(20).font_bytes)
    (tmp_path / "cldr" / "annotations").mkdir(parents=True)
    (tmp_path / "cldr" / "annotationsDerived").mkdir()
    short = '<annotation cp="{}" type="tts">{}</annotation>'
    told = {
        "annotations/en": '<annotation cp="1">number | one</annotation><annotation cp="4">no name</annotation>'
        + short.format(1, "digit one")
        + short.format(2, "digit two")
        + short.format(12, "twelve"),
        "annotations/zh_Hant": short.format(1, "數字一") + short.format(2, "↑↑↑"),
        "annotationsDerived/en": short.format(3, "digit three"),
        "annotations/de": short.format(1, "Ziffer eins"),
    }
    for name, lines in told.items():
        (tmp_path / "cldr" / f"{name}.xml").write_text(CLDR.format(lines), encoding="utf-8")
    found = of_font(font, tmp_path / "cldr", ["en", "zh-Hant"])
    assert [each.code for each in found] == ["31", "32", "33"]
    assert found[0].names == {"en": "digit one", "zh-Hant": "數字一"}
    assert found[0].captions == {"en": "digit one (number, one)"}
    assert found[1].names == {"en": "digit two"}
    assert len({each.picture for each in found}) == 3
    with pytest.raises(UsageError, match="give CLDR's folder"):
        of_font(font, tmp_path, ["en"])
    with pytest.raises(UsageError, match="cannot be read as a font"):
        of_font(tmp_path / "cldr" / "annotations" / "en.xml", tmp_path / "cldr")
