"""Binary search in a state equals a join."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.stages.lookup import find, find_unique, keys_of

TEXTS = st.text(max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, max_size=12), st.lists(st.none() | TEXTS, max_size=12))
def test_find(stored: list[str], wanted: list[str | None]) -> None:
    keys = keys_of(pa.array(stored, pa.string()))
    state = pa.table({"key": keys, "text": pa.array(stored, pa.string())}).sort_by("key")
    positions, rows = find(state, pa.array(wanted, pa.string()))
    found = sorted(zip(positions.tolist(), rows["text"].to_pylist(), strict=True))
    assert found == sorted((place, text) for place, want in enumerate(wanted) for text in stored if text == want)


@settings(max_examples=40)
@given(st.lists(TEXTS, unique=True, max_size=12), st.integers(1, 4), st.lists(st.none() | TEXTS, max_size=12))
def test_find_unique(stored: list[str], size: int, wanted: list[str | None]) -> None:
    keys = keys_of(pa.array(stored, pa.string()))
    state = pa.table({"key": keys, "text": pa.array(stored, pa.string())}).sort_by("key")
    chunked = pa.Table.from_batches(state.to_batches(size), state.schema)
    rows, (texts,) = find_unique(chunked, pa.array(wanted, pa.string()), [1])
    assert texts.to_pylist() == [text if text in stored else None for text in wanted]
    order = state["text"].to_pylist()
    assert rows.tolist() == [order.index(text) if text in stored else -1 for text in wanted]


def test_keys_are_those_of_duckdb() -> None:
    texts = ["", "http://a.test/图.png", "a" * 1000]
    table = pa.table({"text": texts})
    connection = duckdb.connect()
    connection.register("texts", table)
    expected = [row[0] for row in connection.sql("select md5_number_lower(text) from texts").fetchall()]
    assert keys_of(pa.array([*texts, None])).tolist() == [*expected, 0]
