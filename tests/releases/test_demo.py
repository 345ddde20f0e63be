"""The releases of the demo, as a new user meets them: what the card says runs, and every usual tool opens the files."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import webdataset

import tuwen
from tuwen.engine.recipe import Recipe
from tuwen.releases.manifest import read_manifest
from tuwen.releases.verify import verify

CASES = (("strong", "webdataset"), ("weak", "parquet"), ("interleaved", "documents"), ("strong", "index"))
TABLES = [(*case, "data") for case in CASES if case[1] != "webdataset"] + [("interleaved", "documents", "images")]

DESCRIPTION = "Documentation pages and galleries in eight languages, " * 3 + "and not a word is cut"


@pytest.fixture(scope="module")
def releases(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """The shipped crawl, built and released as `tuwen demo` does it."""
    folder = tmp_path_factory.mktemp("demo")
    sources = f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"
    recipe = Recipe.load(demo_crawl.with_name("docs-crawl.yaml"), [sources, f"description={DESCRIPTION}"])
    tuwen.build(recipe, folder / "corpus")
    corpus = tuwen.open(folder / "corpus")
    for name, format in CASES:
        tuwen.release(corpus, name, folder / f"{name}-{format}", format)
    return {case: folder / "-".join(case) for case in CASES}


def card_of(release: Path) -> str:
    return (release / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


@pytest.mark.parametrize("case", CASES)
def test_it_verifies(case, releases):
    assert verify(releases[case]) == []


@pytest.mark.parametrize("case", CASES)
def test_the_snippet_of_the_card_runs(case, releases, monkeypatch, tmp_path):
    pytest.importorskip("datasets").config.HF_DATASETS_CACHE = tmp_path / "cache"
    (snippet,) = re.findall(r"```python\n(.*?)```", card_of(releases[case]), re.DOTALL)
    monkeypatch.chdir(releases[case])
    names: dict[str, Any] = {}
    exec(compile(snippet, "README.md", "exec"), names)
    samples = read_manifest(releases[case]).counts["samples"]
    loaded = next((names[name] for name in ("dataset", "documents", "index") if name in names), None)
    if loaded is None:
        assert sum(1 for _ in webdataset.WebDataset(names["shards"], shardshuffle=False)) == samples
        assert names["image"].mode == "RGBA" and names["sample"]["texts"]
    else:
        assert loaded.num_rows == samples and loaded[0]


@pytest.mark.parametrize(("name", "format", "folder"), TABLES)
def test_every_reader_opens_the_tables(name, format, folder, releases, tmp_path):
    datasets, pandas = pytest.importorskip("datasets"), pytest.importorskip("pandas")
    shards = releases[name, format] / folder
    rows = sum(
        entry.num_samples or 0
        for path, entry in read_manifest(releases[name, format]).files.items()
        if path.startswith(f"{folder}/")
    )
    names = pq.read_schema(shards / "00000.parquet").names
    assert len({column.casefold() for column in names}) == len(names)
    assert pq.read_table(shards).num_rows == pyarrow.dataset.dataset(shards).to_table().num_rows == rows
    assert pandas.read_parquet(shards).shape == (rows, len(names))
    found = duckdb.sql(f"SELECT * FROM read_parquet('{shards}/*.parquet')")
    assert found.columns == names and len(found) == rows
    config = "images" if folder == "images" else "default"
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(str(releases[name, format]), config, split="train", cache_dir=cache)
    assert loaded.num_rows == rows and loaded.column_names == names


def test_the_hub_loads_the_webdataset(releases, tmp_path):
    datasets = pytest.importorskip("datasets")
    release = releases["strong", "webdataset"]
    loaded = datasets.load_dataset(str(release), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == read_manifest(release).counts["samples"] == 248
    assert loaded[0]["json"]["texts"][0]["text"] == loaded[0]["txt"]
    hashes = pq.read_table(releases["strong", "index"] / "data", columns=["image_id", "image_perceptual_hash"])
    expected = dict(zip(*(column.to_pylist() for column in hashes.columns), strict=True))
    assert {row["image_id"]: int(row["image_perceptual_hash"]) for row in loaded["json"]} == expected


def test_transparency_survives_the_snippet(releases):
    """A palette image with transparency: `pil` would show the colour that lies under it."""
    shards = [str(releases["strong", "webdataset"] / "data/00000.tar")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow advises RGBA for palettes, which is what is asked for
        pairs = webdataset.WebDataset(shards, shardshuffle=False).decode("pilrgba").to_tuple("jpg", "json")
        least = [
            image.getextrema()[3][0]
            for image, sample in pairs
            if sample["image_mode"] == "P" and sample["image_has_alpha"]
        ]
    assert least and min(least) == 0


@pytest.mark.parametrize("case", CASES)
def test_the_card_defines_every_selection_and_column(case, releases):
    card, manifest = card_of(releases[case]), read_manifest(releases[case])
    (figures,) = manifest.selection["builds_on"].values()
    assert figures["unit"] == "image" and figures["steps"][0]["rule"]["where"] == "decode_error is null"
    assert "### figures: a selection of images" in card
    assert "| 2 | large enough | 328 | 61 | 267 |" in card and "where: entropy >= 0.5" in card
    assert DESCRIPTION in card and "\n\n\n" not in card
    assert DESCRIPTION in (releases[case] / "datasheet.md").read_text()
    assert "(s)" not in card and " 1 hosts" not in card and "1 source unit." in card
    example = json.loads(re.findall(r"```json\n(.*?)```", card, re.DOTALL)[0])
    if case[1] == "webdataset":
        assert example["json"]["texts"][0]["text"] == example["txt"] and example["jpg"].startswith("png, ")
        assert "| json.image\\_width | int32 | image.properties |" in card
    else:
        first = pq.read_table(next((releases[case] / "data").iterdir())).slice(0, 1).to_pylist()[0]
        key = "document_id" if case[1] == "documents" else "pair_id"
        assert example[key] == first[key]
        for column in first:
            assert "\n| " + column.replace("_", "\\_") + " | " in card
