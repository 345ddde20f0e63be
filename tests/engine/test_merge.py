"""A merged corpus is the one that a single build over both inputs makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from purged import contents, files_with, image, image_id, make, recipe_for, text, update, url, write_unit

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tombstones import Stone, read_stones
from tuwen.engine.build import build, plan
from tuwen.engine.checkup import examine
from tuwen.engine.merge import merge
from tuwen.engine.purge import purge
from tuwen.engine.recipe import Recipe
from tuwen.engine.status import status
from tuwen.errors import UsageError
from tuwen.releases.takedown import take_down

EXAMPLE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"
LOCAL = ("source_unit", "source")


def recipe_of(paths: list[Path]) -> Recipe:
    mapping = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    mapping["sources"] = [{"warc": {"paths": [str(path) for path in paths]}}]
    return Recipe.from_mapping(mapping)


def found(path: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        table: [{name: value for name, value in row.items() if name not in LOCAL} for row in rows]
        for table, rows in contents(Corpus.open(path))
    }


def test_merged_and_built_equals_one_build_over_both(split_crawl: Callable[[int], list[Path]], tmp_path: Path) -> None:
    parts = split_crawl(4)
    for name, own in (("a", parts[:3]), ("b", parts[1:]), ("both", parts)):  # two of four are in both
        build(recipe_of(own), tmp_path / name, workers=1, quiet=True)
    before = [Corpus.open(tmp_path / name).version() for name in "ab"]
    merged = merge(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert [Corpus.open(tmp_path / name).version() for name in "ab"] == before
    counts = {table: Corpus.open(tmp_path / "both").count(table) for table in merged.added}
    assert {table: Corpus.open(tmp_path / "c").count(table) for table in merged.added} == counts
    assert all(merged.known.values()) and merged.notes == []
    stale = {stage["stage"] for stage in status(tmp_path / "c")["stages"] if stage["reasons"]}
    assert not stale & {"image.properties", "image.perceptual_hash", "image.statistics", "text.properties"}
    built = build(recipe_of(parts), tmp_path / "c", workers=1, quiet=True)
    assert built.ingested.num_units == 0
    assert found(tmp_path / "c") == found(tmp_path / "both")
    assert [finding for finding in examine(tmp_path / "c") if finding.is_harm or finding.action] == []
    for name in ("c", "both"):
        tuwen.release(Corpus.open(tmp_path / name), "strong", tmp_path / f"{name}-strong", "parquet")
    shards = [sorted((tmp_path / f"{name}-strong/data").iterdir()) for name in ("c", "both")]
    assert [path.read_bytes() for path in shards[0]] == [path.read_bytes() for path in shards[1]]


def test_joins_takedowns_and_derived_rows_come_along(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    write_unit(tmp_path / "two/pages", "z", range(10, 20))
    update(tmp_path / "two")
    two = Corpus.open(tmp_path / "two/corpus")
    for corpus, name in ((one, "mine"), (two, "theirs")):
        keys = corpus.table("pairs", ["pair_id"])["pair_id"].to_pylist()
        lines = [f"pair_id,{name}", *(f"{key},{key[:4]}" for key in keys)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        tuwen.join(corpus, tmp_path / f"{name}.csv", on="pair_id", name=name, allow_code=True, workers=1, quiet=True)
    take_down(one, [Stone("url", url(3))], "asked")
    take_down(two, [Stone("url", url(3)), Stone("image", image_id(19))], "asked")
    merged = merge(one.path, two.path, tmp_path / "c", allow_code=True)
    assert merged.added == {"documents": 6, "fetches": 0, "images": 5, "pairs": 30}
    assert merged.known == {"documents": 4, "fetches": 0, "images": 4, "pairs": 24}
    assert merged.barred == {"images": 1, "pairs": 6}, "image 19 and its texts"
    assert merged.hidden["documents"] == 1, "page 3, of the first"
    corpus = Corpus.open(tmp_path / "c")
    assert set(read_stones(corpus)) == {Stone("url", url(3)), Stone("image", image_id(19))}
    mapping = json.loads((corpus.path / "recipe.json").read_text())
    assert len(mapping["sources"]) == 1, "two folders cannot be one source: a note says so"
    assert any("source tiny:Pages" in note for note in merged.notes)
    recipe = Recipe.from_mapping(mapping, allow_code=True)
    built = build(recipe, corpus.path, workers=1, quiet=True, allow_code=True)
    assert not built.added_rows and built.ingested.num_units == 0
    rows = {row["pair_id"]: row for row in corpus.table("pairs").to_pylist()}
    assert len(rows) == corpus.count("pairs") == 114
    known = {key: row["theirs"] for key, row in rows.items() if row["theirs"] is not None}
    assert known and all(key.startswith(value) for key, value in known.items())
    assert plan(recipe, corpus.path).nothing_to_do


def test_what_one_has_purged_does_not_come_back_with_the_other(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    two = make(tmp_path / "two")
    keys = two.table("pairs", ["pair_id"])["pair_id"].to_pylist()
    (tmp_path / "s.csv").write_text("\n".join(["pair_id,s", *(f"{key},of {key}" for key in keys)]))
    tuwen.join(two, tmp_path / "s.csv", on="pair_id", name="s", allow_code=True, workers=1, quiet=True)
    take_down(one, [Stone("url", url(3)), Stone("image", image_id(9))], "asked")
    purge(one, allow_code=True)
    merged = merge(one.path, two.path, tmp_path / "c", allow_code=True)
    assert merged.barred == {"pairs": 12, "documents": 1, "images": 1} and not merged.hidden
    assert {table: Corpus.open(tmp_path / "c").count(table) for table in merged.added} == {
        table: Corpus.open(one.path).count(table) for table in merged.added
    }
    for needle in (image(9), text(3, 0).encode(), text(9, 0).encode()):
        assert files_with(two.path, needle) and files_with(tmp_path / "c", needle) == []
    assert [finding for finding in examine(tmp_path / "c") if finding.is_harm or finding.action] == []


def test_a_takedown_of_what_looks_alike_does_not_stop_a_merge_where_nothing_tells_it(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    two = make(tmp_path / "two")
    take_down(one, [Stone("near", f"{7:016x}/6")], "asked")
    merged = merge(one.path, two.path, tmp_path / "c", allow_code=True)
    assert merged.barred == {} and merged.known["images"] == 14
    assert Stone("near", f"{7:016x}/6") in read_stones(Corpus.open(tmp_path / "c"))


def test_what_does_not_fit_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    two = make(tmp_path / "two")
    for folder, corpus in (("one", one), ("two", two)):
        keys = corpus.table("pairs", ["pair_id"])["pair_id"].to_pylist()
        (tmp_path / folder / "s.csv").write_text("\n".join(["pair_id,s", *(f"{key},{folder}" for key in keys)]))
        tuwen.join(corpus, tmp_path / folder / "s.csv", on="pair_id", name="s", allow_code=True, workers=1, quiet=True)
    with pytest.raises(UsageError, match="different content"):
        merge(one.path, two.path, tmp_path / "c", allow_code=True)
    with pytest.raises(UsageError, match="one corpus"):
        merge(one.path, one.path, tmp_path / "c")
    with pytest.raises(UsageError, match="not an empty folder"):
        merge(one.path, two.path, tmp_path / "one")
    with pytest.raises(UsageError, match="lies in the corpus"):
        merge(one.path, two.path, two.path / "c", allow_code=True)
    with pytest.raises(UsageError, match="allow-code"):
        merge(one.path, two.path, tmp_path / "c")
    assert not (tmp_path / "c").exists() and not (tmp_path / ".c.partial").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    words = ["merge", str(one.path), str(two.path), "--to", str(tmp_path / "c"), "--allow-code"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == {"documents": 0, "fetches": 0, "images": 0, "pairs": 0}
    assert dict(contents(Corpus.open(tmp_path / "c"))) == dict(contents(one))
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    take_down(one, [Stone("image", image_id(3))], "asked")
    assert main(["merge", str(one.path), str(two.path), "--to", str(tmp_path / "link"), "--allow-code"]) == 0
    told = capsys.readouterr().out
    assert "images: 0 added, 13 known already, 1 taken down" in told and "until: tuwen purge" in told
    assert (tmp_path / "empty" / "corpus.json").is_file()
    assert main(words) == 2 and "not an empty folder" in capsys.readouterr().err
    assert not plan(recipe_for(tmp_path / "one"), tmp_path / "c").units
