"""Digests depend on values alone."""

from __future__ import annotations

from decimal import Decimal

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


TYPES = {
    pa.timestamp("us", tz="UTC"): [1, None, 3],
    pa.float16(): [1.0, None, 3.0],
    pa.float32(): [1.0, None, 3.0],
    pa.uint64(): [1, None, 3],
    pa.date32(): [1, None, 3],
    pa.time64("us"): [1, None, 3],
    pa.decimal128(9, 2): [Decimal("1.25"), None, Decimal("3.5")],
    pa.large_binary(): [b"a", None, b""],
    pa.binary(4): [b"aaaa", None, b"bbbb"],
    pa.dictionary(pa.int8(), pa.string()): ["a", None, "b"],
    pa.list_(pa.float32(), 2): [[1.0, 2.0], None, [3.0, 4.0]],
}


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_type_of_a_column_can_be_digested(kind: pa.DataType) -> None:
    first, second = (pa.record_batch({"x": pa.array(values, kind)}) for values in (TYPES[kind], TYPES[kind][::-1]))
    assert content_digest(first) != content_digest(second)
    assert content_digest(first) == content_digest(first.slice(0, 1), first.slice(1))
    assert content_digest(first) == content_digest(pa.record_batch({"x": pa.array(list(TYPES[kind]), kind)}))


def test_the_digest_of_nothing_is_defined() -> None:
    assert ContentDigest().hexdigest() == content_digest()
