"""Pairs of the demo corpus as a world."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import tuwen
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.proof.run import check_overlap
from tuwen.proof.worlds.manuals import Manuals

RECIPE = {
    "name": "manuals",
    "description": "Pairs of the demo.",
    "sources": [],
    "stages": ["pair.resolve", "document.language", "text.language"],
    "selections": {
        "alt": {"unit": "pair", "steps": [{"rule": "text_source = 'alt'"}]},
        "pictures": {"unit": "image", "steps": []},
    },
}
LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, demo_crawl: Path) -> str:
    folder = tmp_path_factory.mktemp("manuals") / "corpus"
    tuwen.build(tuwen.Recipe.from_mapping({**RECIPE, "sources": [{"warc": {"paths": [str(demo_crawl)]}}]}), folder)
    return str(folder)


@pytest.fixture
def world(corpus: str) -> Manuals:
    return Manuals(corpus, selection="alt", languages=LANGUAGES)


def test_pairs_are_those_of_the_selection(corpus: str, world: Manuals) -> None:
    table = tuwen.open(corpus).table("pairs", ["pair_id", "image_id", "text", "text_source", "language"]).to_pylist()
    pairs = {each["pair_id"]: each for each in table}
    wanted = {
        each["pair_id"]
        for each in table
        if each["text_source"] == "alt" and each["image_id"] and each["text"].strip() and each["language"] in LANGUAGES
    }
    train, test = (draw(number, 1) for draw, number in ((world.train, most(world)), (world.test, 20)))
    assert set(train["pair_id"]) | set(test["pair_id"]) <= wanted
    assert len(wanted) * 0.75 < train.num_rows < len(wanted) * 0.85
    for row, pair_id in enumerate(train["pair_id"]):
        assert train["text"][row] == pairs[pair_id]["text"].strip()
        assert train["language"][row] == pairs[pair_id]["language"]
        assert train["image_id"][row] == pairs[pair_id]["image_id"]
    assert {"emoji.test", "kicad-en.test", "kicad-zh.test"} <= set(train["host"])
    assert train["image"].shape[1:] == (32, 32, 3)


def most(world: Manuals) -> int:
    """How many training examples there are."""
    with pytest.raises(UsageError, match="training examples are asked for and there are") as told:
        world.train(100_000, 1)
    return int(str(told.value).split("there are ")[1].split(";")[0])


def test_groups_and_images_are_on_one_side(world: Manuals) -> None:
    train, test = world.train(most(world), 1), world.test(60, 1)
    check_overlap(train, test)
    for name in ("group", "image_id"):
        assert not set(train[name]) & set(test[name])

    def ids(columns: Columns) -> list[str]:
        return columns["pair_id"].tolist()

    assert ids(world.test(60, 2)) == ids(test)
    assert ids(dataclasses.replace(world, split=1).test(60, 1)) != ids(test)
    assert ids(world.train(50, 1)) == ids(train)[:50]
    assert ids(world.train(50, 2)) != ids(train)[:50]


def test_a_site_that_is_left_out_takes_its_figures_along(world: Manuals) -> None:
    """The manual in the other language shows the same figures; who trains on them has seen the test."""
    apart = dataclasses.replace(world, hosts=("kicad-zh.test",))
    train, test = apart.train(most(apart), 1), apart.test(15, 1)
    assert set(test["host"]) == {"kicad-zh.test"}
    assert not set(train["group"]) & set(test["group"])
    shown = set(apart.test(15, 1)["image_id"]) & set(world.train(most(world), 1)["image_id"])
    assert shown and not shown & set(train["image_id"])


def test_one_figure_in_two_languages(world: Manuals) -> None:
    train = world.train(most(world), 1)
    both = np.flatnonzero(train["has_en"] & train["has_zh"])
    assert len(both) > 100
    assert ("bell", "铃铛") in set(zip(train["text_en"], train["text_zh"], strict=True))
    for row in range(train.num_rows):
        assert train["is_en"][row] != train["is_zh"][row]
        assert train[f"has_{train['language'][row]}"][row]
        assert bool(train["text_zh"][row]) == train["has_zh"][row]
    for row in both[:20]:
        other = next(
            each
            for each in range(train.num_rows)
            if train["same"][each] == train["same"][row] and train["language"][each] != train["language"][row]
        )
        assert np.array_equal(train["image"][row], train["image"][other])


def test_mismatch_moves_texts_alone_and_keeps_their_language(world: Manuals) -> None:
    number = most(world)
    before, after = world.train(number, 1), dataclasses.replace(world, mismatch=0.4).train(number, 1)
    moved = {name for name in before if not np.array_equal(np.array(before[name]), np.array(after[name]))}
    assert moved == {"text", "is_true", "is_mismatched"}
    assert 0.3 < after["is_mismatched"].mean() < 0.5
    chinese = {text for text, is_zh in zip(before["text"], before["is_zh"], strict=True) if is_zh}
    assert {text for text, is_zh in zip(after["text"], after["is_zh"], strict=True) if is_zh} <= chinese


def test_all_pairs(corpus: str) -> None:
    found = Manuals(corpus).train(2_000, 1)
    assert {"alt", "caption"} < set(found["text_source"])
    assert {"en", "zh", "ja"} < set(found["language"])
    assert "is_en" not in found


def test_what_was_taken_down_is_left_out(corpus: str, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "corpus")
    world = Manuals(str(tmp_path / "corpus"))
    before, fingerprint = world.train(2_000, 1), world.fingerprint
    gone = before["image_id"][0]
    stone = {"kind": "image", "value": gone, "reason": "asked to", "at": None}
    batch = pa.RecordBatch.from_pylist([stone], schema=TABLES["tombstones"].schema)
    append_rows(tuwen.open(world.path), "tombstones", [batch])
    assert world.fingerprint != fingerprint
    assert gone not in world.train(2_000, 1)["image_id"]


def test_the_fingerprint_is_of_what_is_read(corpus: str, world: Manuals) -> None:
    assert world.fingerprint == dataclasses.replace(world, split=1).fingerprint
    assert world.fingerprint != Manuals(corpus).fingerprint


def test_a_corpus_that_has_grown_is_another_world(split_crawl: Callable[[int], list[Path]], tmp_path: Path) -> None:
    one, two = map(str, split_crawl(2))
    world = Manuals(str(tmp_path / "corpus"), selection="alt")

    def built(*paths: str) -> str:
        recipe = {**RECIPE, "sources": [{"warc": {"paths": list(paths)}}]}
        tuwen.build(tuwen.Recipe.from_mapping(recipe), world.path)
        return world.fingerprint

    first = built(one)
    number = most(world)
    assert built(one) == first
    assert built(one, two) != first
    assert most(world) > number


def test_what_cannot_be_told(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps images"):
        Manuals(corpus, selection="pictures").test(1, 1)
    with pytest.raises(UsageError, match="no pairs of such a selection"):
        Manuals(corpus, languages=("tlh",)).test(1, 1)
    with pytest.raises(UsageError, match="holds no corpus"):
        Manuals(str(tmp_path)).test(1, 1)
    tuwen.Corpus.create(tmp_path / "empty")
    with pytest.raises(UsageError, match=r"no column image_id; add pair\.resolve"):
        Manuals(str(tmp_path / "empty")).test(1, 1)
