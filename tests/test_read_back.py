"""What tuwen releases it reads back, equal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe
from tuwen.releases.release import release

IMAGE_STAGES = ["image.properties", "image.perceptual_hash"]
PAIR_STAGES = ["pair.opt_out", "text.properties"]
OTHER_STAGES = [
    "document.properties",
    "document.language",
    "text.language",
    "pair.position",
]  # they read nodes, which stay behind
SELECTIONS = {
    "pairs": {"unit": "pair", "steps": [{"rule": {"where": "fetch_error is null", "name": "has an image"}}]},
    "images": {"unit": "image", "steps": [{"rule": {"where": "width > 0", "name": "decodes"}}]},
    "pages": {"unit": "document", "steps": [{"rule": {"where": "num_images >= 0", "name": "read"}}]},
}
CARRIED = {  # columns of stages, as `given` of pairs has them: name in a release → type
    "language": "string",
    "language_confidence": "float32",
    "num_characters": "int32",
    "repetition": "float32",
    "looks_like_filename": "bool",
    "relative_position": "float32",
    "image_width": "int32",
    "image_format": "string",
    "document_language": "string",
    "document_num_images": "int32",
}


def built(folder: Path, source: Mapping[str, Any], stages: list[Any]) -> Corpus:
    selections = {
        name: selection
        for name, selection in SELECTIONS.items()
        if name != "pages" or "document.properties" in stages
        if name != "images" or "image.properties" in stages
    }
    recipe = {"name": "test", "sources": [source], "stages": stages, "selections": selections}
    build(Recipe.from_mapping(recipe), folder, workers=1)
    return Corpus.open(folder)


@pytest.fixture(scope="module")
def original(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    stages = ["pair.resolve", "document.resolve", *IMAGE_STAGES, *PAIR_STAGES, *OTHER_STAGES]
    return built(tmp_path_factory.mktemp("original") / "corpus", {"warc": {"paths": [str(demo_crawl)]}}, stages)


@pytest.fixture(scope="module")
def releases(original: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    for selection, form, samples_per_shard in (
        ("pairs", "webdataset", 50),  # several shards, so that the pairs of a page are spread over units
        ("pairs", "parquet", 1_000),
        ("pairs", "index", 10_000),
        ("images", "webdataset", 10_000),
        ("images", "parquet", 10_000),
        ("pages", "documents", 15),
    ):
        parameters = {"samples_per_shard": samples_per_shard}
        release(original, selection, folder / f"{selection}-{form}", form, parameters)
    return folder


def source_of(form: str, folder: Path, **parameters: Any) -> dict[str, Any]:
    name = "parquet" if form == "index" else form
    return {name: {"paths": [str(folder)], **parameters}}


def rows(corpus: Corpus, table: str, key: str, columns: list[str]) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in corpus.table(table, [key, *columns]).to_pylist()}


PAIR_COLUMNS = [
    *("document_id", "image_ref", "position", "text", "text_source", "text_position", "region", "derived_from"),
    *("expected_hash", "image_id", "fetch_error", "image_rights"),
]
DOCUMENT_COLUMNS = ["url", "captured_at", "title", "declared_language", "charset", "generator", "license", "rights"]


@pytest.fixture(scope="module", params=["webdataset", "parquet"])
def again(request: pytest.FixtureRequest, releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    source = source_of(request.param, releases / f"pairs-{request.param}")
    return built(
        tmp_path_factory.mktemp("again") / "corpus", source, ["pair.resolve", {"pair.given": {"columns": CARRIED}}]
    )


def kept(original: Corpus) -> dict[str, dict[str, Any]]:
    found = rows(original, "pairs", "pair_id", PAIR_COLUMNS)
    return {key: row for key, row in found.items() if row["fetch_error"] is None}


def test_pairs_come_back_with_their_ids_and_base_columns(original: Corpus, again: Corpus) -> None:
    pairs = rows(again, "pairs", "pair_id", PAIR_COLUMNS)
    assert len(pairs) > 5_000
    assert again.count("units") > 5
    assert pairs == kept(original)


def test_images_come_back_byte_by_byte(original: Corpus, again: Corpus) -> None:
    ids = sorted({row["image_id"] for row in kept(original).values()})
    assert sorted(again.table("images", ["image_id"])["image_id"].to_pylist()) == ids
    assert again.images(ids) == original.images(ids)


def test_pages_come_back_without_their_nodes(original: Corpus, again: Corpus) -> None:
    theirs = rows(original, "documents", "document_id", DOCUMENT_COLUMNS)
    ours = rows(again, "documents", "document_id", DOCUMENT_COLUMNS)
    assert ours == {key: theirs[key] for key in {row["document_id"] for row in kept(original).values()}}


def test_columns_of_stages_come_back_with_their_values(original: Corpus, again: Corpus) -> None:
    with original.connect() as connection:
        for table in ("pairs", "images", "documents"):
            names = [
                name for name in original.columns(table) if name not in ("bytes", "nodes", "source", "source_unit")
            ]
            connection.register(table, original.table(table, names))
        expected = connection.sql(
            "SELECT pair_id, p.language, p.language_confidence, p.num_characters, repetition, looks_like_filename, "
            "relative_position, i.width AS image_width, i.format AS image_format, d.language AS document_language, "
            "d.num_images AS document_num_images FROM pairs p JOIN images i USING (image_id) "
            "JOIN documents d USING (document_id) ORDER BY pair_id"
        ).to_arrow_table()
    found = again.table("pairs", ["pair_id", *CARRIED]).sort_by("pair_id")
    assert found.to_pylist() == expected.select(found.schema.names).to_pylist()
    assert all(found[name].null_count < len(found) for name in CARRIED)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "data").iterdir())}


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_released_again_the_shards_are_the_same_bytes(
    form: str, original: Corpus, demo_crawl: Path, tmp_path: Path
) -> None:
    """Where `given` stays as it was and every stage finds all that it reads."""
    stages = ["pair.resolve", *IMAGE_STAGES, *PAIR_STAGES]
    first = built(tmp_path / "first", {"warc": {"paths": [str(demo_crawl)]}}, stages)
    release(first, "pairs", tmp_path / "one", form)
    second = built(tmp_path / "second", source_of(form, tmp_path / "one", keep=[]), stages)
    release(second, "pairs", tmp_path / "two", form)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_an_index_comes_back_as_urls_to_fetch(original: Corpus, releases: Path, tmp_path: Path) -> None:
    corpus = built(tmp_path / "corpus", source_of("index", releases / "pairs-index"), ["pair.resolve"])
    assert corpus.count("images") == corpus.count("fetches") == 0
    columns = [
        name for name in PAIR_COLUMNS if name not in ("expected_hash", "image_id", "fetch_error", "image_rights")
    ]
    pairs = rows(corpus, "pairs", "pair_id", [*columns, "expected_hash", "fetch_error"])
    for key, row in kept(original).items():
        if row["image_ref"].startswith("data:"):
            assert key not in pairs
        else:
            assert {name: pairs[key][name] for name in columns} == {name: row[name] for name in columns}
            assert pairs[key]["expected_hash"] == f"sha256:{row['image_id']}"
            assert pairs[key]["fetch_error"] == "not_fetched"
    (unit,) = corpus.table("units", ["message"]).to_pylist()
    embedded = [row for row in kept(original).values() if row["image_ref"].startswith("data:")]
    assert (unit["message"] or "").startswith(f"{len(embedded)} rows of an index" if embedded else "")


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_a_release_of_images_comes_back(form: str, original: Corpus, releases: Path, tmp_path: Path) -> None:
    columns = {"image_width": "int32", "image_format": "string"}
    corpus = built(
        tmp_path / "corpus",
        source_of(form, releases / f"images-{form}"),
        ["pair.resolve", {"pair.given": {"columns": columns}}],
    )
    theirs = rows(original, "images", "image_id", ["width", "format"])
    released = {key for key, row in theirs.items() if row["width"]}
    assert set(corpus.table("images", ["image_id"])["image_id"].to_pylist()) == released
    pairs = corpus.table("pairs", ["image_id", "text", *columns]).to_pylist()
    assert {row["image_id"] for row in pairs} == released and len(pairs) == len(released)
    for row in pairs:
        image = theirs[row["image_id"]]
        assert (row["text"], row["image_width"], row["image_format"]) == (None, image["width"], image["format"])


def shown(corpus: Corpus) -> Iterator[tuple[str, list[Any]]]:
    """What a release of documents holds of each."""
    for row in corpus.table("documents", ["document_id", "nodes", "image_ids"]).to_pylist():
        entries: list[Any] = []
        for node, image_id in zip(row["nodes"], row["image_ids"], strict=True):
            if (node["region"] or "main") != "main":
                continue
            if node["kind"] == "image" and image_id:
                entries.append(("image", node["image_ref"], image_id))
            elif node["kind"] not in ("image", "svg", "frame") and node["text"]:
                entries.append((node["kind"], node["text"]))
        yield row["document_id"], entries


def test_documents_come_back_in_reading_order(original: Corpus, releases: Path, tmp_path: Path) -> None:
    folder = releases / "pages-documents"
    corpus = built(tmp_path / "corpus", source_of("documents", folder), ["pair.resolve", "document.resolve"])
    assert dict(shown(corpus)) == dict(shown(original))
    base = rows(corpus, "documents", "document_id", [*DOCUMENT_COLUMNS, "given"])
    theirs = rows(original, "documents", "document_id", [*DOCUMENT_COLUMNS, "language", "num_images"])
    for key, row in base.items():
        assert all(row[name] == theirs[key][name] for name in DOCUMENT_COLUMNS)
        given = json.loads(row["given"])
        assert (given["language"], given["num_images"]) == (theirs[key]["language"], theirs[key]["num_images"])
    ids = corpus.table("images", ["image_id"])["image_id"].to_pylist()
    assert corpus.images(ids) == original.images(ids)


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_a_hostile_crawl_comes_back(form: str, hostile_warc: Any, hostile_folder: Path, tmp_path: Path) -> None:
    """Redirects, several captures of an address, pages without a time, embedded images, broken ones."""
    stages = ["pair.resolve", "image.properties"]
    selections = {"pairs": SELECTIONS["pairs"]}
    sources = [{"warc": {"paths": hostile_warc.paths}}, {"html": {"folder": str(hostile_folder)}}]
    recipe = {"name": "test", "sources": sources, "stages": stages, "selections": selections}
    build(Recipe.from_mapping(recipe), tmp_path / "first", workers=1)
    first = Corpus.open(tmp_path / "first")
    release(first, "pairs", tmp_path / "released", form)
    second = built(tmp_path / "second", source_of(form, tmp_path / "released"), ["pair.resolve"])
    undecodable = {
        row["image_id"] for row in first.table("images", ["image_id"], "decode_error IS NOT NULL").to_pylist()
    }
    expected = {key: row for key, row in kept(first).items() if row["image_id"] not in undecodable}
    assert rows(second, "pairs", "pair_id", PAIR_COLUMNS) == expected
    assert any(row["image_ref"].startswith("data:") for row in expected.values())
    ids = sorted({row["image_id"] for row in expected.values()})
    assert second.images(ids) == first.images(ids)


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_reencoded_images_come_back_as_what_they_are_now(form: str, original: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "released"
    release(original, "pairs", folder, form, {"reencode": {"short_side": 64}})
    columns = {"original_image_id": "string", "image_url": "string", "sha256": "string"}
    stages = ["pair.resolve", {"pair.given": {"columns": columns}}]
    corpus = built(tmp_path / "corpus", source_of(form, folder), stages)
    units = corpus.table("units", ["num_bad_records", "error", "message"]).to_pylist()
    assert all(unit == {"num_bad_records": 0, "error": None, "message": None} for unit in units)
    same = [name for name in PAIR_COLUMNS if name not in ("image_ref", "image_id", "image_rights")]
    found = rows(corpus, "pairs", "pair_id", [*PAIR_COLUMNS, *columns])
    expected = kept(original)
    assert found.keys() == expected.keys()
    ids = {row["image_id"] for row in found.values()}
    for key, row in found.items():
        theirs = expected[key]
        assert {name: row[name] for name in same} == {name: theirs[name] for name in same}
        assert row["sha256"] is None
        if row["image_id"] != theirs["image_id"]:
            assert row["image_ref"] == f"data:sha256,{row['image_id']}"
            assert row["original_image_id"] == theirs["image_id"]
            embedded = theirs["image_ref"].startswith("data:")
            assert row["image_url"] == (None if embedded else theirs["image_ref"])
    assert ids & {row["image_id"] for row in expected.values()} != ids
    assert set(corpus.table("images", ["image_id"])["image_id"].to_pylist()) == ids
