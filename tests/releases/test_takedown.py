"""Takedowns: what they touch, that nothing holds it afterwards, and that a patch is what a release would have been."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.tombstones import Stone, add_stones, read_stones
from tuwen.corpus.units import append_rows
from tuwen.engine.build import build
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.footprint import footprint
from tuwen.releases.manifest import MANIFEST, read_manifest
from tuwen.releases.takedown import patch_release, stones_for, take_down
from tuwen.releases.verify import verify
from tuwen.selections.ledger import Ledger

RECIPE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"
FORMATS = {
    "webdataset": "strong",
    "parquet": "strong",
    "index": "strong",
    "ids": "strong",
    "documents": "interleaved",
}


def build_from(paths: list[Path], folder: Path) -> Corpus:
    import yaml

    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    recipe["sources"] = [{"warc": {"paths": [str(path) for path in paths]}}]
    build(recipe_of(recipe), folder, workers=1, quiet=True)
    return Corpus.open(folder)


def recipe_of(mapping: dict[str, Any]) -> Any:
    from tuwen.engine.recipe import Recipe

    return Recipe.from_mapping(mapping)


@pytest.fixture(scope="module")
def built(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's corpus and one release of each format. Nobody changes it."""
    folder = tmp_path_factory.mktemp("takedown")
    corpus = build_from([demo_crawl], folder / "corpus")
    for format, selection in FORMATS.items():
        tuwen.release(corpus, selection, folder / format, format)
    return folder


@pytest.fixture
def world(built: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(built, tmp_path / "world")
    return tmp_path / "world"


def released_image(folder: Path) -> str:
    """The image with most texts."""
    ids = pq.read_table(folder / "index/data", columns=["image_id"])["image_id"].to_pylist()
    return max(sorted(set(ids)), key=ids.count)


def files_of(release: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(release)): path.read_bytes() for path in release.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in (MANIFEST, "README.md")}


def test_a_dry_run_lists_everything_and_changes_nothing(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, image_id = Corpus.open(world / "corpus"), released_image(world)
    rows = pq.read_table(world / "index/data").filter(pa.compute.field("image_id") == image_id)
    before = corpus.version()
    words = ["takedown", str(corpus.path), "--image", image_id, "--dry-run", "--json", "--releases"]
    assert main([*words, *(str(world / format) for format in FORMATS)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Corpus.open(corpus.path).version() == before and told["recorded"] == []
    assert told["images"] == {"num": 1, "examples": [image_id]}
    pairs = corpus.table("pairs", ["pair_id", "image_id"]).filter(pa.compute.field("image_id") == image_id)
    assert told["pairs"]["num"] == pairs.num_rows
    assert told["ledgers"] == {"figures": 1, "interleaved": 0, "strong": rows.num_rows}
    assert main([*words[:5]]) == 0
    out = capsys.readouterr().out
    num_kept = Ledger.open_or_judge(corpus, "strong").num_kept
    assert f"selection strong: loses {rows.num_rows} of {num_kept:,}\n" in out and told["kept"]["strong"] == num_kept
    assert "without --dry-run takes it down" in out and "--releases OUT..." in out and "Nothing here" not in out
    assert main(["takedown", str(corpus.path), "--domain", "nosuch.example", "--dry-run"]) == 0
    assert "Nothing here matches" in capsys.readouterr().out
    assert Corpus.open(corpus.path).version() == before
    touched = {Path(release["folder"]).name: release for release in told["releases"]}
    assert touched["webdataset"]["samples"] == [["data/00000.tar", image_id]]
    assert sorted(key for _, key in touched["index"]["samples"]) == sorted(rows["pair_id"].to_pylist())
    assert touched["parquet"]["num_samples"] == rows.num_rows
    shown = pq.read_table(world / "documents/data", columns=["images"])["images"].to_pylist()
    assert touched["documents"]["shards"] == {
        "data/00000.parquet": sum(image_id in images for images in shown),
        "images/00000.parquet": 1,
    }


@pytest.mark.parametrize("format", FORMATS)
def test_a_patch_is_the_release_without_it_and_says_what_it_replaces(world: Path, tmp_path: Path, format: str) -> None:
    corpus, image_id = Corpus.open(world / "corpus"), released_image(world)
    take_down(corpus, stones_for(corpus, images=[image_id]), "asked")
    patch_release(corpus, world / format, tmp_path / "patch")
    tuwen.release(Corpus.open(corpus.path), FORMATS[format], tmp_path / "anew", format)
    patch_release(corpus, world / format, tmp_path / "again")
    assert verify(tmp_path / "patch") == []
    assert files_of(tmp_path / "patch") == files_of(tmp_path / "anew")
    patched, old = read_manifest(tmp_path / "patch"), read_manifest(world / format)
    assert patched.supersedes == {"seal": old.seal, "counts": old.counts}
    assert old.seal in (tmp_path / "patch/README.md").read_text(encoding="utf-8")
    assert (tmp_path / "patch" / MANIFEST).read_bytes() == (tmp_path / "again" / MANIFEST).read_bytes()
    assert footprint(corpus, read_stones(corpus), [world / format]).releases
    assert not footprint(corpus, read_stones(corpus), [tmp_path / "patch"]).releases


def test_a_patch_of_texts_is_the_release_without_the_page(world: Path, tmp_path: Path) -> None:
    """An image leaves no trace in a release of texts, so only a page that is taken down touches one."""
    corpus = Corpus.open(world / "corpus")
    tuwen.release(corpus, "interleaved", world / "text", "text")
    take_down(corpus, stones_for(corpus, images=[released_image(world)]), "asked")
    assert not footprint(corpus, read_stones(corpus), [world / "text"]).releases
    with (world / "text/data/00000.jsonl").open(encoding="utf-8") as lines:
        page = json.loads(next(lines))
    take_down(corpus, stones_for(corpus, urls=[page["url"]]), "asked")
    assert footprint(corpus, read_stones(corpus), [world / "text"]).releases[0].num_samples == 1
    patch_release(corpus, world / "text", tmp_path / "patch")
    tuwen.release(Corpus.open(corpus.path), "interleaved", tmp_path / "anew", "text")
    assert verify(tmp_path / "patch") == [] and files_of(tmp_path / "patch") == files_of(tmp_path / "anew")
    assert page["document_id"].encode() not in (tmp_path / "patch/data/00000.jsonl").read_bytes()


def test_a_patch_holds_the_rows_of_its_release_not_those_that_came_later(
    split_crawl: Callable[[int], list[Path]], tmp_path: Path
) -> None:
    parts = split_crawl(2)
    corpus = build_from(parts[:1], tmp_path / "corpus")
    tuwen.release(corpus, "strong", tmp_path / "index", "index")
    image_id = released_image(tmp_path)
    build_from(parts, tmp_path / "corpus")
    stones = [Stone("image", image_id)]
    take_down(corpus, stones, None)
    patch_release(corpus, tmp_path / "index", tmp_path / "patch")
    other = build_from(parts[:1], tmp_path / "other")
    take_down(other, stones, None)
    tuwen.release(other, "strong", tmp_path / "anew", "index")
    patched, anew = files_of(tmp_path / "patch"), files_of(tmp_path / "anew")
    assert {name: patched[name] for name in patched if name.startswith("data/")} == {
        name: anew[name] for name in anew if name.startswith("data/")
    }
    assert patched["decisions.parquet"] == anew["decisions.parquet"]
    assert read_manifest(tmp_path / "patch").corpus == read_manifest(tmp_path / "index").corpus


def test_a_patch_has_the_columns_of_its_release_not_those_that_came_later(
    split_crawl: Callable[[int], list[Path]], tmp_path: Path
) -> None:
    """Rows stay the same when a stage gets another parameter; which of them a selection keeps does not."""
    import yaml

    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    recipe["sources"] = [{"warc": {"paths": [str(split_crawl(3)[0])]}}]
    recipe["stages"] = ["image.properties", "image.perceptual_hash", {"dedup.images": {"distance": 16}}]
    recipe["selections"] = {"alone": {"unit": "image", "steps": [{"rule": "image_cluster_size = 1"}]}}
    corpus_folder = tmp_path / "corpus"
    build(recipe_of(recipe), corpus_folder, workers=1, quiet=True)
    tuwen.release(Corpus.open(corpus_folder), "alone", tmp_path / "old", "parquet")
    shutil.copytree(corpus_folder, tmp_path / "other")
    later = {**recipe, "name": "later", "stages": [*recipe["stages"][:2], {"dedup.images": {"distance": 0}}]}
    build(recipe_of(later), corpus_folder, workers=1, quiet=True)
    stones = [Stone("image", pq.read_table(tmp_path / "old/data")["image_id"][0].as_py())]
    for folder in ("corpus", "other"):
        take_down(Corpus.open(tmp_path / folder), stones, None)
    patch_release(Corpus.open(corpus_folder), tmp_path / "old", tmp_path / "patch")
    tuwen.release(Corpus.open(tmp_path / "other"), "alone", tmp_path / "anew", "parquet")
    assert files_of(tmp_path / "patch") == files_of(tmp_path / "anew")


def test_neighbours_go_too_also_those_that_come_later(world: Path) -> None:
    corpus = Corpus.open(world / "corpus")
    hashes = corpus.table("images", ["image_id", "perceptual_hash"]).to_pylist()
    known = [(row["image_id"], row["perceptual_hash"]) for row in hashes if row["perceptual_hash"] is not None]
    radius = 6
    near_to = {
        one: sorted(key for key, other in known if (value ^ other).bit_count() <= radius) for one, value in known
    }
    one, expected = max(near_to.items(), key=lambda each: len(each[1]))
    stones = stones_for(corpus, near=[one], radius=radius)
    assert len(expected) > 1
    assert [stone.value for stone in stones if stone.kind == "image"] == expected
    near = [stone for stone in stones if stone.kind == "near"]
    with corpus.writing():
        add_stones(corpus, near, "looks like it")
    refused = {row.id for row in tuwen.judge(corpus, "figures").rows(key for key, _ in known).values() if row.step == 0}
    assert sorted(refused) == expected
    assert footprint(corpus, near).images.num == len(expected)


def test_a_host_goes_with_all_below_it_and_nothing_beside_it(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    urls = ["https://a.example/1", "https://www.a.example/2", "https://nota.example/3"]
    rows = [{"document_id": f"{n}" * 32, "url": url, "source": "s", "source_unit": "u"} for n, url in enumerate(urls)]
    append_rows(corpus, "documents", [pa.RecordBatch.from_pylist(rows, schema=TABLES["documents"].schema)])
    found = footprint(corpus, stones_for(corpus, domains=["A.example"]))
    assert found.documents.examples == ("0" * 32, "1" * 32)


def test_texts_derived_from_it_go_too(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    rows = [
        {"pair_id": "a" * 32, "image_ref": "https://a.example/1", "text": "one"},
        {"pair_id": "b" * 32, "image_ref": "https://b.example/1", "text": "two", "derived_from": ["a" * 32]},
        {"pair_id": "c" * 32, "image_ref": "https://b.example/1", "text": "three", "derived_from": ["b" * 32]},
        {"pair_id": "d" * 32, "image_ref": "https://b.example/1", "text": "four"},
    ]
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    found = footprint(corpus, stones_for(corpus, urls=["https://a.example/1"]))
    assert found.pairs.num == 3 and found.derived.examples == ("b" * 32, "c" * 32)


def test_what_was_taken_down_does_not_come_in_again(
    split_crawl: Callable[[int], list[Path]], built: Path, tmp_path: Path
) -> None:
    whole = Corpus.open(built / "corpus")
    pages = whole.table("pairs", ["document_id"])["document_id"].to_pylist()
    page = max(sorted(set(pages)), key=pages.count)
    url = whole.table("documents", ["url"], f"document_id = '{page}'")["url"][0].as_py()
    image_id = released_image(built)
    corpus = Corpus.create(tmp_path / "corpus")
    take_down(corpus, [Stone("url", url), Stone("image", image_id)], "asked before it was crawled")
    corpus = build_from(split_crawl(3), tmp_path / "corpus")
    assert corpus.images([image_id]) == [None] and whole.images([image_id]) != [None]
    assert corpus.count("images") == whole.count("images") - 1
    assert url not in corpus.table("documents", ["url"])["url"].to_pylist()
    left = corpus.table("pairs", ["document_id"])["document_id"].to_pylist()
    assert sorted(left) == sorted(other for other in pages if other != page)
    assert corpus.count("fetches") == whole.count("fetches")


def test_an_image_may_be_given_as_a_file(world: Path, tmp_path: Path) -> None:
    corpus, image_id = Corpus.open(world / "corpus"), released_image(world)
    (data,) = corpus.images([image_id])
    assert data is not None
    (tmp_path / "picture").write_bytes(data)
    assert stones_for(corpus, images=[str(tmp_path / "picture")]) == [Stone("image", image_id)]
    assert stones_for(corpus, images=[hashlib.sha256(data).hexdigest()]) == [Stone("image", image_id)]
    assert stones_for(corpus, near=[str(tmp_path / "picture")]) == stones_for(corpus, near=[image_id])


def test_recording_twice_records_once(world: Path) -> None:
    corpus, image_id = Corpus.open(world / "corpus"), released_image(world)
    stones = stones_for(corpus, images=[image_id])
    assert take_down(corpus, stones, "one") == stones and take_down(corpus, stones, "two") == []
    assert corpus.count("tombstones") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"images": ["f" * 32]}, "neither"),
        ({"urls": ["example.org/x"]}, "whole URL"),
        ({"domains": ["https://example.org"]}, "without scheme"),
        ({"near": ["nothing"]}, "neither"),
        ({"near": [""], "radius": 40}, "unrelated pictures"),
        ({}, "nothing to take down"),
    ],
)
def test_what_cannot_be_meant_is_refused(built: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stones_for(Corpus.open(built / "corpus"), **words)


def test_a_damaged_release_is_not_taken_for_one_that_holds_nothing(world: Path) -> None:
    corpus, image_id = Corpus.open(world / "corpus"), released_image(world)
    shard = world / "index/data/00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(TuwenError, match="tuwen verify"):
        footprint(corpus, stones_for(corpus, images=[image_id]), [world / "index"])


def test_several_patches_at_once(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_id = released_image(world)
    words = ["takedown", str(world / "corpus"), "--image", image_id, "--reason", "asked", "--patch-to"]
    words += [str(tmp_path / "patches"), "--releases", str(world / "index"), str(world / "webdataset")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "1 takedown recorded" in out and f"tuwen purge {world / 'corpus'}" in out
    assert {path.name for path in (tmp_path / "patches").iterdir()} == {"index", "webdataset"}
    assert verify(tmp_path / "patches/index") == verify(tmp_path / "patches/webdataset") == []


def test_patches_that_would_be_one_folder_are_refused_before_anything_is_recorded(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_id, corpus = released_image(world), world / "corpus"
    shutil.copytree(world / "index", tmp_path / "other" / "index")
    words = ["takedown", str(corpus), "--image", image_id, "--patch-to", str(tmp_path / "new"), "--releases"]
    assert main([*words, str(world / "index"), str(tmp_path / "other" / "index")]) == 2
    assert "one by one" in capsys.readouterr().err and not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    assert main([*words, str(world / "index")]) == 2 and "name a new folder" in capsys.readouterr().err
    assert read_stones(Corpus.open(corpus)) == []


def test_the_same_patch_again_replaces_itself(world: Path, tmp_path: Path) -> None:
    image_id = released_image(world)
    words = ["takedown", str(world / "corpus"), "--image", image_id, "--patch-to", str(tmp_path / "new"), "--releases"]
    seals = []
    for _ in range(2):
        assert main([*words, str(world / "index")]) == 0
        seals.append(read_manifest(tmp_path / "new").seal)
    assert seals[0] == seals[1] and verify(tmp_path / "new") == []


def test_where_nobody_has_resolved_references_any_that_meant_the_image_goes(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    image_id = digest(b"x")
    rows = {
        "images": [{"image_id": image_id, "bytes": b"x"}],
        "fetches": [{"fetch_id": "f" * 32, "url": "https://a.example/1", "image_id": image_id}],
        "pairs": [
            {"pair_id": "a" * 32, "image_ref": "https://a.example/1", "text": "one"},
            {"pair_id": "b" * 32, "image_ref": f"data:sha256,{image_id}", "text": "two"},
            {"pair_id": "c" * 32, "image_ref": "https://a.example/2", "text": "three"},
        ],
    }
    for table, values in rows.items():
        append_rows(corpus, table, [pa.RecordBatch.from_pylist(values, schema=TABLES[table].schema)])
    found = footprint(corpus, stones_for(corpus, images=[image_id]))
    assert found.images.num == 1 and found.pairs.examples == ("a" * 32, "b" * 32)
