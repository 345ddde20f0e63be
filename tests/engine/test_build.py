"""Building: incremental like make, equal whatever the workers and the history, and one bad row stops nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tiny import Length, Mean, NumPairs, PageLength, Pages, Parity, Picky, write_pages

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine.build import Built, build, plan
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.status import status
from tuwen.errors import TuwenError, UsageError
from tuwen.sources import Report, Unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(0, 20))
    write_pages(tmp_path / "pages", "b", range(10, 30))
    return tmp_path


def recipe_for(folder: Path, *stages: Any) -> Recipe:
    return Recipe("t", (NamedSource("pages", Pages(str(folder / "pages"))),), stages, {"name": "t"})


def run(folder: Path, *stages: Any, to: str = "corpus", **options: Any) -> Built:
    return build(recipe_for(folder, *stages), folder / to, **{"workers": 1, "quiet": True, **options})


def rows(corpus: Corpus, table: str) -> list[dict[str, Any]]:
    found = corpus.table(table).to_pylist()
    return sorted(found, key=lambda row: str(row[TABLES[table].key]))


def test_stages_run_in_the_order_they_need(folder: Path) -> None:
    built = run(folder, Parity(), PageLength(), Length(), NumPairs())
    assert built.stage_rows == {"tiny:Length": 90, "tiny:Parity": 90, "tiny:NumPairs": 30, "tiny:PageLength": 90}
    for row in rows(Corpus.open(folder / "corpus"), "pairs"):
        assert row["length"] == len(row["text"]) and row["is_even"] == (len(row["text"]) % 2 == 0)
        assert row["siblings"] == 3 and row["page_length"] in (15, 16)


def test_nothing_changed_nothing_done(folder: Path) -> None:
    stages = (Length(), NumPairs(), PageLength(), Mean())
    first = run(folder, *stages)
    before = Corpus.open(folder / "corpus").version()
    again = run(folder, *stages)
    assert again.did_nothing and again.version == first.version
    assert Corpus.open(folder / "corpus").version() == before


def test_a_file_that_changed_between_two_builds_is_told(folder: Path) -> None:
    """What it gave before stays, what it gives now comes in, and that there are both is no secret."""
    run(folder)
    assert status(folder / "corpus")["outdated_units"] == []
    path = write_pages(folder / "pages", "a", range(5, 40))
    assert run(folder).ingested.rows == {"images": 10, "fetches": 0, "pairs": 30, "documents": 10}
    (told,) = status(folder / "corpus")["outdated_units"]
    assert told["location"] == str(path) and "was read 2 times, as its bytes changed" in told["message"]


@dataclass(frozen=True)
class Restless(Pages):
    """While a unit is read for the first time, something happens to its file."""

    happens: str = "grows"

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        path, mark = Path(unit.location), Path(f"{unit.location}.seen")
        yield from super().read(unit, report)
        if not mark.exists() and path.stem == "a":
            path.rename(mark)
            if self.happens == "grows":
                write_pages(path.parent, path.stem, range(0, 25))


@pytest.mark.parametrize("happens", ["grows", "goes"])
def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_build(folder: Path, happens: str) -> None:
    """Its rows would be those of neither the file that was listed nor the one that is there."""
    recipe = Recipe("t", (NamedSource("pages", Restless(str(folder / "pages"), happens)),), (), {"name": "t"})
    (happened,) = build(recipe, folder / "corpus", quiet=True).ingested.damaged
    assert happened[0] == str(folder / "pages" / "a.json") and "left out of this build, the next reads" in happened[1]
    assert Corpus.open(folder / "corpus").count("documents") == 20, "those of b alone"
    if happens == "goes":  # and comes back as it was
        (folder / "pages" / "a.json.seen").rename(folder / "pages" / "a.json")
        (folder / "pages" / "a.json.seen").touch()
    build(recipe, folder / "corpus", quiet=True)
    run(folder, to="anew")
    for table in ("images", "pairs", "documents"):
        key = TABLES[table].key
        found, expected = (
            Corpus.open(folder / name).table(table, [key])[key].to_pylist() for name in ("corpus", "anew")
        )
        assert sorted(found) == sorted(expected)


def test_a_changed_parameter_touches_its_stage_and_those_that_read_it(folder: Path) -> None:
    run(folder, Length(), Parity(), NumPairs(), Picky())
    planned = plan(recipe_for(folder, Length(factor=2), Parity(), NumPairs(), Picky()), folder / "corpus")
    assert {step.stage: step.reasons for step in planned.steps} == {
        "tiny:Length": ("factor changed from 1 to 2",),
        "tiny:Parity": ("may change with tiny:Length",),
    }
    built = run(folder, Length(factor=2), Parity(), NumPairs(), Picky())
    assert set(built.stage_rows) == {"tiny:Length", "tiny:Parity"}
    assert all(row["is_even"] for row in rows(Corpus.open(folder / "corpus"), "pairs"))


def test_a_new_unit_touches_its_own_fragments_and_what_looks_at_the_whole(folder: Path) -> None:
    run(folder, Length(), NumPairs(), Picky())
    write_pages(folder / "pages", "c", range(30, 40))
    built = run(folder, Length(), NumPairs(), Picky())
    assert built.ingested.rows == {"images": 10, "fetches": 0, "pairs": 30, "documents": 10}
    assert built.stage_rows == {"tiny:Length": 30, "tiny:Picky": 30, "tiny:NumPairs": 40}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_incremental_equals_fresh_whatever_the_workers(folder: Path, workers: int) -> None:
    stages = (Length(), Parity(), NumPairs(), PageLength(), Picky())
    run(folder, *stages, workers=workers)
    write_pages(folder / "pages", "c", range(25, 45))
    run(folder, *stages, workers=workers)
    run(folder, *stages, to="fresh", workers=1)
    grown, fresh = Corpus.open(folder / "corpus"), Corpus.open(folder / "fresh")
    for table in TABLES:
        assert rows(grown, table) == rows(fresh, table)
        for column in fresh.columns(table):
            assert grown.content(table, column) == fresh.content(table, column)


def test_a_bad_row_gets_an_error_and_stops_nothing(folder: Path) -> None:
    built = run(folder, Picky(fatal="7 1"))
    assert built.errors == {"tiny:Picky": {"ValueError": 3}}
    for row in rows(Corpus.open(folder / "corpus"), "pairs"):
        bad = row["text"].endswith("7 1")
        assert (row["fine"], row["tiny_Picky_error"]) == ((None, "ValueError") if bad else (True, None))
    assert built.log is not None
    events = [json.loads(line) for line in built.log.read_text().splitlines()]
    assert "a bad row" in next(event["examples"]["tiny:Picky"] for event in events if event.get("errors"))


def test_a_fitted_state_holds_until_refit(folder: Path) -> None:
    run(folder, Length(), Mean())
    mean = {row["length"] - row["above_mean"] for row in rows(Corpus.open(folder / "corpus"), "pairs")}
    write_pages(folder / "pages", "c", range(100_000, 100_020))
    assert run(folder, Length(), Mean()).stage_rows == {"tiny:Length": 60, "tiny:Mean": 60}
    kept = {round(row["length"] - row["above_mean"], 6) for row in rows(Corpus.open(folder / "corpus"), "pairs")}
    assert kept == {round(value, 6) for value in mean}
    assert run(folder, Length(), Mean(), refit=True).stage_rows == {"tiny:Mean": 150}
    refit = {round(row["length"] - row["above_mean"], 6) for row in rows(Corpus.open(folder / "corpus"), "pairs")}
    assert refit != kept


def test_the_plan_of_a_corpus_that_is_not_there_lists_its_units(folder: Path) -> None:
    planned = plan(recipe_for(folder, Length()), folder / "corpus")
    assert [unit.name.partition(":")[0] for unit in planned.units] == ["a.json", "b.json"]
    assert not (folder / "corpus").exists()


def test_two_units_of_the_same_content_are_one(folder: Path) -> None:
    (folder / "pages" / "sub").mkdir()
    (folder / "pages" / "z.json").write_bytes((folder / "pages" / "a.json").read_bytes())
    built = run(folder)
    assert built.ingested.num_units == 3 and built.ingested.rows["documents"] == 30
    assert Corpus.open(folder / "corpus").table("units")["num_documents"].to_pylist() == [20, 10, 0]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((Parity(),), r"reads pairs\.length, which no stage"),
        ((Length(), Length(2)), "both write"),
    ],
)
def test_an_impossible_order_is_refused(folder: Path, stages: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(folder, *stages)
    assert not (folder / "corpus").exists()


def test_a_stage_that_loses_rows_is_at_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Length.__call__
    monkeypatch.setattr(Length, "__call__", lambda self, batch: whole(self, batch.slice(0, batch.num_rows - 1)))
    with pytest.raises(TuwenError, match="has to return the same rows"):
        run(folder, Length())


def test_status_says_what_is_stale_and_why(folder: Path) -> None:
    recipe = recipe_for(folder, Length(), Picky())
    mapping = {
        "sources": [{"tiny:Pages": {"folder": str(folder / "pages")}}],
        "stages": ["tiny:Length", {"tiny:Picky": {"fatal": "7 1"}}],
    }
    build(Recipe("t", recipe.sources, recipe.stages, mapping), folder / "corpus", workers=1, quiet=True)
    found = status(folder / "corpus", allow_code=True)
    assert found["tables"]["pairs"]["num_rows"] == 90
    assert [(stage["stage"], stage["num_fresh"], stage["errors"]) for stage in found["stages"]] == [
        ("tiny:Length", 90, {}),
        ("tiny:Picky", 90, {"ValueError": 3}),
    ]
    with pytest.raises(UsageError, match="--allow-code"):
        status(folder / "corpus")


def test_a_table_without_rows_has_its_columns_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page.html").write_text("<p>Words and <img src=gone.png alt='a figure that is gone'></p>")
    recipe = Recipe.from_mapping(
        {
            "sources": [{"html": {"folder": str(tmp_path / "site")}}],
            "stages": ["pair.resolve", "image.properties", {"tiny:ImageWidth": {}}],
        },
        allow_code=True,
    )
    build(recipe, tmp_path / "corpus", quiet=True)
    assert set(Corpus.open(tmp_path / "corpus").table("pairs")["image_width"].to_pylist()) == {None}


def test_a_stage_that_fails_everywhere_is_named(folder: Path) -> None:
    assert run(folder, Picky(fatal="")).hopeless == ["tiny:Picky"]
    assert run(folder, Picky(fatal="7 1"), to="other").hopeless == []


def test_units_read_in_another_way_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = {"sources": [{"tiny:Pages": {"folder": str(folder / "pages")}}]}
    build(Recipe.from_mapping(mapping, allow_code=True), folder / "corpus", quiet=True)
    assert status(folder / "corpus", allow_code=True)["outdated_units"] == []
    monkeypatch.setattr(Pages, "version", 2)
    assert len(status(folder / "corpus", allow_code=True)["outdated_units"]) == 2


def test_columns_of_a_stage_that_left_the_recipe_are_used_no_more(folder: Path) -> None:
    mapping: dict[str, Any] = {
        "sources": [{"tiny:Pages": {"folder": str(folder / "pages")}}],
        "stages": ["tiny:Length"],
        "selections": {"long": {"unit": "pair", "steps": [{"rule": "length > 8"}]}},
    }
    build(Recipe.from_mapping(mapping, allow_code=True), folder / "corpus", quiet=True, allow_code=True)
    corpus = Corpus.open(folder / "corpus")
    assert "length" in corpus.current_columns("pairs")
    with pytest.raises(UsageError, match="no column 'length'"):  # before anything runs
        build(Recipe.from_mapping({**mapping, "stages": []}, allow_code=True), folder / "corpus", quiet=True)
    build(Recipe.from_mapping({"sources": mapping["sources"], "stages": []}, allow_code=True), corpus.path, quiet=True)
    assert "length" in corpus.columns("pairs") and "length" not in corpus.current_columns("pairs")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ImportError("libx")])
def test_an_error_of_the_machine_marks_no_row(folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(self: Length, batch: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Length, "__call__", broken)
        with pytest.raises(TuwenError, match="tiny:Length"):
            run(folder, Length())
    assert run(folder, Length()).stage_rows == {"tiny:Length": 90}


def test_an_error_about_data_is_the_row_s(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Length, batch: object) -> None:
        raise OSError("image file is truncated")

    monkeypatch.setattr(Length, "__call__", broken)
    assert run(folder, Length()).errors == {"tiny:Length": {"OSError": 90}}


def test_a_build_that_cannot_begin_leaves_the_recipe_that_the_corpus_was_made_with(tmp_path: Path) -> None:
    build(Recipe.from_mapping({"name": "good", "stages": ["pair.resolve"]}), tmp_path / "corpus", quiet=True)
    wrong = {"name": "wrong", "stages": [{"concepts.match": {"entries": str(tmp_path / "missing.txt")}}]}
    with pytest.raises(UsageError, match=r"missing\.txt cannot be read"):
        build(Recipe.from_mapping(wrong), tmp_path / "corpus", quiet=True)
    assert Corpus.open(tmp_path / "corpus").recipe()["name"] == "good"
