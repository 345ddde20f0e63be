"""Cards show the most telling text, and know what has to be blurred."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import vector_corpus

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
