"""Draws of worlds that are kept come back as they were, whoever else wants them at the same time."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from tuwen.errors import TuwenError
from tuwen.models.columns import Columns
from tuwen.models.sequences import Piece
from tuwen.proof import kept
from tuwen.proof.worlds.scene_documents import SceneDocuments
from tuwen.proof.worlds.scenes import Scenes

DOCUMENTS = SceneDocuments(scenes=Scenes(side=16))


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """A world of somebody's own code."""

    def train(self, number: int, seed: int) -> Columns:
        return Columns(text=["a"] * number)


def same(one: Any, two: Any) -> bool:
    """Equal, of one type, down to the elements."""
    if isinstance(one, np.ndarray):
        return type(two) is np.ndarray and one.dtype == two.dtype and np.array_equal(one, two)
    if type(one) is not type(two):
        return False
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, Piece):
        return (one.learnt, one.coded) == (two.learnt, two.coded) and same(one.value, two.value)
    return bool(one == two)


def assert_same(one: Columns, two: Columns) -> None:
    assert list(one) == list(two)
    for name in one:
        assert same(one[name], two[name]), name


@pytest.mark.parametrize("world", [Scenes(side=16, chinese=0.5, names=True), DOCUMENTS])
@pytest.mark.parametrize("number", [0, 30])
def test_what_is_kept_equals_what_was_drawn(world: Any, number: int, tmp_path: Path) -> None:
    for _ in range(2):
        assert_same(kept.drawn(world, "train", number, 3, tmp_path), world.train(number, 3))
        assert_same(kept.drawn(world, "test", number, 3, tmp_path), world.test(number, 3))
    assert len(list((tmp_path / "worlds").iterdir())) == 2


def test_arrays_of_several_shapes(tmp_path: Path) -> None:
    one, two = np.zeros((2, 2, 3), np.uint8), np.arange(3)
    told = Columns(
        codes=[[Piece(two), Piece(one, learnt=False)], [Piece("a\n")], [Piece(one, coded=True)]],
        text=["é", "红", ""],
        n=np.arange(3),
    )
    kept.write(told, tmp_path / "there")
    assert_same(kept.read(tmp_path / "there"), told)


def test_a_number_that_would_come_back_as_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="plain number"):
        kept.write(Columns(n=[np.int64(1)]), tmp_path / "there")
    assert not list(tmp_path.iterdir())


def test_the_second_draw_draws_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path)
    monkeypatch.setattr(SceneDocuments, "train", lambda *_: pytest.fail("drawn again"))
    kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path)


def test_everything_a_draw_depends_on_is_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def number_of_folders() -> int:
        return len(list((tmp_path / "worlds").iterdir()))

    world = Scenes(side=16)
    for number, seed, knobs in ((5, 1, {}), (6, 1, {}), (5, 2, {}), (5, 1, {"mismatch": 0.5})):
        before = number_of_folders() if (tmp_path / "worlds").exists() else 0
        kept.drawn(dataclasses.replace(world, **knobs), "train", number, seed, tmp_path)
        assert number_of_folders() == before + 1
    monkeypatch.setattr(kept, "code_digest", lambda: "other code")
    kept.drawn(world, "train", 5, 1, tmp_path)
    monkeypatch.setattr(kept, "fingerprint", lambda world: "other data")
    kept.drawn(world, "train", 5, 1, tmp_path)
    assert number_of_folders() == 6


def test_worlds_of_other_code_are_not_kept(tmp_path: Path) -> None:
    assert kept.drawn(Elsewhere(), "train", 2, 1, tmp_path)["text"] == ["a", "a"]
    assert not list(tmp_path.iterdir())


def test_the_file_stays_when_somebody_writes_into_what_was_read(tmp_path: Path) -> None:
    first = kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path)
    first["image"][:] = 0
    assert_same(kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path), DOCUMENTS.train(5, 1))


def test_several_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All draw before anybody has written; one folder comes of it, and it is whole."""
    told, together = DOCUMENTS.train(5, 1), Barrier(4)

    def train(*_: Any) -> Columns:
        together.wait(10)
        return told

    monkeypatch.setattr(SceneDocuments, "train", train)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path), range(4)):
            assert_same(found, told)
    assert len(list((tmp_path / "worlds").iterdir())) == 1


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("614400 requested and 614272 written")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(TuwenError, match="worlds cannot be written: No space left on device; the disk may be full"):
        kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path)
    assert not list((tmp_path / "worlds").iterdir())


def test_a_draw_with_other_bytes_is_drawn_again(tmp_path: Path) -> None:
    wanted = DOCUMENTS.train(5, 1)
    kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path)
    for path in sorted(tmp_path.glob("worlds/*/*.npy")):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
        assert_same(kept.drawn(DOCUMENTS, "train", 5, 1, tmp_path), wanted)
