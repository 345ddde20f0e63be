"""What is on screen, saved: the selection keeps exactly the rows that were shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.explorer.facets import count
from tuwen.explorer.keeping import selection_of
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.view import View
from tuwen.selections.ledger import Ledger, preview
from tuwen.selections.selection import selections_of

ORIGIN = {"Origin": "http://127.0.0.1"}
VIEWS = [
    [("unit", "pair"), ("is", "!figures"), ("where", "text_position is not null")],
    [("unit", "pair"), ("where", "num_characters < 40 and language = 'zh'")],
    [("unit", "pair"), ("is", "weak"), ("is", "!strong")],
    [("unit", "image"), ("is", "!figures")],
    [("unit", "pair"), ("is", "strong:5")],
    [("unit", "pair"), ("is", "strong:2")],
    [("unit", "image"), ("is", "figures:5"), ("where", "width > 10")],
]


@pytest.fixture(scope="module")
def snapshot(demo: Corpus) -> Snapshot:
    explored = Explored(demo.path)
    explored.prepared._wait_s = 60
    return explored.snapshot()


@pytest.mark.parametrize("query", VIEWS)
def test_it_keeps_what_was_shown(query: list[tuple[str, str]], snapshot: Snapshot, tmp_path: Path) -> None:
    view = View.from_query(query)
    made = selection_of(snapshot, view, "mine", tmp_path, Stop(60))
    funnel = preview(snapshot.corpus, made, snapshot.selections)
    assert funnel[-1].left == count(snapshot, view, Stop(60)).count


def test_hits_are_saved_one_by_one(snapshot: Snapshot, tmp_path: Path) -> None:
    view = View(unit="pair", q="red")
    made = selection_of(snapshot, view, "mine", tmp_path, Stop(60))
    kept = preview(snapshot.corpus, made, snapshot.selections)[-1].left
    assert 0 < kept <= 240 and made.steps[0].name == "found by 'red'"
    with pytest.raises(UsageError, match="nothing was found"):
        selection_of(snapshot, View(unit="pair", q="zzzzqqqq"), "mine", tmp_path, Stop(60))


@pytest.mark.parametrize("term", ["strong:8", "strong:0", "figures:2"])
def test_what_no_rule_can_say_is_refused_in_words(term: str, snapshot: Snapshot, tmp_path: Path) -> None:
    view = View.from_query([("unit", "pair"), ("is", term)])
    with pytest.raises(UsageError):
        selection_of(snapshot, view, "mine", tmp_path, Stop(60))


def test_saving_and_deleting(
    own_corpus: Path, explore: Callable[[Path], TestClient], capsys: pytest.CaptureFixture[str]
) -> None:
    pages = explore(own_corpus)
    form = {"selection": "weak", "step": "5", "at": "0", "value": "20", "name": "更严-1"}
    shown = pages.get("/save", params=form).text
    assert "num_characters between 20 and 1000" in shown
    answer = pages.post("/save", data=form, headers=ORIGIN, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/funnel?selection=")
    told = pages.get(answer.headers["location"]).text
    assert str(own_corpus / "selections" / "更严-1.yaml") in told
    assert f"tuwen funnel {own_corpus} --selection" in told and 'role="status"' in told
    assert 'role="status"' not in pages.get("/funnel", params={"selection": "weak", "saved": "now"}).text
    capsys.readouterr()
    assert main(["status", str(own_corpus)]) == 0
    assert re.search(r"Saved by tuwen explore.*更严-1", capsys.readouterr().out)
    corpus = Corpus.open(own_corpus)
    assert Ledger.open_or_judge(corpus, "更严-1").num_kept < Ledger.open_or_judge(corpus, "weak").num_kept
    assert "更严-1" in pages.get("/funnel").text  # at once, not when the corpus changes next
    again = pages.post("/save", data=form, headers=ORIGIN)
    assert again.status_code == 400 and "already" in again.text and 'value="更严-1"' in again.text
    gone = pages.post("/selections/forget", data={"selection": "更严-1"}, headers=ORIGIN, follow_redirects=False)
    assert gone.status_code == 303 and "更严-1" not in selections_of(Corpus.open(own_corpus))


@pytest.mark.parametrize("name", ["strong", "", "../../etc", '"><script>alert(1)</script>', "a\u202eb"])
def test_bad_names_are_refused_and_change_nothing(
    name: str, own_corpus: Path, explore: Callable[[Path], TestClient]
) -> None:
    form = {"unit": "pair", "where": "num_characters < 40", "name": name}
    answer = explore(own_corpus).post("/save", data=form, headers=ORIGIN)
    assert answer.status_code == 400 and "<script>alert" not in answer.text
    assert not list(own_corpus.glob("selections/*"))


def test_another_site_can_save_nothing(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    form = {"unit": "pair", "where": "num_characters < 40", "name": "mine"}
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert explore(own_corpus).post("/save", data=form, headers=headers).status_code == 403
    assert explore(own_corpus).get("/save", params=form).status_code == 200  # shows, and does not save
    assert not list(own_corpus.glob("selections/*"))


def test_everything_is_no_selection(pages: TestClient) -> None:
    answer = pages.get("/save", params={"unit": "pair"})
    assert answer.status_code == 400 and "add a rule" in answer.text


def test_ids_of_a_view(pages: TestClient, demo: Corpus) -> None:
    text = pages.get("/ids.txt", params={"unit": "image", "is": "figures"}).text
    assert len(text.split()) == Ledger.open_or_judge(demo, "figures").num_kept
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in text.split())
