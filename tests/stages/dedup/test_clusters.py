"""Connected components and the columns made of them, by hand and against a plain union-find."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tuwen.stages.dedup.clusters import columns_of, first_equal, link, state_of

WRITES = pa.schema([("cluster", pa.string()), ("cluster_size", pa.int32())])
IDS = pa.array(["d", "b", "c", "a", "e"])


def test_links_are_transitive_and_take_the_smallest_row() -> None:
    labels = link(np.arange(6), np.array([5, 3]), np.array([3, 1]))
    assert labels.tolist() == [0, 1, 2, 1, 4, 1]
    assert link(labels, np.array([5]), np.array([2])).tolist() == [0, 1, 1, 1, 4, 1]
    assert link(labels, np.array([5, 5]), np.array([3, 5])).tolist() == labels.tolist()


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30), st.integers(0, 30))
def test_edges_at_once_or_in_two_parts_are_components(edges: list[tuple[int, int]], cut: int) -> None:
    expected = list(range(20))
    for left, right in edges:
        small, large = sorted((expected[left], expected[right]))
        expected = [small if label == large else label for label in expected]
    labels = np.arange(20)
    for part in (edges[:cut], edges[cut:]):
        if part:
            left, right = (np.array(side) for side in zip(*part, strict=True))
            labels = link(labels, left, right)
    assert labels.tolist() == expected


def test_equal_values_are_stars() -> None:
    assert first_equal(np.array([7, 9, 7, 7, 9], dtype=np.uint64)).tolist() == [0, 1, 0, 0, 1]


def test_a_cluster_is_named_by_its_smallest_id_and_unknown_rows_have_none() -> None:
    known = np.array([True, True, True, True, False])
    state = state_of(IDS, np.array([0, 0, 2, 0, 4]), known)
    assert state.num_rows == 4  # three of a cluster and the unknown one
    assert columns_of(state, IDS, WRITES).to_pylist() == [
        {"cluster": "a", "cluster_size": 3},
        {"cluster": "a", "cluster_size": 3},
        {"cluster": "c", "cluster_size": 1},
        {"cluster": "a", "cluster_size": 3},
        {"cluster": None, "cluster_size": None},
    ]
    strange = columns_of(state, pa.array(["z", None]), WRITES)
    assert strange.to_pylist() == [{"cluster": "z", "cluster_size": 1}, {"cluster": None, "cluster_size": None}]


def test_the_order_of_rows_does_not_matter() -> None:
    known = np.ones(5, dtype=bool)
    forward = state_of(IDS, np.array([0, 1, 1, 0, 4]), known)
    backward = state_of(IDS.take(pa.array([4, 3, 2, 1, 0])), np.array([0, 1, 2, 2, 1]), known)
    assert forward.equals(backward)
