"""Stages that add pairs: once per fragment, with all that the old pair says, and gone when its origin is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tiny import Length, Pages, write_pages

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.units import append_rows
from tuwen.engine.build import Built, build, plan
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.status import status
from tuwen.errors import TuwenError, UsageError
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import parse_selections
from tuwen.stages import DERIVED


@dataclass(frozen=True)
class Shout:
    """The text in capitals, of texts with an even number of characters; fails on `fails_on`."""

    mark: str = "!"
    fails_on: str = ""
    table = "pairs"
    adds = "pairs"
    reads = ("pair_id", "text", "length")
    writes = DERIVED

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch["text"].to_pylist()
        if self.fails_on in texts:
            raise ValueError("no")
        rows = [
            {"row": row, "text": text.upper() + self.mark, "derived_from": None}
            for row, (text, length) in enumerate(zip(texts, batch["length"].to_pylist(), strict=True))
            if length % 2 == 0
        ]
        return pa.RecordBatch.from_pylist(rows, schema=DERIVED)


@dataclass(frozen=True)
class Outside(Shout):
    """Speaks of a row that is not there."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([{"row": batch.num_rows, "text": "x"}], schema=DERIVED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(8, 12))  # texts of 8 and, from page 10 on, 9 characters
    return tmp_path


def recipe_of(folder: Path, *stages: Any) -> Recipe:
    return Recipe("t", (NamedSource("pages", Pages(str(folder / "pages"))),), stages, {"name": "t"})


def update(folder: Path, *stages: Any, **options: Any) -> Built:
    return build(recipe_of(folder, *stages), folder / "corpus", quiet=True, **options)


def pairs(folder: Path, where: str | None = None) -> list[dict[str, Any]]:
    return Corpus.open(folder / "corpus").table("pairs", where=where).sort_by("text").to_pylist()


def test_new_pairs_say_what_the_old_one_says(folder: Path) -> None:
    built = update(folder, Length(), Shout())
    assert built.added_rows == {built.added_rows and next(iter(built.added_rows)): 6}
    old = {pair["pair_id"]: pair for pair in pairs(folder, "derived_from IS NULL")}
    new = pairs(folder, "derived_from IS NOT NULL")
    assert [pair["text"] for pair in new] == [f"TEXT {page} {k}!" for page in (8, 9) for k in range(3)]
    for pair in new:
        (origin,) = pair["derived_from"]
        for name in ("document_id", "image_ref", "position", "region"):
            assert pair[name] == old[origin][name]
        assert pair["text_source"] == f"generated:{pair['source']}" and pair["text_position"] is None
        parts = (pair["document_id"], pair["position"], pair["text_source"], pair["image_ref"], pair["text"])
        assert pair["pair_id"] == digest(*parts)
        assert pair["length"] == len(pair["text"]), "stages run on new pairs too"


def test_nothing_is_made_twice_or_of_what_was_made(folder: Path) -> None:
    update(folder, Length(), Shout())
    before = pairs(folder)
    again = update(folder, Length(), Shout())
    assert again.did_nothing and pairs(folder) == before
    assert plan(recipe_of(folder, Length(), Shout()), folder / "corpus").nothing_to_do
    write_pages(folder / "pages", "b", range(7, 8))
    grown = update(folder, Length(), Shout())
    assert sum(grown.added_rows.values()) == 3
    fresh = folder / "fresh"
    fresh.mkdir()
    (fresh / "pages").symlink_to(folder / "pages")
    update(fresh, Length(), Shout(), workers=1)
    strip = ("source_unit",)
    assert [{k: v for k, v in pair.items() if k not in strip} for pair in pairs(fresh)] == [
        {k: v for k, v in pair.items() if k not in strip} for pair in pairs(folder)
    ]


def test_another_parameter_makes_rows_beside_the_old_ones(folder: Path) -> None:
    update(folder, Length(), Shout())
    steps = plan(recipe_of(folder, Length(), Shout("?")), folder / "corpus").steps
    assert [step.reasons for step in steps] == [("adds pairs that are not made yet",)]
    update(folder, Length(), Shout("?"))
    assert len(pairs(folder, "derived_from IS NOT NULL")) == 12


def test_rows_at_fault_make_nothing_and_are_counted(folder: Path) -> None:
    built = update(folder, Length(), Shout(fails_on="text 9 1"))
    assert [sum(counts.values()) for counts in built.errors.values()] == [1]
    assert len(pairs(folder, "derived_from IS NOT NULL")) == 5
    units = Corpus.open(folder / "corpus").table("units").to_pylist()
    assert [unit["message"] for unit in units if unit["num_bad_records"]] == ["ValueError: 1"]


def test_what_is_wrong_with_the_stage_stops_the_build(folder: Path) -> None:
    with pytest.raises(TuwenError, match="outside of its batch"):
        update(folder, Length(), Outside())
    assert not pairs(folder, "derived_from IS NOT NULL")
    with pytest.raises(UsageError, match=r"reads pairs\.length, which no stage"):
        update(folder, Shout())


def test_killed_after_a_unit_nothing_is_lost_or_doubled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pages(folder / "pages", "b", range(5, 8))
    update(folder, Length())
    import tuwen.engine.derive

    append = tuwen.engine.derive._append

    def killed(*arguments: Any) -> int:
        count = append(*arguments)
        raise KeyboardInterrupt(count)

    monkeypatch.setattr(tuwen.engine.derive, "_append", killed)
    with pytest.raises(KeyboardInterrupt):
        update(folder, Length(), Shout())
    num_first = len(pairs(folder, "derived_from IS NOT NULL"))
    monkeypatch.undo()
    update(folder, Length(), Shout())
    texts = [pair["text"] for pair in pairs(folder, "derived_from IS NOT NULL")]
    assert 0 < num_first < len(texts) == len(set(texts)) == 15


def test_what_came_from_something_taken_down_is_taken_down(folder: Path) -> None:
    update(folder, Length(), Shout())
    corpus = Corpus.open(folder / "corpus")
    gone = {"kind": "url", "value": "http://a.test/9", "reason": "asked", "at": datetime(2026, 1, 1, tzinfo=UTC)}
    append_rows(corpus, "tombstones", [pa.RecordBatch.from_pylist([gone], schema=TABLES["tombstones"].schema)])
    foreign = {**dict.fromkeys(TABLES["pairs"].schema.names), "pair_id": digest("x"), "text": "far", "source": "s"}
    origin = next(pair["pair_id"] for pair in pairs(folder, "derived_from IS NOT NULL") if "9" in pair["text"])
    rows = [{**foreign, "derived_from": [origin]}]
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    selections = parse_selections({"all": {"unit": "pair", "steps": [{"rule": {"where": "text is not null"}}]}})
    kept = Ledger.open_or_judge(Corpus.open(folder / "corpus"), "all", selections).kept().read_all()
    texts = {pair["text"] for pair in pairs(folder) if pair["pair_id"] in set(kept["id"].to_pylist())}
    assert texts and not any("9" in text for text in texts) and "far" not in texts


def test_status_tells_of_rows_that_another_parameter_made(folder: Path) -> None:
    stages = [{"text.properties": None}, {"tiny:Marked": {"mark": "!"}}]
    mapping = {"name": "t", "stages": stages}
    recipe = Recipe.from_mapping(mapping, allow_code=True)
    both = Recipe("t", recipe_of(folder).sources, recipe.stages, mapping)
    build(both, folder / "corpus", quiet=True, allow_code=True)
    assert not status(folder / "corpus", allow_code=True)["outdated_units"]
    mapping["stages"] = [{"text.properties": None}, {"tiny:Marked": {"mark": "?"}}]
    again = Recipe.from_mapping(mapping, allow_code=True)
    build(Recipe("t", both.sources, again.stages, mapping), folder / "corpus", quiet=True, allow_code=True)
    (told,) = status(folder / "corpus", allow_code=True)["outdated_units"]
    assert "they stay" in told["message"]
