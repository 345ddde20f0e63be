"""Thresholds that are moved: counts are those of DuckDB, and of the selection judged anew."""

from __future__ import annotations

import re

import numpy as np
import pytest
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError
from tuwen.explorer.facets import count
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.turning import crossing, decides, edges_of, funnel_after, histogram, views_of
from tuwen.explorer.view import Term, View
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


def answer(snapshot: Snapshot, view: View) -> int:
    found = count(snapshot, view, Stop(60))
    assert found.exact
    return found.count


@pytest.mark.parametrize(("name", "step", "at", "value", "column"), CASES)
def test_a_histogram_holds_the_rows_that_the_number_decides_about(
    name: str, step: int, at: int, value: str, column: str, snapshot: Snapshot
) -> None:
    selection = snapshot.selection(name)
    dial = dial_at(selection, step, at)
    found = histogram(snapshot, selection, dial, Stop(60))
    assert found is not None and found.exact and float(dial.value) in found.edges
    (told,) = (each for each in snapshot.ledger(name).funnel() if each.step == step)
    # Moved so far that this condition refuses nothing, the step lets pass exactly the rows that bars count.
    widest = turned(selection, dial, "-1" if dial.above else "1000000")
    (after,) = (each for each in preview(snapshot.corpus, widest, snapshot.selections) if each.step == step)
    if decides(snapshot, selection, dial):
        assert found.num_rows == after.left
    else:
        assert found.num_rows + found.num_null == told.judged


def test_an_estimate_at_an_edge_is_exact(snapshot: Snapshot) -> None:
    """Of a step with two conditions, too."""
    selection = snapshot.selection("figures")
    for at in (0, 1):
        dial = dial_at(selection, 2, at)
        found = histogram(snapshot, selection, dial, Stop(60))
        assert found is not None
        first, last = found.edges.index(64.0), found.edges.index(200.0)
        crossed = crossing(snapshot, selection, dial, "200", Stop(60))
        assert crossed is not None and crossed.num_out == sum(found.counts[first:last]) > 0


@pytest.mark.parametrize(("name", "step", "at", "value", "column"), CASES)
def test_views_hold_exactly_the_rows_that_cross(
    name: str, step: int, at: int, value: str, column: str, snapshot: Snapshot
) -> None:
    selection = snapshot.selection(name)
    dial = dial_at(selection, step, at)
    found = crossing(snapshot, selection, dial, value, Stop(60))
    view_in, view_out = views_of(snapshot, selection, dial, value)
    assert found is not None and view_in is not None and view_out is not None
    assert (answer(snapshot, view_in), answer(snapshot, view_out)) == (found.num_in, found.num_out)


def test_where_no_view_says_what_crosses_there_is_none(snapshot: Snapshot) -> None:
    images = snapshot.selection("interleaved")
    assert views_of(snapshot, images, dial_at(images, 2, 0), "2") == (None, None)  # a column of no table
    came, went = views_of(snapshot, images, dial_at(images, 3, 0), "200")
    assert came is not None and went is not None and went.terms == (Term("interleaved"),)  # the last step
    strong = snapshot.selection("strong")
    assert views_of(snapshot, strong, dial_at(strong, 8, 0), "2") == (None, None)  # it compares rows


def test_rows_that_others_refuse_anyway_are_told(pages: TestClient, snapshot: Snapshot) -> None:
    images = snapshot.corpus.table("images", ["width", "height", "decode_error"]).to_pylist()
    small = [each for each in images if not each["decode_error"] and (each["height"] or 0) < 64 > (each["width"] or 0)]
    asked = {"selection": "figures", "step": "2", "at": "0", "value": "0"}
    assert small
    assert (
        f"refused by others of this step anyway: {len(small)}." in pages.get("/thresholds/crossing", params=asked).text
    )


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


def test_each_number_says_what_its_own_condition_refuses(pages: TestClient, snapshot: Snapshot) -> None:
    (step,) = (each for each in snapshot.ledger("figures").funnel() if each.name == "large enough")
    text = pages.get("/thresholds", params={"selection": "figures"}).text
    told = re.findall(r"<code><bdi[^>]*>(width|height) &gt;= 64</bdi></code>\s*<span[^>]*>([^<]+)</span>", text)
    assert told == [
        (column, f"this condition refuses {rule.lost:,}")
        for column, rule in zip(("width", "height"), step.rules, strict=True)
    ]
    assert len({rule.lost for rule in step.rules}) == 2


def test_both_limits_of_a_between_say_their_own(pages: TestClient, snapshot: Snapshot) -> None:
    (step,) = (each for each in snapshot.ledger("strong").funnel() if each.step == 5)
    refused = View(unit="pair", terms=(Term("strong", False, 5),))
    low = answer(snapshot, refused.with_rule("num_characters < 3"))
    assert low
    text = pages.get("/thresholds", params={"selection": "strong"}).text
    told = re.findall(r"num_characters &[lg]t;= \d+</bdi></code>\s*<span[^>]*>([^<]+)</span>", text)
    assert told == [f"this condition refuses {each:,}" for each in (low, step.lost - low)]


def test_the_page_says_which_rows_bars_count(pages: TestClient) -> None:
    text = pages.get("/thresholds", params={"selection": "figures", "step": "2", "at": "0"}).text
    assert "its other conditions admit:" in text and "height &gt;= 64</bdi></code>" in text
    assert "at most about" not in text
    either = pages.get("/thresholds", params={"selection": "figures", "step": "5", "at": "0"}).text
    assert "at most about" in either and "whatever this number is" in either


def test_a_factor_is_moved(pages: TestClient, snapshot: Snapshot) -> None:
    selection = snapshot.selection("figures")
    dial = dial_at(selection, 3, 0)
    assert dial.value == "5" and dial.compared is None
    found = crossing(snapshot, selection, dial, "2", Stop(60))
    before, after = snapshot.ledger("figures").funnel(), funnel_after(snapshot, turned(selection, dial, "2"), Stop(60))
    left = [next(each.left for each in steps if each.step == 3) for steps in (before, after)]
    assert found is not None and found.num_in == 0 and found.num_out == left[0] - left[1] > 0
    text = pages.get("/thresholds", params={"selection": "figures", "step": "3", "at": "0", "value": "2"}).text
    assert "5 * least(width, height)</bdi>: 5 → <output>2</output>" in text and "<rect" not in text


def test_why_it_is_not_known_which_rows_cross(pages: TestClient) -> None:
    asked = {"selection": "interleaved", "step": "2", "at": "0", "value": "2"}
    assert "exists only while" in pages.get("/thresholds/crossing", params=asked).text
    asked = {"selection": "strong", "step": "8", "at": "0", "value": "2"}
    assert "compares rows with each other" in pages.get("/thresholds/crossing", params=asked).text


def test_a_wrong_value_leaves_everything_else(pages: TestClient) -> None:
    asked = {"selection": "weak", "step": "5", "at": "0", "value": "a<b>c"}
    answer = pages.get("/thresholds", params=asked)
    assert answer.status_code == 400
    assert (
        'value="a&lt;b&gt;c"' in answer.text and "aria-invalid" in answer.text and "is no finite number" in answer.text
    )
    assert (
        "<output>5</output>" in answer.text
        and "/thresholds/crossing?selection=weak&amp;step=5&amp;at=0&amp;value=5" in answer.text
    )


@pytest.mark.parametrize(
    "query",
    [{"value": "abc"}, {"value": "1 or true"}, {"step": "77"}, {"step": "x"}, {"at": "-1"}, {"selection": "nix"}],
)
def test_what_is_no_threshold_is_refused(query: dict[str, str], pages: TestClient) -> None:
    asked = {"selection": "weak", "step": "5", "at": "0", "value": "20"} | query
    for url in ("/thresholds", "/thresholds/crossing", "/thresholds/funnel", "/save"):
        assert pages.get(url, params=asked).status_code == 400
