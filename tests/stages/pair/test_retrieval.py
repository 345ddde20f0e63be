"""Retrieval: the nearest texts of other pages, as brute force finds them within the nearest topics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from surveyed import Surveyed

from tuwen.stages import DERIVED
from tuwen.stages.pair.retrieval import Retrieval

WIDTH = 6
HALF = pa.list_(pa.float16(), WIDTH)


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float16)


def corpus(number: int = 40, topics: int = 4, **changed: Any) -> dict[str, pa.Table]:
    chance = np.random.default_rng(7)
    topic = np.arange(number) % topics
    vectors = unit(np.eye(WIDTH)[topic] + chance.normal(0, 0.2, (number, WIDTH)))
    columns: dict[str, Any] = {
        "pair_id": [f"p{n:03}" for n in range(number)],
        "document_id": [f"d{n // 2}" for n in range(number)],
        "image_id": [f"j{n}" for n in range(number)],
        "text": [f"a text with number {n}" for n in range(number)],
        "text_source": ["caption"] * number,
        "derived_from": pa.nulls(number, pa.list_(pa.string())),
        "text_topic": pa.array(topic, pa.int32()),
        "text_embedding": pa.array(vectors.tolist(), HALF),
    }
    columns.update(changed)
    pages = {"document_id": [f"d{n}" for n in range(number)], "noai": [n == 3 for n in range(number)]}
    return {"pairs": pa.table(columns), "documents": pa.table(pages)}


def batch(vectors: list[list[float] | None], documents: list[str] | None = None) -> pa.RecordBatch:
    size = len(vectors)
    return pa.record_batch(
        {
            "document_id": pa.array(documents or ["elsewhere"] * size, pa.string()),
            "image_id": [f"i{n}" for n in range(size)],
            "image.embedding": pa.array(vectors, HALF),
        }
    )


def retrieved(stage: Retrieval, tables: dict[str, pa.Table], asked: pa.RecordBatch) -> list[dict[str, Any]]:
    result = stage(asked, state=stage.prepare(Surveyed(tables)).read_all())  # type: ignore[arg-type]
    assert result.schema.equals(DERIVED)
    rows: list[dict[str, Any]] = result.to_pylist()
    return rows


def test_as_brute_force_within_the_nearest_topics() -> None:
    tables = corpus()
    chance = np.random.default_rng(1)
    asked = unit(chance.normal(size=(12, WIDTH)))
    texts = np.array(tables["pairs"]["text_embedding"].to_pylist(), np.float64)
    topic = tables["pairs"]["text_topic"].to_numpy()
    middles = np.stack([unit(texts[topic == t].sum(axis=0)) for t in range(4)]).astype(np.float64)
    for groups in (1, 2, 4):
        stage = Retrieval(texts=3, groups=groups, reserved=())
        found = retrieved(stage, tables, batch(asked.tolist()))
        for row, vector in enumerate(asked.astype(np.float64)):
            near = np.argsort(-(middles @ vector))[:groups]
            allowed = np.flatnonzero(np.isin(topic, near))
            best = allowed[np.argsort(-(texts[allowed] @ vector), kind="stable")][:3]
            mine = [each["derived_from"] for each in found if each["row"] == row]
            assert mine == [[f"p{n:03}"] for n in best]


def test_texts_of_the_own_page_reserved_pages_and_derived_texts_are_not_offered() -> None:
    derived = pa.array([["x"] if n == 4 else None for n in range(40)], pa.list_(pa.string()))
    tables = corpus(topics=1, derived_from=derived)
    stage = Retrieval(texts=100, reserved=("noai",))
    found = retrieved(stage, tables, batch([[1.0, 0, 0, 0, 0, 0]], ["d0"]))
    offered = {each["derived_from"][0] for each in found}
    assert offered == {f"p{n:03}" for n in range(40)} - {"p000", "p001", "p004", "p006", "p007"}


def test_texts_of_the_same_image_elsewhere_are_not_offered() -> None:
    tables = corpus(topics=1, image_id=["i0" if n < 10 else f"j{n}" for n in range(40)])
    found = retrieved(Retrieval(texts=100, reserved=()), tables, batch([[1.0, 0, 0, 0, 0, 0]]))
    assert {each["derived_from"][0] for each in found} == {f"p{n:03}" for n in range(10, 40)}


def test_each_text_once_and_short_or_foreign_ones_not_at_all() -> None:
    texts = ["the same words"] * 30 + ["short"] * 5 + ["an alternative text"] * 5
    sources = ["caption"] * 35 + ["alt"] * 5
    tables = corpus(topics=1, text=texts, text_source=sources)
    found = retrieved(Retrieval(reserved=()), tables, batch([[1.0, 0, 0, 0, 0, 0]]))
    assert found == [{"row": 0, "text": "the same words", "derived_from": ["p000"]}]


def test_an_image_is_asked_for_once_and_without_embedding_not_at_all() -> None:
    asked = batch([[1.0, 0, 0, 0, 0, 0], None, [0, 1.0, 0, 0, 0, 0]])
    twice = pa.Table.from_batches([asked, asked]).combine_chunks().to_batches()[0]
    found = retrieved(Retrieval(texts=1, reserved=()), corpus(), twice)
    assert [each["row"] for each in found] == [0, 2]


def test_nothing_to_offer() -> None:
    tables = corpus(text_topic=pa.nulls(40, pa.int32()))
    assert retrieved(Retrieval(reserved=()), tables, batch([[1.0, 0, 0, 0, 0, 0]])) == []


def test_the_state_does_not_depend_on_the_order_of_rows() -> None:
    tables = corpus()
    turned = {name: table.take(list(reversed(range(table.num_rows)))) for name, table in tables.items()}
    stage = Retrieval(reserved=("noai",))
    assert stage.prepare(Surveyed(turned)).read_all().equals(stage.prepare(Surveyed(tables)).read_all())  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"texts": 0}, {"groups": 0}, {"sources": ()}])
def test_parameters_that_mean_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Retrieval(**options)
