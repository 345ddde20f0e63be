"""Assignment against every way to assign, and on pages with a model whose vectors are known."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tuwen.corpus.tables import TABLES
from tuwen.models.encoder import encoder
from tuwen.stages.document import assignment
from tuwen.stages.document.assignment import Assignment, assign

TINY = str(Path(__file__).parent.parent / "data" / "tiny-clip")
NODES = TABLES["documents"].schema.field("nodes").type
similarities = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-64, 64).map(lambda number: number / 64))
)


@given(similarities)
def test_equal_to_the_best_of_all_ways(similarity: Any) -> None:
    num_images, num_texts = similarity.shape
    chosen = assign(similarity, "assignment")
    few = min(num_images, num_texts)
    best = max(
        sum(float(similarity[image, text]) for image, text in zip(images, texts, strict=True))
        for images in itertools.combinations(range(num_images), few)
        for texts in itertools.permutations(range(num_texts), few)
    )
    # Of the images that share a text, one was assigned and the others took their most similar.
    leftover = [image for image in range(num_images) if similarity[image, chosen[image]] == similarity[image].max()]
    assigned = max(
        (
            sum(float(similarity[image, chosen[image]]) for image in images)
            for images in itertools.combinations(range(num_images), few)
            if len({int(chosen[image]) for image in images}) == few and {*range(num_images)} - {*images} <= {*leftover}
        ),
    )
    assert assigned == pytest.approx(best, abs=1e-6)


@given(similarities)
def test_greedy_takes_the_most_similar_of_those_left(similarity: Any) -> None:
    chosen = assign(similarity, "greedy")
    left = {(image, text) for image in range(similarity.shape[0]) for text in range(similarity.shape[1])}
    expected = {}
    while left:
        image, text = max(left, key=lambda pair: (similarity[pair], -pair[0], -pair[1]))
        expected[image] = text
        left = {pair for pair in left if pair[0] != image and pair[1] != text}
    for image, text in enumerate(chosen):
        assert text == expected.get(image, int(similarity[image].argmax()))


def test_greedy_is_worse_where_images_compete() -> None:
    similarity = np.array([[0.9, 0.8], [0.8, 0.1]], np.float32)
    assert assign(similarity, "greedy").tolist() == [0, 1]  # 1.0 in all
    assert assign(similarity, "assignment").tolist() == [1, 0]  # 1.6


def page(nodes: list[tuple[str, Any, str | None]]) -> tuple[Any, Any, Any]:
    """Nodes, image ids and vectors: ("image", vector, region) or (kind, text, region)."""
    is_image = [kind == "image" for kind, _, _ in nodes]
    rows = [
        {"kind": kind, "text": None if kind == "image" else value, "region": region} for kind, value, region in nodes
    ]
    ids = [f"{place}" if image else None for place, image in enumerate(is_image)]
    return rows, ids, [value if image else None for (_, value, _), image in zip(nodes, is_image, strict=True)]


def run(pages: list[tuple[Any, Any, Any]], **options: Any) -> list[dict[str, Any]]:
    columns = [[row[place] for row in pages] for place in range(3)]
    kinds = [NODES, pa.list_(pa.string()), pa.list_(pa.list_(pa.float16(), 8))]
    batch = pa.record_batch(
        [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)],
        names=["nodes", "image_ids", "image.embedding"],
    )
    found: list[dict[str, Any]] = Assignment(TINY, **options)(batch).to_pylist()
    return found


def test_pages() -> None:
    fox, cat, window = encoder(TINY).texts(["a red fox", "一只猫", "نافذة البرنامج"]).astype(np.float16).tolist()
    pages = [
        page(
            [("heading", "a red fox", "main"), ("image", cat, "main"), ("text", "一只猫", None), ("image", fox, None)]
        ),
        page([("image", window, "main"), ("text", "نافذة البرنامج", "navigation"), ("text", "  ", "main")]),  # no text
        page([("image", fox, "navigation"), ("image", None, "main"), ("text", "a red fox", "main")]),  # no image
        page([("image", fox, "main"), ("image", fox, "main"), ("text", "a red fox", "main")]),  # more images than texts
        (None, None, None),
        ([], [], []),
        (pages_nodes := page([("text", "a red fox", "main")])[0], None, None),
    ]
    found = run(pages)
    assert [row["matched_text_index"] for row in found] == [
        [None, 2, None, 0],
        [None, None, None],
        [None, None, None],
        [2, 2, None],
        None,
        [],
        None,
    ]
    assert found[0]["matched_similarity"] == pytest.approx([None, 1, None, 1], abs=1e-3)
    assert pages_nodes is not None
    (row,) = run([pages[1]], regions=("main", "navigation"))
    assert row["matched_text_index"] == [1, None, None]


def test_a_page_with_too_many_choices_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    (fox,) = encoder(TINY).texts(["a red fox"]).astype(np.float16).tolist()
    nodes = [("image", fox, "main"), ("text", "a red fox", "main"), ("text", "a cat", "main")]
    monkeypatch.setattr(assignment, "MOST_CHOICES", 1)
    assert run([page(nodes)])[0]["matched_text_index"] == [None, None, None]
    monkeypatch.setattr(assignment, "MOST_CHOICES", 2)
    assert run([page(nodes)])[0]["matched_text_index"] == [1, None, None]
