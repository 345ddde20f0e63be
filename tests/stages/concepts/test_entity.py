"""Entities: cosines as the encoder gives them, by hand where the image is a concept's own vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tuwen.corpus.vectors import unit
from tuwen.errors import UsageError
from tuwen.models.encoder import encoder
from tuwen.stages.concepts.entity import Entity
from tuwen.stages.image.category import Category

MODEL = str(Path(__file__).parents[1] / "data" / "tiny-clip")
PROMPTS = ("a photo of {}.", "{}")


def vector(name: str) -> np.ndarray:
    return unit(encoder(MODEL).texts([prompt.replace("{}", name) for prompt in PROMPTS]).mean(axis=0)[None])[0]


def pairs(concepts: list[list[str] | None], images: list[np.ndarray | None]) -> pa.RecordBatch:
    kind = pa.list_(pa.float16(), encoder(MODEL).dim)
    vectors = pa.array([None if image is None else np.float16(image).tolist() for image in images], kind)
    return pa.record_batch({"concepts": pa.array(concepts, pa.list_(pa.string())), "image.embedding": vectors})


def test_what_the_image_shows_comes_first() -> None:
    names = ["fox", "red", "猫"]
    batch = pairs([names, names, [], None, names], [vector("red"), vector("猫"), vector("red"), vector("red"), None])
    rows = Entity(MODEL, PROMPTS, min_similarity=-1)(batch).to_pylist()
    for row, shown in zip(rows[:2], ("red", "猫"), strict=True):
        expected = [float(vector(shown) @ vector(name)) for name in names]
        assert np.allclose(row["concept_similarities"], expected, atol=2e-3)
        assert row["entity"] == shown == row["entities"][0] and row["entity_similarity"] == pytest.approx(1, abs=2e-3)
        assert sorted(row["entities"]) == sorted(names)
    assert rows[2] == {"concept_similarities": [], "entities": [], "entity": None, "entity_similarity": None}
    assert rows[3] == rows[4] == dict.fromkeys(rows[2])


def test_the_limit_leaves_out_what_is_not_shown() -> None:
    (row,) = Entity(MODEL, PROMPTS, min_similarity=0.999)(pairs([["fox", "red"]], [vector("fox")])).to_pylist()
    assert row["entities"] == ["fox"] and len(row["concept_similarities"]) == 2


def test_images_get_the_category_that_lies_nearest(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("fox: []\nred: []\ndog: []\n")
    stage = Category(MODEL, str(tmp_path / "c.yaml"), PROMPTS)
    column = pairs([None] * 3, [vector("dog"), None, vector("fox")])["image.embedding"]
    rows = stage(pa.record_batch({"embedding": column})).to_pylist()
    assert [row["image_category"] for row in rows] == ["dog", None, "fox"]
    cosines = np.array([np.float64(np.float16(vector("dog"))) @ vector(name) for name in ("fox", "red", "dog")])
    shares = np.exp(100 * cosines) / np.exp(100 * cosines).sum()
    assert rows[0]["image_category_confidence"] == pytest.approx(shares[2], rel=1e-3)


def test_embeddings_of_another_model_are_refused() -> None:
    kind = pa.list_(pa.float16(), 3)
    column = pa.array([[1.0, 0, 0]], kind)
    with pytest.raises(UsageError, match="the embeddings have 3"):
        Entity(MODEL)(pa.record_batch({"concepts": pa.array([["a"]]), "image.embedding": column}))
    with pytest.raises(UsageError, match="the embeddings have 3"):
        Category(MODEL)(pa.record_batch({"embedding": column}))


def test_prompts_without_a_place() -> None:
    with pytest.raises(ValueError, match=r"must hold \{\} once"):
        Entity(MODEL, prompts=("a photo",))
