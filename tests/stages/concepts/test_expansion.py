"""Expansion, worked by hand over vectors of names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from surveyed import computed

from tuwen.corpus.vectors import unit
from tuwen.models.encoder import encoder
from tuwen.stages.concepts.expansion import Expansion

MODEL = str(Path(__file__).parents[1] / "data" / "tiny-clip")


def vector(*names: str) -> np.ndarray:
    """The mean of names' vectors."""
    return unit(encoder(MODEL).texts([f"a photo of a {name}." for name in names]).mean(axis=0)[None])[0]


IMAGES = {"a": vector("fox", "snow"), "b": vector("fox"), "c": vector("snow"), "d": vector("red", "dog"), "e": None}
CONCEPTS = [("a", ["fox"]), ("b", ["fox", "dog"]), ("c", ["snow"]), ("c", ["snow", "dog"]), ("d", None)]


def expanded(neighbours: dict[str, list[str] | None], **options: Any) -> dict[str, Any]:
    kind = pa.list_(pa.float16(), encoder(MODEL).dim)
    vectors = pa.array([None if v is None else np.float16(v).tolist() for v in IMAGES.values()], kind)
    tables = {
        "images": pa.table({"image_id": list(IMAGES), "embedding": vectors}),
        "pairs": pa.table(
            {
                "image_id": [*(image for image, _ in CONCEPTS), "a"],
                "concepts": pa.array([*(found for _, found in CONCEPTS), ["made"]], pa.list_(pa.string())),
                "derived_from": pa.array([None] * len(CONCEPTS) + [["x"]], pa.list_(pa.string())),
            }
        ),
    }
    found = pa.array([neighbours.get(image) for image in IMAGES], pa.list_(pa.string()))
    batch = pa.record_batch({"image_id": list(IMAGES), "embedding": vectors, "neighbours": found})
    return dict(zip(IMAGES, computed(Expansion(MODEL, **options), tables, batch), strict=True))


def test_scores_by_hand() -> None:
    row = expanded({"a": ["b", "c"]})["a"]
    stored = {name: np.float16(value).astype(np.float64) for name, value in IMAGES.items() if value is not None}
    cosine = {(name, image): float(vector(name) @ stored[image]) for name in ("snow", "dog") for image in "abc"}
    best = max(cosine["snow", "a"], cosine["dog", "a"])
    expected = {
        "snow": cosine["snow", "a"] / best + cosine["snow", "a"] / np.mean([cosine["snow", "a"], cosine["snow", "c"]]),
        "dog": cosine["dog", "a"] / best + cosine["dog", "a"] / np.mean([cosine["dog", image] for image in "abc"]),
    }
    order = sorted((name for name in expected if cosine[name, "a"] > 0), key=lambda name: -expected[name])
    assert row["expanded_concepts"] == order
    assert row["expanded_scores"] == pytest.approx([expected[name] for name in order], rel=1e-5)


def test_its_own_concepts_only_if_asked_for_and_never_those_of_made_texts() -> None:
    assert "fox" not in expanded({"a": ["b", "c"]}, num=9)["a"]["expanded_concepts"]
    both = expanded({"a": ["b", "c"], "b": ["a"]}, num=9, new_only=False)
    assert "fox" in both["a"]["expanded_concepts"]
    assert set(both["b"]["expanded_concepts"]) <= {"fox"}


def test_without_neighbours_or_embedding_or_concepts() -> None:
    found = expanded({"a": [], "b": None, "c": ["d"], "e": ["a"]})
    nothing = {"expanded_concepts": None, "expanded_scores": None}
    assert found["a"] == found["b"] == found["e"] == nothing
    assert found["c"] == {"expanded_concepts": [], "expanded_scores": []}
