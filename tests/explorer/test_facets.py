"""Facets count what GROUP BY counts, and their rules ask for the rows that they counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import vector_corpus
from starlette.testclient import TestClient

from tuwen.errors import UsageError
from tuwen.explorer import facets
from tuwen.explorer.facets import count, edges, facet
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.spread import answer
from tuwen.explorer.view import Term, View

PAIRS = View(unit="pair")


@pytest.mark.parametrize("name", ["language", "text_source", "looks_like_url", "region"])
def test_values_are_counted_as_group_by_counts(looked: Snapshot, name: str) -> None:
    stored = looked.corpus.table("pairs", [name])
    truth = dict(duckdb.sql(f"SELECT {name}, count(*) FROM stored GROUP BY 1").fetchall())
    found = facet(looked, PAIRS, name, Stop(60))
    labels = {True: "yes", False: "no"}
    expected = {labels.get(key, key): number for key, number in truth.items() if key is not None}
    most = dict(sorted(expected.items(), key=lambda item: (-item[1], str(item[0])))[: facets.MAX_VALUES])
    assert {value.label: value.count for value in found.values} == most
    assert found.num_null == truth.get(None, 0) and found.exact and found.num_rows == stored.num_rows


@pytest.mark.parametrize(
    "name", ["num_characters", "cjk_share", "image.width", "text_position", "document.captured_at"]
)
def test_bins_hold_every_row_once_and_their_rules_ask_for_it(looked: Snapshot, name: str) -> None:
    found = facet(looked, PAIRS, name, Stop(60))
    assert sum(value.count for value in found.values) + found.num_null == looked.num_rows("pair")
    for value in found.values:
        assert count(looked, PAIRS.with_rule(value.rule), Stop(60)).count == value.count, value.label


def test_rules_of_the_column_itself_do_not_count_and_others_do(looked: Snapshot) -> None:
    everything = facet(looked, PAIRS, "language", Stop(60))
    own = facet(looked, View(unit="pair", where="language = 'zh'"), "language", Stop(60))
    assert [value.count for value in own.values] == [value.count for value in everything.values]
    assert [value.label for value in own.values if value.active] == ["zh"]
    kept = facet(looked, View(unit="pair", terms=(Term("strong"),)), "language", Stop(60))
    assert kept.num_rows == count(looked, View(unit="pair", terms=(Term("strong"),)), Stop(60)).count < 5_570


def test_what_was_not_read_in_time_is_said(looked: Snapshot, stopped: Stop) -> None:
    late = facet(looked, PAIRS, "language", stopped)
    assert (late.exact, late.read, late.values) == (False, 0, [])
    assert not count(looked, PAIRS, stopped).exact


def test_free_text_is_not_counted(looked: Snapshot) -> None:
    assert facet(looked, PAIRS, "pair_id", Stop(60)).free
    with pytest.raises(UsageError, match="no column"):
        facet(looked, PAIRS, "colour", Stop(60))


@pytest.mark.parametrize("name", ["num_characters", "num_bytes", "entropy", "num_hosts"])
def test_edges_ascend_and_are_few(looked: Snapshot, name: str) -> None:
    unit = "image" if name in looked.columns["image"] else "pair"
    found = edges(looked, looked.column(unit, name))
    assert (np.diff(found) > 0).all() and 2 <= len(found) <= facets.MAX_BINS + 3


def test_many_values_let_the_rarest_go_and_say_so(looked: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "MAX_DISTINCT", 4)
    found = facet(looked, PAIRS, "language", Stop(60))
    assert not found.exact and found.values[0].label == "en"


def test_rows_without_a_list_are_told_from_empty_lists(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    corpus = vector_corpus.small_corpus(tmp_path / "corpus")
    kind = pa.list_(pa.string())
    lists = dict(zip(("p1", "p2", "p3", "p4"), (["a", "b"], [], None, ["a", None]), strict=True))
    rows = {vector_corpus.key(f"p{number}"): {"tags": lists.get(f"p{number}")} for number in range(1, 8)}
    vector_corpus.write_columns(corpus, "pairs", "text.tags", pa.schema([("tags", kind)]), rows)
    snapshot = look(tmp_path / "corpus").snapshot()
    found = facet(snapshot, PAIRS, "tags", Stop(60))
    assert found.num_null == count(snapshot, PAIRS.with_rule("tags is null"), Stop(60)).count == 4
    assert {value.label: value.count for value in found.values} == {"a": 2, "b": 1}
    concepts = answer(snapshot, PAIRS, "concepts", ["tags"], Stop(60)).facets[0]
    assert [value.label for value in concepts.values] == ["a", "b"]


def test_counts_that_no_patience_makes_exact_do_not_ask_for_it(
    pages: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "MAX_DISTINCT", 4)
    for url in ("/facet?column=language", "/spread?kind=values&columns=language"):
        text = pages.get(f"{url}&unit=pair", headers={"X-Part": "1"}).text
        assert "the rarest were let go" in text and "read in time" not in text


@pytest.mark.parametrize("unit", ["pair", "image", "document"])
def test_numbers_take_few_lines_beside_the_grid(looked: Snapshot, unit: str) -> None:
    columns = [column for column in looked.columns[unit].values() if column.kind in ("number", "time")]
    lengths = {column.name: len(facet(looked, View(unit=unit), column.name, Stop(60)).values) for column in columns}
    assert lengths and max(lengths.values()) <= 10, lengths
