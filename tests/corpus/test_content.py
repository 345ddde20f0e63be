"""Digests depend on values alone."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.corpus.content import ContentDigest, content_digest

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text(max_size=6),
            "number": st.none() | st.integers(-5, 5),
            "flag": st.none() | st.booleans(),
            "list": st.none() | st.lists(st.none() | st.text(max_size=2), max_size=3),
            "struct": st.none() | st.fixed_dictionaries({"a": st.none() | st.integers(0, 3), "b": st.text(max_size=2)}),
        }
    ),
    max_size=12,
)
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.int64()),
        ("flag", pa.bool_()),
        ("list", pa.list_(pa.string())),
        ("struct", pa.struct([("a", pa.int32()), ("b", pa.string())])),
    ]
)


def batch_of(rows: list[dict[str, object]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


@given(ROWS, st.integers(0, 12), st.integers(0, 12))
def test_cutting_changes_nothing(rows: list[dict[str, object]], first: int, second: int) -> None:
    whole = batch_of(rows)
    low, high = sorted((first, second))
    pieces = [whole.slice(0, low), whole.slice(low, high - low), whole.slice(high)]
    assert content_digest(*pieces) == content_digest(whole)


@given(ROWS)
def test_a_garbage_value_under_a_null_changes_nothing(rows: list[dict[str, object]]) -> None:
    built = batch_of(rows)
    masked = pa.array([row["number"] or 0 for row in rows], pa.int64(), mask=None)
    garbage = pa.Array.from_buffers(pa.int64(), len(rows), [built["number"].buffers()[0], masked.buffers()[1]])
    other = built.set_column(1, "number", garbage) if built["number"].null_count else built
    assert content_digest(other) == content_digest(built)


@given(ROWS, ROWS)
def test_different_rows_differ(first: list[dict[str, object]], second: list[dict[str, object]]) -> None:
    assert (content_digest(batch_of(first)) == content_digest(batch_of(second))) == (first == second)


@pytest.mark.parametrize("kind", [pa.timestamp("us", tz="UTC"), pa.float32(), pa.large_binary(), pa.uint64()])
def test_every_type_of_a_column_can_be_digested(kind: pa.DataType) -> None:
    values = {pa.large_binary(): [b"a", None, b""]}.get(kind, [1, None, 3])
    first = pa.record_batch({"x": pa.array(values, kind)})
    second = pa.record_batch({"x": pa.array(values[::-1], kind)})
    assert content_digest(first) != content_digest(second)


def test_the_digest_of_nothing_is_defined() -> None:
    assert ContentDigest().hexdigest() == content_digest()
