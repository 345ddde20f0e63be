"""Topics of images and texts: planted directions are found again, in any order of the rows, and stay."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from surveyed import Surveyed, computed

from tuwen.corpus.tables import digest
from tuwen.models.kmeans import MIN_ROWS, fit, sample
from tuwen.stages.image.topic import Topic
from tuwen.stages.text.topic import Topic as TextTopic

WIDTH, GROUPS, EACH = 16, 5, 40


def vectors(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 around five axes, and which axis each belongs to."""
    chance = np.random.default_rng(seed)
    groups = np.arange(GROUPS * EACH) % GROUPS
    found = np.eye(WIDTH)[groups] + chance.normal(0, 0.05, (len(groups), WIDTH))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16), groups


def column(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float16()), values.shape[1])


def images() -> pa.Table:
    known = column(vectors()[0])
    ids = [digest(f"{number}") for number in range(GROUPS * EACH + 1)]
    return pa.table({"image_id": ids, "embedding": pa.concat_arrays([known, pa.nulls(1, known.type)])})


def test_planted_groups_are_found() -> None:
    table = images()
    rows = computed(Topic(topics=GROUPS), {"images": table}, table.select(["embedding"]).to_batches()[0])
    assert rows[-1] == {"image_topic": None, "image_topic_similarity": None}
    _, groups = vectors()
    pairs = {(group, row["image_topic"]) for group, row in zip(groups, rows[:-1], strict=True)}
    assert len(pairs) == GROUPS and {topic for _, topic in pairs} == set(range(GROUPS))
    assert all(0.9 < row["image_topic_similarity"] <= 1 for row in rows[:-1])


def test_texts_go_the_same_way() -> None:
    table = images().rename_columns(["pair_id", "text_embedding"])
    rows = computed(TextTopic(topics=GROUPS), {"pairs": table}, table.select(["text_embedding"]).to_batches()[0])
    assert {row["text_topic"] for row in rows} == {None, *range(GROUPS)}


def test_the_state_does_not_depend_on_the_order_of_rows() -> None:
    table = images()
    turned = table.take(list(reversed(range(table.num_rows))))
    stage = Topic(topics=GROUPS, seed=3)
    assert stage.prepare(Surveyed({"images": turned})).equals(stage.prepare(Surveyed({"images": table})))


def test_no_more_topics_than_there_are_images_for() -> None:
    table = images()
    assert Topic(topics=1_000).prepare(Surveyed({"images": table})).num_rows == GROUPS * EACH // MIN_ROWS
    few = table.slice(0, 3)
    rows = computed(Topic(), {"images": few}, few.select(["embedding"]).to_batches()[0])
    assert [row["image_topic"] for row in rows] == [0, 0, 0]
    none = table.slice(GROUPS * EACH)
    rows = computed(Topic(), {"images": none}, none.select(["embedding"]).to_batches()[0])
    assert rows == [{"image_topic": None, "image_topic_similarity": None}]


def test_the_sample_is_of_the_smallest_keys_in_any_cut() -> None:
    chance = np.random.default_rng(1)
    keys, values = chance.permutation(100).astype(np.uint64), chance.normal(size=(100, 4)).astype(np.float32)
    expected = values[np.argsort(keys)[:30]]
    for cuts in ([100], [7, 60, 100], list(range(1, 101))):
        starts = [0, *cuts[:-1]]
        parts = [(keys[a:b], values[a:b]) for a, b in zip(starts, cuts, strict=True)]
        assert np.array_equal(sample(parts, 30), expected)


def test_centroids_have_length_one() -> None:
    found = fit(vectors()[0].astype(np.float32), GROUPS, seed=0)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("options", [{"topics": 0}, {"topics": 10**6}, {"seed": -1}])
def test_parameters_that_mean_nothing(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Topic(**options)
