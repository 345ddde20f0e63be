"""Every recipe in `recipes/` loads, and reads a small file in the layout that it is for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data_sets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warc_records
import yaml

from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build, plan
from tuwen.engine.recipe import Recipe
from tuwen.parts import name_of
from tuwen.releases.release import release
from tuwen.releases.verify import verify
from tuwen.selections.ledger import judge
from tuwen.selections.selection import parse_selections

FOLDER = Path(__file__).parents[1] / "recipes"
URLS = ["https://a.test/1.jpg", "https://a.test/2.jpg", "https://a.test/3.jpg"]
TEXTS = ["A red fox in the snow", "图文并茂的例子", None]

Given = dict[str, list[Any]]
"""Columns of `pair.given` and their values, row by row."""


def parquet(path: Path, columns: dict[str, pa.Array | list[Any]]) -> None:
    pq.write_table(pa.table(columns), path)


def laion(folder: Path) -> Given:
    scores = pa.array([0.31, 0.29, None], pa.float64())
    parquet(
        folder / "part-00000.snappy.parquet",
        {
            "URL": URLS,
            "TEXT": TEXTS,
            "WIDTH": [640, 320, 100],
            "HEIGHT": [480, 240, 100],
            "similarity": scores,
            "hash": pa.array([-(2**60), 2, 3], pa.int64()),
            "punsafe": pa.array([0.1, 0.9, 0.5], pa.float32()),
            "pwatermark": pa.array([0.1, 0.2, 0.5], pa.float32()),
            "LANGUAGE": ["en", "zh", "nolang"],
        },
    )
    return {"similarity": [pytest.approx(0.31), pytest.approx(0.29), None], "LANGUAGE": ["en", "zh", "nolang"]}


def url_list(folder: Path) -> Given:
    rows = zip(URLS, TEXTS, ("0.5", "", "0.25"), strict=True)
    lines = [f"{url}\t{text or ''}\t{score}" for url, text, score in rows]
    (folder / "urls.tsv").write_text("\n".join(["url\tcaption\tscore", *lines]) + "\n")
    return {"score": [0.5, None, 0.25]}


def cc12m(folder: Path) -> Given:
    lines = [f"{url}\t{text or ''}" for url, text in zip(URLS, TEXTS, strict=True)]
    (folder / "cc12m.tsv").write_text("\n".join(lines) + "\n")
    return {}


def coyo(folder: Path) -> Given:
    given: Given = {"id": [4447082, 5, 6], "image_phash": ["c93a", "b1", "c"], "watermark_score": [0.25, 0.5, None]}
    names = ["clip_similarity_vitb32", "clip_similarity_vitl14", "nsfw_score_opennsfw2", "aesthetic_score_laion_v2"]
    given |= {name: [0.5, 0.25, 0.125] for name in names}
    parquet(folder / "part-00000.parquet", {**given, "url": URLS, "text": TEXTS, "num_faces": [0, 1, 2]})
    return given


def wit(folder: Path) -> Given:
    names = [
        *("language", "page_url", "image_url", "page_title", "section_title", "hierarchical_section_title"),
        *("caption_reference_description", "caption_attribution_description", "caption_alt_text_description"),
        *("mime_type", "original_height", "original_width", "is_main_image", "attribution_passes_lang_id"),
        *("page_changed_recently", "context_page_description", "context_section_description"),
    ]
    rows = []
    for number, (url, text) in enumerate(zip(URLS, TEXTS, strict=True)):
        row = dict.fromkeys(names, "") | {"image_url": url, "language": "de", "is_main_image": "true"}
        row["page_title"], row["context_page_description"] = "Fuchs", '"Ein ""Fuchs""\nund mehr"'
        row[names[6 + number]] = text or ""
        rows.append("\t".join(row.values()))
    data = "\n".join(["\t".join(names), *rows, ""]).encode()
    (folder / "wit_v1.train.all-00000-of-00010.tsv.gz").write_bytes(gzip.compress(data))
    return {"declared_language": ["de"] * 3, "page_title": ["Fuchs"] * 3, "is_main_image": [True] * 3}


def wudaomm(folder: Path) -> Given:
    rows = [
        {"name": f"{n}.jpg", "tag": "动物", "captions": text, "url": url}
        for n, (url, text) in enumerate(zip(URLS, TEXTS, strict=True))
    ]
    (folder / "动物.json").write_text(json.dumps(rows, ensure_ascii=False))
    return {"category": ["动物"] * 3, "file_name": ["0.jpg", "1.jpg", "2.jpg"]}


def datacomp(folder: Path) -> Given:
    given: Given = {
        "uid": ["0" * 32, "1" * 32, "2" * 32],
        "original_width": [640, 320, 100],
        "original_height": [480, 240, 100],
        "clip_b32_similarity_score": [0.25, 0.5, 0.125],
        "clip_l14_similarity_score": [0.25, 0.5, 0.125],
    }
    boxes = pa.array([[[0.1, 0.2, 0.3, 0.4]], [], []], pa.list_(pa.list_(pa.float64())))
    parquet(
        folder / "x.parquet", {**given, "url": URLS, "text": TEXTS, "sha256": ["ab" * 32] * 3, "face_bboxes": boxes}
    )
    return given


def common_crawl_wat(folder: Path) -> Given:
    links = [{"path": "IMG@/src", "url": url, "alt": text or ""} for url, text in zip(URLS, TEXTS, strict=True)]
    response = {"HTML-Metadata": {"Head": {}, "Links": links}}
    block = json.dumps({"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": response}}}).encode()
    record = warc_records.record("metadata", "https://a.test/", block, more=["Content-Type: application/json"])
    (folder / "CC-MAIN-00000.warc.wat.gz").write_bytes(warc_records.member(record))
    return {}


WRITERS: dict[str, Callable[[Path], Given]] = {
    writer.__name__: writer for writer in (url_list, laion, cc12m, coyo, wit, wudaomm, datacomp, common_crawl_wat)
}

DATA_SETS: dict[str, tuple[str, Callable[[Path], Path], int]] = {  # recipe → its place, writer, number of images
    "huggingface": ("huggingface.path", data_sets.write_huggingface, 26),
    "mmc4": ("documents.paths", data_sets.write_documents, 0),
    "obelics": ("documents.paths", data_sets.write_obelics, 0),
    "wanjuan": ("documents.paths", data_sets.write_wanjuan, 0),
    "webdataset": ("webdataset.paths", data_sets.write_webdataset, 27),
}


def test_every_recipe_is_tested_here() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted([*WRITERS, *DATA_SETS])


@pytest.mark.parametrize("name", WRITERS)
def test_a_recipe_reads_its_layout(name: str, tmp_path: Path) -> None:
    (folder := tmp_path / "list").mkdir()
    given = WRITERS[name](folder)
    path = FOLDER / f"{name}.yaml"
    source = name_of(Recipe.load(path).sources[0].source)
    recipe = Recipe.load(path, [f"sources.{source}.paths=[{folder}]"])
    built = build(recipe, tmp_path / "corpus", workers=1, quiet=True, offline=True)
    assert (built.ingested.damaged, built.errors) == ([], {})
    columns = ["image_ref", "text", "expected_hash", "fetch_error", "num_characters", *given]
    pairs = Corpus(tmp_path / "corpus").table("pairs", columns).sort_by("image_ref").to_pydict()
    kept = slice(None, 2) if name == "common_crawl_wat" else slice(None)  # there, an image has to have a text
    assert pairs["image_ref"] == URLS[kept]
    assert pairs["text"] == TEXTS[kept]
    assert pairs["fetch_error"] == ["not_fetched"] * len(URLS[kept])
    assert {column: pairs[column] for column in given} == given
    assert pairs["expected_hash"] == [("sha256:" + "ab" * 32) if name == "datacomp" else None] * len(URLS[kept])
    assert judge(Corpus(tmp_path / "corpus"), "pairs").num_kept == 0  # nothing was fetched


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_recipe_reads_its_data_set(name: str, tmp_path: Path) -> None:
    place, write, num_images = DATA_SETS[name]
    (folder := tmp_path / "set").mkdir()
    write(folder)
    value = f"[{folder}]" if place.endswith("paths") else str(folder)
    recipe = Recipe.load(FOLDER / f"{name}.yaml", [f"sources.{place}={value}"])
    built = build(recipe, tmp_path / "corpus", workers=1, quiet=True, offline=True)
    assert built.errors == {}
    corpus = Corpus(tmp_path / "corpus")
    pairs = corpus.table("pairs", ["fetch_error", "num_characters", "document_id"]).to_pylist()
    assert len(pairs) >= 26 and corpus.count("images") == num_images
    assert {pair["fetch_error"] for pair in pairs} == {None if num_images else "not_fetched"}
    assert corpus.count("documents") == (0 if num_images else 40)


METHODS = FOLDER / "methods"
MODEL = str(Path(__file__).parent / "stages" / "data" / "tiny-clip")  # its cosines mean nothing: most are above 0.9
OWN_CORPUS = {"realsyn"}  # adds pairs, which other methods would see
FORMATS = {"pair": ["parquet"], "image": ["parquet"], "document": ["documents", "text"]}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One corpus for all methods: each computes what the ones before it have not."""
    return tmp_path_factory.mktemp("methods") / "corpus"


@pytest.mark.parametrize("path", sorted(METHODS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_method_runs_on_the_shipped_crawl(
    path: Path, crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER.parent)
    crawl = tmp_path / "corpus" if path.stem in OWN_CORPUS else crawl
    mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    named = [name for entry in mapping["stages"] if isinstance(entry, dict) for name in entry if "model" in entry[name]]
    recipe = Recipe.load(path, [f"stages.{name}.model={MODEL}" for name in named])
    built = build(recipe, crawl, workers=1, quiet=True)
    assert built.errors == {} and plan(recipe, crawl).nothing_to_do
    corpus = Corpus(crawl)
    selections = parse_selections(recipe.mapping["selections"])
    for name in selections:
        ledger = judge(corpus, name)
        assert 0 < ledger.num_kept < ledger.num_rows, f"{name} keeps {ledger.num_kept} of {ledger.num_rows}"
    last = {selection.unit: name for name, selection in selections.items()}
    for name, format in [(last[unit], format) for unit in last for format in FORMATS[unit]]:
        release(corpus, name, tmp_path / f"{name}-{format}", format)
        assert verify(tmp_path / f"{name}-{format}") == []
