"""A row's life is the same wherever its rows are looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.explorer.places import IndexedPlaces
from tuwen.explorer.snapshot import Explored
from tuwen.selections.selection import UNITS
from tuwen.selections.why import why


@pytest.fixture(scope="module")
def explored(demo_corpus: Path) -> Explored:
    return Explored(demo_corpus)


@pytest.mark.parametrize("unit", UNITS)
def test_by_index_and_by_scan(unit: str, explored: Explored, demo: Corpus) -> None:
    snapshot = explored.snapshot()
    places = IndexedPlaces(snapshot)
    total = snapshot.num_rows(unit)
    for row in {0, total // 3, total // 2, total - 1}:
        row_id = snapshot.id_of(unit, row)
        assert why(snapshot.corpus, row_id[:20], snapshot.selections, places) == why(demo, row_id)


def test_what_is_unknown(explored: Explored) -> None:
    places = IndexedPlaces(explored.snapshot())
    nobody = "0" * 32
    assert places.rows("image", [nobody]) == []
    assert places.pairs_of("image", nobody) == []
    assert places.documents_of(nobody) == []
    assert places.fetches_of(nobody, ["url"]) == []
    assert places.image(nobody) is None


def test_a_folder_that_cannot_be_written(explored: Explored, demo: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links then lie in memory."""
    snapshot = Explored(demo.path).snapshot()
    snapshot.folder = Path("/proc/nowhere")
    image = snapshot.id_of("image", 0)
    wanted = IndexedPlaces(explored.snapshot()).documents_of(image)
    assert wanted and IndexedPlaces(snapshot).documents_of(image) == wanted
