"""Neighbours: as brute force finds them, within topics."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from surveyed import computed

import tuwen.stages.image.neighbours
from tuwen.stages.image.neighbours import Neighbours

NUM, WIDTH = 50, 6


def images() -> pa.Table:
    chance = np.random.default_rng(2)
    vectors = chance.normal(size=(NUM, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).ravel()), WIDTH)
    topics = pa.array([None if n == 7 else n % 3 for n in range(NUM)], pa.int32())
    ids = [f"i{n * 17 % NUM:02}" for n in range(NUM)]
    return pa.table({"image_id": ids, "image_topic": topics, "embedding": column})


@pytest.mark.parametrize("block", [4, 1_024])
def test_as_brute_force(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuwen.stages.image.neighbours, "BLOCK", block)
    table = images()
    rows = computed(Neighbours(3), {"images": table}, table.select(["image_id"]).to_batches()[0])
    vectors = np.array(table["embedding"].to_pylist(), np.float64)
    ids, topics = table["image_id"].to_pylist(), table["image_topic"].to_pylist()
    for n, row in enumerate(rows):
        if topics[n] is None:
            assert row == {"neighbours": None, "neighbour_similarities": None}
            continue
        others = [m for m in range(NUM) if m != n and topics[m] == topics[n]]
        best = sorted(others, key=lambda m: (-vectors[n] @ vectors[m], ids[m]))[:3]
        assert row["neighbours"] == [ids[m] for m in best]
        assert np.allclose(row["neighbour_similarities"], [vectors[n] @ vectors[m] for m in best], atol=1e-3)


def test_alone_in_its_topic() -> None:
    table = images().slice(0, 2)
    rows = computed(Neighbours(), {"images": table}, table.select(["image_id"]).to_batches()[0])
    assert rows == [{"neighbours": [], "neighbour_similarities": []}] * 2


def test_equal_images_come_by_id() -> None:
    one = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 0.0] * 4, pa.float16()), 2)
    table = pa.table({"image_id": list("dbca"), "image_topic": pa.array([0] * 4, pa.int32()), "embedding": one})
    rows = computed(Neighbours(2), {"images": table}, table.select(["image_id"]).to_batches()[0])
    assert [row["neighbours"] for row in rows] == [["a", "b"], ["a", "c"], ["a", "b"], ["b", "c"]]
