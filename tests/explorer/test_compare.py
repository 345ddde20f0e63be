"""Two selections compared: parts are set arithmetic, shares are counts."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.explorer.comparing import counts, shifts, unit_of, view_of
from tuwen.explorer.facets import count
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.selections.ledger import Ledger


@pytest.fixture(scope="module")
def snapshot(demo: Corpus) -> Snapshot:
    explored = Explored(demo.path)
    explored.prepared._wait_s = 60
    return explored.snapshot()


def kept(corpus: Corpus, name: str) -> set[str]:
    return set(Ledger.open_or_judge(corpus, name).kept().read_all()["id"].to_pylist())


def test_parts(snapshot: Snapshot, demo: Corpus) -> None:
    strong, weak = kept(demo, "strong"), kept(demo, "weak")
    found = counts(snapshot, "pair", "strong", "weak", 6)
    assert (found.both, found.a, found.b) == (len(strong & weak), len(strong - weak), len(weak - strong))
    ids = {part: {snapshot.id_of("pair", int(row)) for row in rows} for part, rows in found.rows.items()}
    assert ids["both"] <= strong & weak and ids["a"] <= strong - weak and ids["b"] <= weak - strong
    assert [len(each) for each in ids.values()] == [6, 4, 6]
    for part in ("both", "a", "b"):
        assert count(snapshot, view_of("pair", "strong", "weak", part), Stop(60)).count == getattr(found, part)


def test_shares(snapshot: Snapshot, demo: Corpus) -> None:
    found = shifts(snapshot, "pair", "strong", "weak", Stop(60))
    assert found.exact and [each.distance for each in found.columns] == sorted(
        (each.distance for each in found.columns), reverse=True
    )
    sources = next(each for each in found.columns if each.name == "text_source")
    table = demo.table("pairs", ["pair_id", "text_source"]).to_pylist()
    for shift in sources.shifts:
        for name, share in (("strong", shift.share_a), ("weak", shift.share_b)):
            ids = kept(demo, name)
            truth = sum(row["pair_id"] in ids and row["text_source"] == shift.label for row in table) / len(ids)
            assert share == pytest.approx(100 * truth)
    for each in found.columns:
        if len(each.shifts) == each.num_values:
            assert sum(shift.share_b for shift in each.shifts) == pytest.approx(100)


def test_units(snapshot: Snapshot, demo: Corpus) -> None:
    assert unit_of(snapshot, "strong", "figures") == "pair"  # a pair belongs to an image
    found = counts(snapshot, "pair", "strong", "figures", 3)
    assert found.a == 0 and found.both == len(kept(demo, "strong"))
    with pytest.raises(UsageError, match="one unit"):
        unit_of(snapshot, "interleaved", "figures")


def test_the_page(pages: TestClient) -> None:
    text = pages.get("/compare", params={"a": "strong", "b": "weak"}).text
    figures = re.findall(r'<p class="figure"><b>([\d,]+)</b>', text)
    assert figures == ["4", "1,322", "1,255"]
    assert "is=strong&amp;is=%21weak" in text and "is=%21strong&amp;is=weak" in text
    assert "text_source" in pages.get("/compare/shifts", params={"a": "strong", "b": "weak"}).text
    assert "These are the same" in pages.get("/compare", params={"a": "strong", "b": "strong"}).text
    start = pages.get("/compare").text  # two of one unit, whichever comes first in the recipe
    assert re.findall(r'<option value="(\w+)" selected>', start)[-2:] == ["strong", "weak"]
    assert "different kinds" not in text and "different kinds" not in start
    mixed = pages.get("/compare", params={"a": "figures", "b": "strong"}).text
    assert "pairs whose image it keeps" in mixed
    for a, b, told in (("nix", "weak", "nix"), ("interleaved", "figures", "one unit")):
        wrong = pages.get("/compare", params={"a": a, "b": b})
        assert wrong.status_code == 400 and told in wrong.text and wrong.text.count("<select name=") == 2 + 1  # "by"
