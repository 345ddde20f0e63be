"""What is alike: by vectors as brute force has it, by hashes as counted bits have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import vector_corpus

from tuwen.explorer.similar import MAX_BITS, admitted, most_similar
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.view import View
from tuwen.selections.expressions import Expression


def test_hashes_are_compared_bit_by_bit(looked: Snapshot, tmp_path: Path) -> None:
    hashes = looked.corpus.table("images", ["perceptual_hash"])[0].to_pylist()
    for row in (0, 10, 200):
        rows, scores, notes, _ = most_similar(looked, View(like=looked.id_of("image", row)), tmp_path, 400)
        bits = [None if value is None else (value ^ hashes[row]).bit_count() for value in hashes]
        expected = {other for other, number in enumerate(bits) if number is not None and number <= MAX_BITS} - {row}
        assert set(rows.tolist()) == expected
        assert [1 - bits[other] / 64 for other in rows] == scores.tolist() == sorted(scores, reverse=True)  # type: ignore[operator]
        assert "hash" in notes[0]


def test_vectors_come_before_hashes(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    vector_corpus.small_corpus(tmp_path / "corpus")
    snapshot = look(tmp_path / "corpus").snapshot()
    rows, scores, *_ = most_similar(snapshot, View(like=vector_corpus.key("bike")), tmp_path, 3)
    assert snapshot.id_of("image", rows[0]) == vector_corpus.key("bike2") and scores[0] > 0.99
    view = View(unit="pair", like=vector_corpus.key("p1"), where="language = 'zh'")
    rows, scores, *_ = most_similar(snapshot, view, tmp_path, 3)
    texts = snapshot.take("pair", rows, ["text"])["text"].to_pylist()
    assert texts[0] == "红色的自行车靠在墙上" and np.all(np.diff(scores) <= 0)


@pytest.mark.parametrize("many", [1, 10_000])
def test_a_rule_is_asked_of_some_rows(many: int, looked: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows pass whether values come from whole columns in memory or row by row."""
    monkeypatch.setattr("tuwen.explorer.similar.MANY", many)
    rule, rows = Expression.parse("width > 64 and format = 'png'"), np.arange(327, -1, -3)
    passed = admitted(looked, "image", rule, rows)
    values = looked.corpus.table("images", ["width", "format"]).to_pylist()
    assert passed.tolist() == [values[row]["width"] > 64 and values[row]["format"] == "png" for row in rows.tolist()]
    assert 0 < passed.sum() < len(rows)
