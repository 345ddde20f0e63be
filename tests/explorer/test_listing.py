"""Pages of rows, in any order, are the rows that there are."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from tuwen.engine.search import Found, Searcher
from tuwen.engine.search_request import Request
from tuwen.engine.search_rows import Links
from tuwen.errors import UsageError
from tuwen.explorer.listing import StoredLinks, _shown, listing
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View


def in_turn(snapshot: Snapshot, view: View, size: int) -> list[int]:
    rows: list[int] = []
    while True:
        page = listing(snapshot, view, Path("nowhere"), Stop(60), size)
        assert len(page.cards) <= size
        rows += [card.row for card in page.cards]
        if not page.after:
            return rows
        view = view.changed(after=page.after)


@pytest.mark.parametrize("direction", ["", " desc"])
def test_sorted_pages_are_what_order_by_gives(looked: Snapshot, direction: str) -> None:
    stored = looked.corpus.table("images", ["num_pages"]).append_column("row", pa.array(range(328)))
    query = f"SELECT row FROM stored WHERE num_pages IS NOT NULL ORDER BY num_pages {direction}, row"
    expected = duckdb.from_arrow(stored).query("stored", query).fetchall()
    assert in_turn(looked, View(sort=f"num_pages{direction}"), 50) == [row for (row,) in expected]


def test_pages_in_stored_order_hold_what_a_rule_keeps(looked: Snapshot) -> None:
    table = looked.corpus.table("images", ["width"])["width"].to_pylist()
    assert in_turn(looked, View(where="width < 200"), 37) == [row for row, width in enumerate(table) if width < 200]


def test_when_the_time_is_up_it_goes_on_from_there(looked: Snapshot, stopped: Stop) -> None:
    page = listing(looked, View(unit="pair"), Path("nowhere"), stopped)
    assert (page.cards, page.finished, page.after) == ([], False, "0")


@pytest.mark.parametrize(
    "view", [{"sort": "text"}, {"sort": "num_pages; drop"}, {"after": "-3"}, {"q": "a", "unit": "document"}]
)
def test_what_cannot_be_listed_is_told(looked: Snapshot, view: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        listing(looked, View(**({"unit": "pair"} | view)), Path("nowhere"), Stop(60))


@pytest.mark.parametrize("unit", ["pair", "image"])
@pytest.mark.parametrize("where", [None, "image.width >= 100 and text_source <> 'title'"])
def test_stored_places_find_what_those_in_memory_find(looked: Snapshot, unit: str, where: str | None) -> None:
    where = "width >= 100" if where and unit == "image" else where
    request = Request("face smiling", where=where, unit=unit, top=30, unsafe=True)
    stored = Searcher(looked.corpus, StoredLinks(looked)).search(request)
    assert stored == Searcher(looked.corpus).search(request) and stored.hits


def test_stored_places_answer_as_links_do(looked: Snapshot) -> None:
    stored, plain = StoredLinks(looked), Links(looked.corpus)
    images = pa.array([looked.id_of("image", 5), "0" * 32, looked.id_of("image", 1)])
    for ours, theirs in zip(stored.pairs_of(images), plain.pairs_of(images), strict=True):
        assert np.array_equal(ours, theirs)
    keys = [looked.id_of("pair", 9), None, "x"]
    assert stored.rows("pairs", keys) == plain.rows("pairs", keys) == [9, -1, -1]


def test_images_show_the_text_by_which_they_were_found(looked: Snapshot) -> None:
    found = listing(looked, View(q="按钮"), Path("nowhere"), Stop(60))
    assert found.cards and all("按钮" in card.text for card in found.cards)
    texts = {row["text"] for row in looked.corpus.table("pairs", ["text", "image_id"]).to_pylist()}
    assert all(card.text in texts for card in found.cards)


def test_scores_say_what_they_measure(pages: TestClient) -> None:
    assert 'title="relevance"' in pages.get("/", params={"q": "按钮"}).text
    assert 'title="sorted by this value"' in pages.get("/", params={"sort": "width"}).text
    like = pages.get("/", params={"like": "75ca77781f54bbf0061b53c0adde029a"}).text
    assert re.search(r"similar (8[1-9]|9\d|100) %", like)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.9999998211860657, "1"),
        (0.12345678, "0.1235"),
        (-0.0, "0"),
        (123456.7, "123,457"),
        (1203, "1,203"),
        (-342029, "-342,029"),
        (None, None),
    ],
)
def test_values_are_told_shortly(value: object, told: str | None) -> None:
    assert _shown(value) == told


def test_what_rows_are_sorted_by_is_told(pages: TestClient) -> None:
    stored = pages.get("/").text
    assert "as stored</option>" in stored and ">num_pages ↑</option>" in stored and "counting…" in stored
    assert "perceptual_hash ↑" not in stored  # which nobody can order
    found = pages.get("/", params={"q": "按钮"}).text
    assert "by relevance</option>" in found and "as stored" not in found and "↑</option>" not in found


def test_a_search_is_made_once_for_a_page_and_its_parts(pages: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    search = Searcher.search

    def counted(self: Searcher, request: Request) -> Found:
        asked.append(request.text)
        return search(self, request)

    monkeypatch.setattr(Searcher, "search", counted)
    for path in ("/", "/facet?column=format", "/facet?column=width", "/count"):
        joint = "&" if "?" in path else "?"
        assert pages.get(f"{path}{joint}unit=image&q=mahjong+wave").status_code == 200
    assert asked == ["mahjong wave"]
