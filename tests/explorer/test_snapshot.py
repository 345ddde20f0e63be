"""Rows by number: where they are, what belongs to them, and what happens when the corpus grows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import vector_corpus

from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.explorer import snapshot as snapshots
from tuwen.explorer.prepared import Prepared
from tuwen.explorer.snapshot import KEPT, REMEMBERED, Explored, Snapshot, judge_apart
from tuwen.selections.ledger import Ledger

Look = Callable[[Path], Explored]


@pytest.mark.parametrize("unit", ["image", "pair", "document"])
def test_ids_and_rows_are_each_others_inverse(looked: Snapshot, unit: str) -> None:
    table = {"image": "images", "pair": "pairs", "document": "documents"}[unit]
    ids = looked.corpus.table(table, [f"{unit}_id"])[0].to_pylist()
    assert looked.rows_of(unit, ids).tolist() == list(range(len(ids)))
    assert looked.id_of(unit, 7) == ids[7]
    assert looked.rows_of(unit, ["0" * 32, "nothing"]).tolist() == [-1, -1]


def test_links_are_what_a_join_gives(looked: Snapshot) -> None:
    images = looked.corpus.table("images", ["image_id"])[0].to_pylist()
    of_pairs = looked.corpus.table("pairs", ["image_id"])[0].to_pylist()
    place = {id_: row for row, id_ in enumerate(images)}
    assert looked.link("image").tolist() == [place.get(id_, -1) for id_ in of_pairs]
    for image, pairs in zip(range(20), looked.pairs_of("image", range(20)), strict=True):
        assert pairs.tolist() == [row for row, id_ in enumerate(of_pairs) if id_ == images[image]]


def test_rows_come_in_the_order_asked_for_with_what_belongs_to_them(looked: Snapshot) -> None:
    rows = [50, 3, 50, 4_000]
    taken = looked.take("pair", rows, ["pair_id", "image.width", "document.url"])
    assert taken["pair_id"].to_pylist() == [looked.id_of("pair", row) for row in rows]
    images = looked.link("image")[rows]
    widths = looked.corpus.table("images", ["width"])[0].to_pylist()
    assert taken["image.width"].to_pylist() == [widths[image] if image >= 0 else None for image in images]
    assert looked.take("pair", [], ["text", "image.width"]).num_rows == 0
    with pytest.raises(UsageError, match="no column"):
        looked.take("pair", rows, ["image.colour"])


def test_pairs_without_an_image_have_nothing_of_it(tmp_path: Path, look: Look) -> None:
    vector_corpus.small_corpus(tmp_path / "corpus")
    snapshot = look(tmp_path / "corpus").snapshot()
    taken = snapshot.take("pair", [6, 0], ["text", "image.source"])
    assert taken["image.source"].to_pylist() == [None, "s"]


def test_chunks_hold_every_row_once(
    looked: Snapshot, own_corpus: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_ROWS", 1)
    fine = look(own_corpus).snapshot()
    for chunks in (fine.chunks("pairs"), looked.chunks("pairs")):
        ends = [first + count for first, count, _ in chunks]
        assert [first for first, _, _ in chunks] == [0, *ends[:-1]] and ends[-1] == looked.num_rows("pair")


def test_verdicts_are_judged_apart_as_they_are_here(
    own_corpus: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = look(own_corpus).snapshot().verdicts("strong").copy()
    (own_corpus / "ledgers" / "strong.json").unlink()
    monkeypatch.setattr(snapshots, "JUDGED_HERE", 0)
    judged = []
    monkeypatch.setattr(snapshots, "judge_apart", lambda *given: (judged.append(given), judge_apart(*given)))
    snapshot = look(own_corpus).snapshot()
    assert snapshot.verdicts("strong").tolist() == here.tolist()
    assert judged and (here == KEPT).sum() == Ledger.open_or_judge(snapshot.corpus, "strong").num_kept


def test_a_corpus_that_grows_is_seen_anew_and_an_old_moment_stays(tmp_path: Path, look: Look) -> None:
    corpus = vector_corpus.small_corpus(tmp_path / "corpus")
    explored = look(tmp_path / "corpus")
    before = explored.snapshot()
    assert before.rows_of("pair", [vector_corpus.key("p9")]).tolist() == [-1]
    vector_corpus.add_images(corpus, ["dog"], [np.eye(8)[4]])
    vector_corpus.add_pairs(corpus, [("p9", "a dog", "dog", "en")])
    assert before.num_rows("pair") == 7 and before.link("image").shape == (7,)
    explored._looked = 0.0  # as if the time to look again had come
    after = explored.snapshot()
    assert after is not before and after.num_rows("pair") == 8
    (row,) = after.rows_of("pair", [vector_corpus.key("p9")])
    assert after.take("pair", [row], ["text"])["text"].to_pylist() == ["a dog"]
    assert after.link("image")[row] == after.rows_of("image", [vector_corpus.key("dog")])[0]


def test_what_was_taken_down_is_known(own_corpus: Path, look: Look) -> None:
    explored = look(own_corpus)
    snapshot = explored.snapshot()
    assert snapshot.gone("image") is None
    vector_corpus.take_down(snapshot.corpus, "image", snapshot.id_of("image", 3))
    explored.renew()
    fresh = explored.snapshot()
    gone = fresh.gone("image")
    assert gone is not None and np.flatnonzero(gone).tolist() == [3]
    of_pairs = fresh.gone("pair")
    assert of_pairs is not None
    assert np.flatnonzero(of_pairs).tolist() == fresh.pairs_of("image", [3])[0].tolist()


def test_a_picture_is_its_bytes(looked: Snapshot) -> None:
    ids = [looked.id_of("image", row) for row in (0, 100)]
    assert [looked.picture(id_) for id_ in ids] == looked.corpus.images(ids)
    assert looked.picture("0" * 32) is None


def test_columns_in_memory_are_bounded(
    demo_corpus: Path, look: Callable[[Path], Explored], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "COLUMN_BYTES", 0)
    looked = look(demo_corpus).snapshot()  # its own: what other tests have read stays in memory where it is read again
    for name in ("width", "height", "format"):
        values = looked.whole(looked.column("image", name))
        assert values.to_pylist() == looked.corpus.table("images", [name])[0].to_pylist()
    assert len(looked._columns) == 1


def test_selections_that_others_change_are_seen(own_corpus: Path, look: Callable[[Path], Explored]) -> None:
    """A build that changes only a selection, or another explorer that saves one, commits nothing to a table."""
    explored = look(own_corpus)
    explored.EVERY_S = 0.0
    before = explored.snapshot()
    kept = (before.verdicts("figures") == KEPT).sum()
    recipe = json.loads((own_corpus / "recipe.json").read_text(encoding="utf-8"))
    recipe["selections"]["figures"]["steps"] = [{"rule": {"where": "width >= 300"}}]
    (own_corpus / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    after = explored.snapshot()
    assert (after.verdicts("figures") == KEPT).sum() < kept == (before.verdicts("figures") == KEPT).sum()
    saved = own_corpus / "selections" / "mine.yaml"
    saved.parent.mkdir()
    saved.write_text("selections: {mine: {unit: image, steps: [{rule: {where: width > 1}}]}}\n", encoding="utf-8")
    assert "mine" in explored.snapshot().selections
    saved.unlink()
    assert "mine" not in explored.snapshot().selections


def test_small_values_are_made_once_and_the_oldest_go(demo: Corpus) -> None:
    snapshot = Snapshot(demo, Prepared())
    made: list[int] = []
    for number in [*range(REMEMBERED + 1), REMEMBERED, 0]:
        snapshot.remembered(number, lambda number=number: made.append(number) or number)
    assert made == [*range(REMEMBERED + 1), 0]
