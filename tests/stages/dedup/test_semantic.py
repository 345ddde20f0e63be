"""Semantic duplicates: against brute force, within topics only."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import rustworkx
from surveyed import computed

import tuwen.stages.dedup.semantic
from tuwen.stages.dedup.semantic import Semantic

WIDTH = 8


def clusters(rows: dict[str, tuple[int | None, list[float] | None]], cosine: float) -> dict[str, tuple[object, object]]:
    kind = pa.list_(pa.float16(), WIDTH)
    vectors = pa.array([None if v is None else np.float16(v).tolist() for _, v in rows.values()], kind)
    topics = pa.array([topic for topic, _ in rows.values()], pa.int32())
    table = pa.table({"image_id": pa.array(list(rows), pa.string()), "image_topic": topics, "embedding": vectors})
    batch = pa.record_batch({"image_id": pa.array(list(rows), pa.string())})
    found = computed(Semantic(cosine), {"images": table}, batch)
    return {key: tuple(row.values()) for key, row in zip(rows, found, strict=True)}  # type: ignore[misc]


def unit(seed: int, near: list[float] | None = None, noise: float = 0.1) -> list[float]:
    chance = np.random.default_rng(seed)
    value = chance.normal(size=WIDTH) if near is None else np.array(near) + noise * chance.normal(size=WIDTH)
    return (value / np.linalg.norm(value)).tolist()


def test_near_within_a_topic_and_not_across() -> None:
    one = unit(0)
    found = clusters(
        {"b": (0, one), "a": (0, unit(1, one, 0.01)), "c": (1, one), "d": (None, None), "e": (0, unit(5))}, 0.99
    )
    assert found == {"b": ("a", 2), "a": ("a", 2), "c": ("c", 1), "d": (None, None), "e": ("e", 1)}


@pytest.mark.parametrize("block", [3, 2_048])
def test_as_brute_force(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuwen.stages.dedup.semantic, "BLOCK", block)
    rows: dict[str, tuple[int | None, list[float] | None]] = {}
    for number in range(60):
        near = unit(number // 4)
        rows[f"{number * 37 % 60:02}"] = (number // 4 % 3, unit(1_000 + number, near, 0.15))
    found = clusters(rows, 0.9)
    graph = rustworkx.PyGraph()
    names = sorted(rows)
    graph.add_nodes_from(names)
    stored = {name: np.float16(rows[name][1]).astype(np.float64) for name in names}
    for i, left in enumerate(names):
        for j in range(i):
            if rows[left][0] == rows[names[j]][0] and stored[left] @ stored[names[j]] >= 0.9:
                graph.add_edge(i, j, None)
    for part in rustworkx.connected_components(graph):
        members = sorted(names[node] for node in part)
        assert {found[name] for name in members} == {(members[0], len(members))}
    assert max(size for _, size in found.values()) > 1  # type: ignore[type-var]


def test_an_empty_corpus() -> None:
    assert clusters({}, 0.9) == {}


@pytest.mark.parametrize("cosine", [0.0, 1.1])
def test_cosines_that_mean_nothing(cosine: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        Semantic(cosine)
