"""The stage `concepts.category`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.stages.concepts.category import SHIPPED, Category, read_categories

NAMES = (
    "energy expressions industry medicine landscape animals news flowers education art people science sea trees cars "
    "social technology sport food"
)


def judged(stage: Category, *texts: str | None) -> list[tuple[str | None, float | None]]:
    found = stage(pa.record_batch({"text": pa.array(texts, pa.string())}))
    confidence = [None if value is None else round(value, 3) for value in found["category_confidence"].to_pylist()]
    return list(zip(found["category"].to_pylist(), confidence, strict=True))


def test_the_shipped_list() -> None:
    categories = read_categories(SHIPPED)
    assert list(categories) == NAMES.split()
    for name, words in categories.items():
        assert len(words) >= 50 and len(words) == len(set(words)), name
    stage = Category()
    for name, words in categories.items():  # each word alone speaks for its category
        assert {found for found, _ in judged(stage, *words)} >= {name}


def test_sentences_in_both_languages() -> None:
    texts = [
        "A red fox in the snow",
        "两只熊猫在吃竹子",
        "醫院裡的護士",
        "Ein Satz",
        "start of a smart day",
        "",
        None,
    ]
    found = [category for category, _ in judged(Category(), *texts)]
    assert found == ["animals", "animals", "medicine", None, None, None, None]


def test_confidence_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("b: [fox, red fox, 狐狸]\na: {en: [snow, art], zh: [雪地]}\nc: [art]\n", encoding="utf-8")
    stage = Category(categories=str(path))
    texts = ["fox", "red fox", "fox snow", "snow, art", "art", "狐狸", "red fox red fox in the snow", "b"]
    assert judged(stage, *texts) == [
        ("b", 0.5),  # 1 / (1 + 1)
        ("b", 0.75),  # (1 + 2) / (1 + 3)
        ("b", 0.333),  # the first of the list wins
        ("a", 0.5),  # (1 + 1/2) / (1 + 2)
        ("a", 0.25),  # 1/2 / (1 + 1)
        ("b", 0.5),
        ("b", 0.6),  # 3 / (1 + 4): each word once
        (None, None),  # the name of a category is no word of it
    ]


def test_a_changed_list_is_another_list(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text('{"x": ["fox"]}')
    stage = Category(categories=str(path))
    assert judged(stage, "fox art") == [("x", 0.5)]
    before = stage.model_hash()
    path.write_text('{"y": ["fox", "art"]}')
    assert stage.model_hash() != before
    assert judged(stage, "fox art") == [("y", 0.667)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no categories"),
        ("[fox]", "no categories"),
        ("a: fox", "category 'a'"),
        ("a: [[fox]]", "category 'a'"),
        ("a: {en: fox}", "category 'a'"),
        ("a: [", "no YAML"),
        ("a: {}", "category 'a'"),
        ('a: ["\\ud800"]', "surrogate"),
    ],
)
def test_broken_lists_say_what_is_wrong(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        judged(Category(categories=str(path)), "fox")


def test_missing_and_misnamed_lists(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"own\.txt"):
        load("tuwen.stages", "concepts.category", {"categories": "own.txt"})
    with pytest.raises(UsageError, match="cannot be read"):
        Category(categories=str(tmp_path / "gone.yaml")).model_hash()
