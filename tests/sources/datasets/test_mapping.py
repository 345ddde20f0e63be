"""Columns of others become texts, hashes and `given`, whatever types they have."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.sources.datasets.mapping import ColumnMapping, image_refs, json_object, json_objects, pair_rows, strings
from tuwen.sources.extraction.links import Resolver

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def pairs_of(rows: list[dict[str, Any]], columns: Any, keep: Any = "all") -> list[dict[str, Any]]:
    mapping = ColumnMapping.of(columns, keep)
    refs = pa.array([row.get(mapping.own["url"]) for row in rows], pa.string())
    return list(pair_rows(refs, mapping.of_rows(rows)).to_pylist())


def test_a_row_becomes_a_pair() -> None:
    row = {"URL": "http://a.test/1", "TEXT": "a fox", "WIDTH": 640, "page": "http://a.test/", "h": "AB" * 32}
    (pair,) = pairs_of([row], {"url": "URL", "text": "TEXT", "sha256": "h", "page_url": "page"})
    assert {name: value for name, value in pair.items() if value is not None} == {
        "pair_id": digest(None, None, "given", "http://a.test/1", "a fox"),
        "image_ref": "http://a.test/1",
        "text": "a fox",
        "text_source": "given",
        "expected_hash": "sha256:" + "ab" * 32,
        "given": '{"WIDTH":640,"page_url":"http://a.test/"}',
    }


def test_several_texts_are_pairs_of_their_own_in_the_order_of_the_mapping() -> None:
    rows = [{"u": "http://a.test/1", "a": "A", "b": "B", "c": ["C", "", None, "D"]}, {"u": "http://a.test/2", "b": " "}]
    found = pairs_of(rows, {"url": "u", "text": {"caption": "b", "alt": ["a", "c"]}})
    assert [(row["image_ref"][-1], row["text_source"], row["text"]) for row in found] == [
        ("1", "caption", "B"),
        ("1", "alt", "A"),
        ("1", "alt", "C"),
        ("1", "alt", "D"),
        ("2", "caption", None),
    ]


def test_rows_without_an_address_make_no_pair() -> None:
    found = pairs_of([{"text": "x"}, {"url": "http://a.test/2", "text": "y"}], {"url": "url", "text": "text"})
    assert [row["text"] for row in found] == ["y"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"s": "AB" * 32}, "sha256:" + "ab" * 32),
        ({"s": "ab" * 16}, "sha256:" + "ab" * 16),
        ({"s": "ab" * 15}, None),
        ({"s": "xy" * 32, "m": "cd" * 16}, "md5:" + "cd" * 16),
        ({"m": "cd" * 32}, None),
        ({"s": 7}, None),
        ({}, None),
    ],
)
def test_expected_hashes(row: dict[str, Any], expected: str | None) -> None:
    (pair,) = pairs_of([{"url": "http://a.test/", **row}], {"url": "url", "sha256": "s", "md5": "m"})
    assert pair["expected_hash"] == expected


def test_what_goes_into_given() -> None:
    row = {"url": "http://a.test/", "text": "t", "a": 1, "b": 2}
    for keep, expected in (("all", {"a": 1, "b": 2}), (["b"], {"b": 2}), (["text", "a"], {"text": "t", "a": 1})):
        (pair,) = pairs_of([row], {"url": "url", "text": "text"}, keep)
        assert json.loads(pair["given"]) == expected
    (pair,) = pairs_of([row], {"url": "url", "text": "text"}, [])
    assert pair["given"] is None


def test_arrow_columns_of_every_type() -> None:
    columns = {
        "f": pa.array([0.5, float("nan"), None], pa.float32()),
        "half": pa.array([0.5, 1.5, None], pa.float16()),
        "time": pa.array([datetime(2020, 1, 1, 12, tzinfo=UTC)] * 3, pa.timestamp("us", tz="Asia/Shanghai")),
        "list": pa.array([[1.0, float("nan")], [], None]),
        "struct": pa.array([{"x": 1, "y": "ü"}, None, None]),
        "kind": pa.array(["a", "b", None]).dictionary_encode(),
        "flag": pa.array([True, False, None]),
        "raw": pa.array([b"1", b"2", b"3"]),
        'it\'s "quoted"': pa.array(["\x00\n", "'", None]),
        "invalid": pa.array([b"\xff", b"y", None]).view(pa.string()),
    }
    batch = pa.record_batch(list(columns.values()), names=list(columns))
    mapped = ColumnMapping.of({"url": "f"}, own=()).of_batch(batch)
    first, second, third = [json.loads(text) for text in mapped.given.to_pylist()]
    assert first == {
        "url": 0.5,
        "half": 0.5,
        "time": "2020-01-01 12:00:00",
        "list": [1.0, None],
        "struct": {"x": 1, "y": "ü"},
        "kind": "a",
        "flag": True,
        'it\'s "quoted"': "\x00\n",
        "invalid": "\ufffd",
    }
    assert "url" not in second and second["list"] == [] and second["flag"] is False
    assert third == {"time": "2020-01-01 12:00:00"}


@given(st.lists(st.dictionaries(TEXT, JSON, max_size=4), max_size=4))
def test_given_of_rows_is_the_row_without_nulls(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        text = json_object(row)
        assert (json.loads(text) if text else {}) == {name: value for name, value in row.items() if value is not None}


@given(st.lists(st.tuples(TEXT | st.none(), st.integers(-(2**62), 2**62) | st.none()), max_size=5), TEXT)
def test_columns_and_rows_give_the_same(values: list[tuple[str | None, int | None]], name: str) -> None:
    texts, numbers = pa.array([v[0] for v in values], pa.string()), pa.array([v[1] for v in values], pa.int64())
    found = json_objects({name: texts, name + "2": numbers}, len(values)).to_pylist()
    rows = [json_object({name: text, name + "2": number}) for text, number in values]
    assert [text and json.loads(text) for text in found] == [text and json.loads(text) for text in rows]


def test_json_that_cannot_be_written() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert json_object({"x": [float("nan"), {"y": float("inf")}]}) == '{"x":[null,{"y":null}]}'
    assert json_object({"x": deep}) is None
    assert json_object({"x": "\ud800"}) == '{"x":"?"}'


HOSTS = st.sampled_from(["a.test", "A.test", "a_b.test:80", "a.test:443", "ü.test", "", "u:p@a.test", "[::1]"])
URLS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "ftp"]),
    HOSTS,
    st.text("/.%2eE?#&=a- \\é'[];|~\t", max_size=12),
)


@given(URLS)
def test_urls_are_spelled_as_those_of_pages(url: str) -> None:
    assert image_refs(pa.array([url])).to_pylist() == [Resolver("").resolve(url)]


def test_pair_ids_are_digests() -> None:
    texts = ["", "x", "图文", None, "a\x00b"]
    found = pairs_of(
        [{"url": "http://ü.test/", "text": text} for text in texts], {"url": "url", "text": {"alt": "text"}}
    )
    for row in found:
        assert row["pair_id"] == digest(None, None, "alt", row["image_ref"], row["text"])


def test_bytes_that_are_not_utf8() -> None:
    assert strings(pa.array([b"\xffa", None, b"b"])).to_pylist() == ["\ufffda", None, "b"]


def test_missing_columns_are_told_with_those_there_are() -> None:
    mapping = ColumnMapping.of({"url": "URL", "text": {"alt": "TEXT"}}, ["similarty"])
    mapping.check(["URL", "TEXT", "similarty"], "x")
    with pytest.raises(UsageError, match=r"x has no column 'TEXT'.*Columns there: URL, Text"):
        mapping.check(["URL", "Text"], "x")
    with pytest.raises(UsageError, match="did you mean 'similarity'"):
        mapping.check(["URL", "TEXT", "similarity"], "x")


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"url": ["a", "b"]}, "only text"), ({"url": "a", "text": {"Alt Text": "b"}}, "is no text source")],
)
def test_mappings_that_mean_nothing(columns: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ColumnMapping.of(columns)


def test_nesting_that_can_be_written_but_not_repaired() -> None:
    deep = json.loads('{"a":' * 600 + "NaN" + "}" * 600)
    assert json_object({"x": deep}) is None


def test_dates_beyond_what_python_knows() -> None:
    far = pa.array([569_000_000 * 10**9, None], pa.timestamp("us"))
    fields = {
        "far": far,
        "day": pa.array([10**7, 0], pa.date32()),
        "list": pa.array([[569_000_000 * 10**9, 2**60, 0], None], pa.list_(pa.timestamp("us"))),
        "struct": pa.StructArray.from_arrays([far, pa.array([1, 2])], ["at", "n"]),
        "map": pa.array([[("k", 10**8)], None], pa.map_(pa.string(), pa.date32())),
        "zone": pa.array([0, None], pa.timestamp("us", "Mars/Olympus")),
        "zones": pa.array([[0], None], pa.list_(pa.timestamp("us", "Mars/Olympus"))),
    }
    for name, column in fields.items():
        first, second = json_objects({"a": pa.array([1, 2]), name: column}, 2).to_pylist()
        assert json.loads(first)["a"] == 1 and json.loads(second)["a"] == 2
    found = json.loads(json_objects({"list": fields["list"], "struct": fields["struct"]}, 2).to_pylist()[0])
    assert found["struct"]["n"] == 1 and found["struct"]["at"].startswith("20000-")
    assert [value and value[:5] for value in found["list"]] == ["20000", None, "1970-"]


def test_two_names_of_one_column_are_refused() -> None:
    with pytest.raises(ValueError, match=r"columns\.x and columns\.y both name 's'"):
        ColumnMapping.of({"url": "url", "x": "s", "y": "s"})
