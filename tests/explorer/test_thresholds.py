"""Thresholds that are moved: counts are those of DuckDB, and of the selection judged anew."""

from __future__ import annotations

import re

import numpy as np
import pytest
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.turning import crossing, edges_of, funnel_after, histogram
from tuwen.selections.dials import dial_at, turned
from tuwen.selections.ledger import Ledger, preview

CASES = [
    ("figures", 2, 0, "200", "width"),
    ("figures", 2, 0, "10", "width"),
    ("strong", 5, 0, "12", "num_characters"),
    ("strong", 5, 1, "40", "num_characters"),
    ("weak", 8, 0, "1", "text_distance"),
]  # fmt: skip


@pytest.fixture(scope="module")
def snapshot(demo: Corpus) -> Snapshot:
    explored = Explored(demo.path)
    explored.prepared._wait_s = 60
    return explored.snapshot()


@pytest.mark.parametrize(("name", "step", "at", "value", "column"), CASES)
def test_rows_that_cross(name: str, step: int, at: int, value: str, column: str, snapshot: Snapshot) -> None:
    selection = snapshot.selection(name)
    dial = dial_at(selection, step, at)
    found = crossing(snapshot, selection, dial, value, Stop(60))
    assert found is not None and found.exact
    # The step judges the same rows before and after, so its losses tell how many crossed.
    old = {each.step: each for each in snapshot.ledger(name).funnel()}[step]
    new = {each.step: each for each in preview(snapshot.corpus, turned(selection, dial, value), snapshot.selections)}[
        step
    ]
    assert old.judged == new.judged and found.num_in - found.num_out == new.left - old.left
    values = snapshot.take(selection.unit, found.rows_out, [column])[column].to_pylist()
    limit = float(value)
    assert all(each < limit if dial.above else each > limit for each in values)
    assert found.num_in == 0 or found.num_out == 0


@pytest.mark.parametrize(("name", "step", "at", "value", "column"), CASES)
def test_a_histogram_holds_every_row_that_reaches_the_step(
    name: str, step: int, at: int, value: str, column: str, snapshot: Snapshot
) -> None:
    selection = snapshot.selection(name)
    found = histogram(snapshot, selection, dial_at(selection, step, at), Stop(60))
    assert found is not None and found.exact
    judged = next(each.judged for each in snapshot.ledger(name).funnel() if each.step == step)
    assert found.num_rows + found.num_null == judged
    assert float(dial_at(selection, step, at).value) in found.edges


def test_what_exists_only_while_it_is_judged_has_no_histogram(snapshot: Snapshot) -> None:
    selection = snapshot.selection("interleaved")
    dial = dial_at(selection, 2, 0)
    assert histogram(snapshot, selection, dial, Stop(60)) is None
    assert crossing(snapshot, selection, dial, "2", Stop(60)) is None
    assert funnel_after(snapshot, turned(selection, dial, "9"), Stop(60))[-1].left < 39


def test_judging_ends_when_nobody_waits(snapshot: Snapshot) -> None:
    stop = Stop(60)
    stop.cancel()
    selection = snapshot.selection("strong")
    try:  # it may be done before anyone looks, but never hangs and never says anything else
        assert funnel_after(snapshot, selection, stop) == snapshot.ledger("strong").funnel()
    except TuwenError as error:
        assert "longer" in str(error)


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([1.0], 1.0),
        ([0.0] * 5, 0.0),
        ([0.1, 0.2, 0.9], 0.5),
        (list(range(100_000)), 3.0),
        ([-5, 5], 100.0),
        ([1e-9, 1e9], 1.0),
    ],
)
def test_edges_ascend_and_hold_the_limit(values: list[float], limit: float) -> None:
    edges = edges_of(np.array(values, float), limit)
    assert limit in edges and len(edges) >= 2 and np.all(np.diff(edges) > 0) and len(edges) < 200


def test_the_page_works_without_a_script(pages: TestClient, demo: Corpus) -> None:
    start = pages.get("/thresholds").text
    assert "<rect" in start and 'name="value"' in start
    query = {"selection": "weak", "step": "5", "at": "0", "value": "20"}
    text = pages.get("/thresholds", params=query).text
    assert "back to 5" in text and "/save?selection=weak" in text
    part = pages.get("/thresholds/crossing", params=query).text
    assert re.search(r"Refused here now <b>1,\d{3}</b>", part)
    funnel = pages.get("/thresholds/funnel", params=query).text
    assert f"instead of {Ledger.open_or_judge(demo, 'weak').num_kept:,}" in funnel


def test_each_number_says_what_its_own_condition_refuses(pages: TestClient, demo: Corpus) -> None:
    (step,) = (each for each in Ledger.open_or_judge(demo, "figures").funnel() if each.name == "large enough")
    text = pages.get("/thresholds", params={"selection": "figures"}).text
    told = re.findall(r"<code><bdi[^>]*>(width|height) &gt;= 64</bdi></code>\s*<span[^>]*>([^<]+)</span>", text)
    assert told == [
        (column, f"this condition refuses {rule.lost:,}")
        for column, rule in zip(("width", "height"), step.rules, strict=True)
    ]
    assert len({rule.lost for rule in step.rules}) == 2


@pytest.mark.parametrize(
    "query",
    [{"value": "abc"}, {"value": "1 or true"}, {"step": "77"}, {"step": "x"}, {"at": "-1"}, {"selection": "nix"}],
)
def test_what_is_no_threshold_is_refused(query: dict[str, str], pages: TestClient) -> None:
    asked = {"selection": "weak", "step": "5", "at": "0", "value": "20"} | query
    for url in ("/thresholds", "/thresholds/crossing", "/thresholds/funnel", "/save"):
        assert pages.get(url, params=asked).status_code == 400
