"""Names of topics, by hand."""

from __future__ import annotations

import pyarrow as pa
from surveyed import computed

from tuwen.stages.image.topic_name import TopicName

IMAGES = pa.table(
    {
        "image_id": list("abcdefgh"),
        "image_topic": pa.array([0, 0, 0, 1, 1, 1, 2, None], pa.int32()),
    }
)
CONCEPTS = {
    "a": ["cat", "image", "猫"],
    "b": ["cat", "image"],
    "c": ["cat", "sofa"],
    "d": ["dog", "image"],
    "e": ["dog", "image"],
    "f": ["image"],
    "g": ["image"],
}


def names(stage: TopicName, pairs: dict[str, list[str]]) -> list[list[str] | None]:
    table = pa.table(
        {
            "image_id": pa.array([*pairs, *pairs, None], pa.string()),  # every text twice: an image counts once
            "concepts": pa.array([*pairs.values(), *pairs.values(), ["cat"]], pa.list_(pa.string())),
        }
    )
    batch = IMAGES.select(["image_topic"]).to_batches()[0]
    return [row["image_topic_name"] for row in computed(stage, {"images": IMAGES, "pairs": table}, batch)]


def test_what_stands_out_names_the_topic() -> None:
    found = names(TopicName(), CONCEPTS)
    assert found == [["cat"]] * 3 + [["dog"]] * 3 + [[], None]


def test_rare_concepts_count_where_they_are_asked_for() -> None:
    found = names(TopicName(words=2, min_images=1), CONCEPTS)
    assert found[0] == ["cat", "sofa"]
    assert found[6] == []  # what everybody mentions says nothing


def test_no_texts_no_names() -> None:
    assert names(TopicName(), {}) == [[]] * 7 + [None]
