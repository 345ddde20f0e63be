"""Agreement against all pairs of texts, in any order of rows and with little memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from surveyed import Surveyed, computed

from tuwen.stages.pair import agreement
from tuwen.stages.pair.agreement import Agreement

WIDTH = 3
KIND = pa.list_(pa.float16(), WIDTH)
Row = tuple[str | None, list[float] | None]
vectors = st.lists(st.integers(-8, 8).map(lambda number: number / 8), min_size=WIDTH, max_size=WIDTH)
some_rows = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.one_of(st.none(), vectors)), max_size=24)


def table(rows: list[Row]) -> pa.Table:
    ids, found = ([row[place] for row in rows] for place in (0, 1))
    return pa.table({"image_id": pa.array(ids, pa.string()), "text_embedding": pa.array(found, KIND)})


def run(rows: list[Row]) -> list[float | None]:
    pairs = table(rows)
    batch = pa.record_batch([column.combine_chunks() for column in pairs.columns], names=pairs.schema.names)
    return [row["text_agreement"] for row in computed(Agreement(), {"pairs": pairs}, batch)]


def directly(rows: list[Row]) -> list[float | None]:
    """Each text with each other of its image."""
    found: list[float | None] = []
    units: list[Any] = [
        None if image is None or not any(vector or ()) else np.array(vector) / np.linalg.norm(vector)
        for image, vector in rows
    ]
    for (image, _), own in zip(rows, units, strict=True):
        others = {
            tuple(np.rint(unit * 1e9)): unit
            for (other, _), unit in zip(rows, units, strict=True)
            if own is not None and unit is not None and other == image and not np.allclose(unit, own, atol=1e-9)
        }
        found.append(float(np.mean([own @ unit for unit in others.values()])) if others else None)
    return found


def test_hand_worked_cases() -> None:
    rows: list[Row] = [
        ("a", [1, 0, 0]),
        ("a", [0, 1, 0]),
        ("a", [0, 1, 0]),  # the same text on another page counts once
        ("b", [0, 0, 1]),
        ("c", [1, 0, 0]),
        ("c", None),
        (None, [1, 0, 0]),
        ("d", [1, 0, 0]),
        ("d", [-1, 0, 0]),
        ("d", [0, 1, 0]),
    ]
    assert run(rows) == pytest.approx([0, 0, 0, None, None, None, None, -0.5, -0.5, 0], abs=1e-6)


@given(some_rows)
def test_equal_to_all_pairs_of_texts(rows: list[Row]) -> None:
    assert run(rows) == pytest.approx(directly(rows), abs=1e-5)


def test_to_the_last_bit_in_any_order_and_however_often_the_column_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    rows: list[Row] = [(f"i{rng.integers(40)}", rng.normal(size=WIDTH).astype(np.float16).tolist()) for _ in range(400)]
    found = run(rows)
    order = rng.permutation(len(rows))
    assert run([rows[place] for place in order]) == [found[place] for place in order]
    monkeypatch.setattr(agreement, "SUMS_BYTES", 8 * WIDTH * 7)  # sums of seven images at a time
    monkeypatch.setattr(agreement, "_STATE_ROWS", 2)
    assert run(rows) == found
    assert found == pytest.approx(directly(rows), abs=1e-5)


def test_the_state_holds_images_with_several_texts_only() -> None:
    rows: list[Row] = [("a", [1, 0, 0]), ("a", [1, 0, 0]), ("b", [1, 0, 0]), ("b", [0, 1, 0]), ("c", [1, 0, 0])]
    corpus: Any = Surveyed({"pairs": table(rows)})
    state = Agreement().prepare(corpus).read_all()
    assert state.select(["num_texts", "sum"]).to_pylist() == [{"num_texts": 2, "sum": [1, 1, 0]}]
