"""Cards show the most telling text, and know what has to be blurred."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import vector_corpus

from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.explorer.cards import SAFE, UNSAFE, UNSCORED, cards
from tuwen.explorer.snapshot import Explored, Snapshot


def test_an_image_shows_a_caption_rather_than_a_title(looked: Snapshot) -> None:
    order = ["caption", "given", "alt", "title"]
    for card in cards(looked, "image", range(60)):
        (pairs,) = looked.pairs_of("image", [card.row])
        sources = looked.take("pair", pairs[:40], ["text_source"])["text_source"].to_pylist()
        best = min((order.index(each) if each in order else 9 for each in sources), default=None)
        assert card.num_texts == len(pairs)
        assert best is None or (order.index(card.source) if card.source in order else 9) == best


def test_cards_come_in_the_order_asked_for(looked: Snapshot) -> None:
    for unit in ("pair", "document", "image"):
        found = cards(looked, unit, [7, 2, 30])
        assert [card.row for card in found] == [7, 2, 30]
        assert [card.id for card in found] == [looked.id_of(unit, row) for row in (7, 2, 30)]
    assert cards(looked, "image", []) == []


def test_scores_decide_what_is_blurred(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    corpus = vector_corpus.small_corpus(tmp_path / "corpus")
    given = [np.eye(8)[5]] * 3
    vector_corpus.add_images(corpus, ["s", "u", "n"], given, nsfw_score=[0.1, 0.9, float("nan")])
    vector_corpus.add_pairs(
        corpus, [("ps", "safe", "s", "en"), ("pu", "unsafe", "u", "en"), ("pn", "who knows", "n", "en")]
    )
    snapshot = look(tmp_path / "corpus").snapshot()
    rows = snapshot.rows_of("image", [vector_corpus.key(name) for name in ("s", "u", "n", "bike")])
    assert [card.safety for card in cards(snapshot, "image", rows)] == [SAFE, UNSAFE, UNSCORED, UNSCORED]
    pairs = snapshot.rows_of("pair", [vector_corpus.key(name) for name in ("ps", "pu", "pn", "p7")])
    assert [card.safety for card in cards(snapshot, "pair", pairs)] == [SAFE, UNSAFE, UNSCORED, UNSCORED]


def test_a_picture_that_is_not_here_moves_no_score_to_another(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    corpus = vector_corpus.small_corpus(tmp_path / "corpus")
    vector_corpus.add_images(corpus, ["u", "s"], [np.eye(8)[5]] * 2, nsfw_score=[0.9, 0.1])
    row = {"document_id": vector_corpus.key("d"), "source": "s", "source_unit": "u", "url": "http://h.test/"}
    append_rows(corpus, "documents", [pa.RecordBatch.from_pylist([row], schema=TABLES["documents"].schema)])
    schema = pa.schema([("image_ids", pa.list_(pa.string()))])
    shown = {vector_corpus.key("d"): {"image_ids": [vector_corpus.key(each) for each in ("nowhere", "s")]}}
    vector_corpus.write_columns(corpus, "documents", "document.resolve", schema, shown)
    snapshot = look(tmp_path / "corpus").snapshot()
    assert cards(snapshot, "document", [0])[0].safety == UNSCORED
    shown[vector_corpus.key("d")]["image_ids"] = [vector_corpus.key(each) for each in ("nowhere", "s", "u")]
    vector_corpus.write_columns(corpus, "documents", "document.resolve", schema, shown)
    assert cards(look(tmp_path / "corpus").snapshot(), "document", [0])[0].safety == UNSAFE


def test_an_image_shows_no_text_that_was_taken_down(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    corpus = vector_corpus.small_corpus(tmp_path / "corpus")
    vector_corpus.add_pairs(corpus, [("p0", "a name that is to be forgotten", "bike", "en")])
    before = look(tmp_path / "corpus").snapshot()
    (bike,) = before.rows_of("image", [vector_corpus.key("bike")])
    assert cards(before, "image", [bike])[0].num_texts == 2
    for pair in ("p0", "p1"):
        vector_corpus.take_down(corpus, "url", f"http://h.test/{pair}")
        snapshot = look(tmp_path / "corpus").snapshot()
        told = cards(snapshot, "image", [bike])[0]
        gone = snapshot.take("pair", snapshot.rows_of("pair", [vector_corpus.key(pair)]), ["text"])[0][0].as_py()
        assert told.text != gone
    assert (told.num_texts, told.text) == (0, "")


def test_a_document_shows_its_least_shared_pictures(looked: Snapshot) -> None:
    table = looked.corpus.table("images", ["image_id", "num_pages"])
    pages = dict(zip(table["image_id"].to_pylist(), table["num_pages"].to_pylist(), strict=True))
    named = looked.corpus.table("documents", ["image_ids"])["image_ids"].to_pylist()
    unlike_the_first = 0
    for card in cards(looked, "document", range(len(named))):
        own = list(dict.fromkeys(id_ for id_ in named[card.row] or () if id_))[:100]
        assert sorted(pages[id_] for id_ in card.pictures) == sorted(pages[id_] for id_ in own)[:4]
        assert list(card.pictures) == [id_ for id_ in own if id_ in card.pictures]
        unlike_the_first += list(card.pictures) != own[:4]
    assert unlike_the_first
