"""Fields of `given` become columns with types."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.engine.plan import Order, written_schema
from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.stages.pair.given import Given


def run(rows: list[str | None], **columns: str) -> list[dict[str, Any]]:
    return list(Given(columns)(pa.record_batch({"given": pa.array(rows, pa.string())})).to_pylist())


def one(value: Any, kind: str) -> Any:
    return run([json.dumps({"x": value})], x=kind)[0]["x"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("float32", 0.5, 0.5),
        ("float32", "0.5", 0.5),
        ("float32", "-1.5e3", -1500.0),
        ("float32", 3, 3.0),
        ("float32", "nan", None),
        ("float32", "1_000", None),
        ("float32", 1e300, None),
        ("float32", [1], None),
        ("float32", True, None),
        ("float64", 1e300, 1e300),
        ("int64", 9007199254740993, 9007199254740993),
        ("int64", 512.0, 512),
        ("int64", 1.7, None),
        ("int64", "12", 12),
        ("int64", "0x10", None),
        ("int8", 300, None),
        ("bool", True, True),
        ("bool", "False", False),
        ("bool", 1, None),
        ("string", "图文", "图文"),
        ("string", 7, "7"),
        ("string", {"a": [1]}, '{"a":[1]}'),
        ("string", None, None),
    ],
)
def test_values_become_their_type_or_null(kind: str, value: Any, expected: Any) -> None:
    assert one(value, kind) == expected


def test_rows_that_say_nothing() -> None:
    assert run([None, "", "{}", "[1]", "broken {", '{"y": 1}'], x="int32") == [{"x": None}] * 6


def test_fields_are_told_apart_by_their_exact_name() -> None:
    row = json.dumps({"WIDTH": 1, "width": 2, "clip.score": 3, "图": 4})
    assert run([row], WIDTH="int32", 图="int32") == [{"WIDTH": 1, "图": 4}]
    assert run([row], width="int32") == [{"width": 2}]


def test_what_it_writes_depends_on_its_parameters() -> None:
    stage = load("tuwen.stages", "pair.given", {"columns": {"similarity": "float32", "uid": "string"}})
    assert stage.writes.names == ["similarity", "uid"]
    assert written_schema(stage).names == ["similarity", "uid", "pair_given_error"]
    assert Order.of([stage]).writer["pairs", "uid"] is stage
    assert Given.writes.names == ["similarity"], "the default is untouched"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "columns is empty"),
        ({"x": "decimal"}, "is no type"),
        ({"text": "string"}, "every pair has a column"),
        ({"TEXT": "string"}, "every pair has a column"),
        ({"_rowid": "int64"}, "Lance has a column of that name"),
        ({"clip.score": "float32"}, "name that rules can use"),
        ({"x": "int8", "X": "int8"}, "name that rules can use"),
    ],
)
def test_columns_that_cannot_be(columns: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("tuwen.stages", "pair.given", {"columns": columns})


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none(), max_size=5))
def test_floats_come_back_exactly(values: list[float | None]) -> None:
    assert [row["x"] for row in run([json.dumps({"x": value}) for value in values], x="float32")] == values
