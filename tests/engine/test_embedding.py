"""Vectors through a whole build: halves in the tables, keys that lead to them, and releases that carry them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tuwen
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine.recipe import Recipe
from tuwen.errors import UsageError
from tuwen.models.encoder import encoder

TINY = Path(__file__).parent.parent / "stages" / "data" / "tiny-clip"
PAGE = """<html><head><title>Foxes</title></head><body><main><h1>Foxes 狐狸</h1>
<p>A red fox crossing the snow, seen from the window of a train that was late.</p>
<figure><img src="{0}.png" alt="a red fox"><figcaption>一只狐狸在雪地里</figcaption></figure>
<p>The second paragraph is about something else, as second paragraphs are.</p>
<img src="{1}.png" alt="نافذة"><img src="gone.png" alt="nothing there"><img src="broken.png" alt="broken">
</main></body></html>"""


def add_page(folder: Path, name: str, *images: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.html").write_text(PAGE.format(*images), encoding="utf-8")
    for number, image in enumerate(images):
        rng = np.random.default_rng([number, *name.encode()])
        if not (folder / f"{image}.png").exists():
            Image.fromarray(rng.integers(0, 256, (40, 300, 3), dtype=np.uint8)).save(folder / f"{image}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def recipe(folder: Path, model: Path) -> dict[str, Any]:
    return {
        "name": "vectors",
        "sources": [{"html": {"folder": str(folder)}}],
        "stages": [
            "document.resolve",
            "pair.resolve",
            "image.properties",
            "image.statistics",
            {"image.embedding": {"model": str(model), "batch_size": 2}},
            {"text.embedding": {"model": str(model), "batch_size": 3}},
            "pair.similarity",
            "pair.agreement",
            {"document.assignment": {"model": str(model)}},
        ],
        "selections": {
            "pages": {"unit": "document", "steps": [{"rule": "url is not null"}]},
            "texts": {"unit": "pair", "steps": [{"rule": "similarity is not null"}]},
        },
    }


def build(folder: Path, to: Path, model: Path = TINY, workers: int = 1) -> Any:
    return tuwen.build(Recipe.from_mapping(recipe(folder, model)), to, workers=workers, quiet=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("vectors")
    add_page(folder / "pages", "one", "a", "b")
    build(folder / "pages", folder / "corpus")
    add_page(folder / "pages", "two", "c", "a")
    build(folder / "pages", folder / "corpus", workers=2)
    return Corpus.open(folder / "corpus")


def test_pairs_see_the_vectors_of_their_images(corpus: Corpus) -> None:
    images = {
        row["image_id"]: row["embedding"] for row in corpus.table("images", ["image_id", "embedding"]).to_pylist()
    }
    assert sum(vector is None for vector in images.values()) == 1  # the broken one
    pairs = corpus.table("pairs", ["image_id", "text", "text_embedding", "similarity", "text_agreement"]).to_pylist()
    known = 0
    for pair in pairs:
        assert pair["text_embedding"] == encoder(str(TINY)).texts([pair["text"]], 3)[0].astype(np.float16).tolist()
        vector = images.get(pair["image_id"])
        if vector is None:
            assert pair["similarity"] is None
            continue
        known += 1
        expected = np.dot(pair["text_embedding"], vector) / np.linalg.norm(vector)
        assert pair["similarity"] == pytest.approx(expected, abs=2e-3)
        assert pair["text_agreement"] is not None
    assert known and known < len(pairs)


def test_pages_match_images_to_their_own_texts(corpus: Corpus) -> None:
    for page in corpus.table(
        "documents", ["nodes", "image_ids", "matched_text_index", "matched_similarity"]
    ).to_pylist():
        matched = [place for place, index in enumerate(page["matched_text_index"]) if index is not None]
        assert len(matched) == 2
        for place in matched:
            assert page["image_ids"][place]
            assert page["nodes"][page["matched_text_index"][place]]["text"]
            assert -1 <= page["matched_similarity"][place] <= 1
        assert len({page["matched_text_index"][place] for place in matched}) == 2


def test_grown_equals_fresh(corpus: Corpus, tmp_path: Path) -> None:
    assert build(corpus.path.parent / "pages", corpus.path).did_nothing
    build(corpus.path.parent / "pages", tmp_path / "fresh")
    fresh = Corpus.open(tmp_path / "fresh")
    for table in ("documents", "images", "pairs"):
        key = TABLES[table].key
        grown = corpus.table(table).sort_by(key).drop_columns(["source_unit"])
        assert grown.equals(fresh.table(table).sort_by(key).drop_columns(["source_unit"]))


def test_another_model_makes_its_columns_stale_and_an_encoder_those_of_no_other_stage(
    corpus: Corpus, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(corpus.path, tmp_path / "corpus"))
    wider = checkpoints.clip(tmp_path / "model", side=24, dim=6, seed=1)
    built = build(corpus.path.parent / "pages", folder, wider)
    assert set(built.stage_rows) == {
        *("image.embedding", "text.embedding", "pair.similarity", "pair.agreement", "document.assignment")
    }
    (vector,) = Corpus.open(folder).table("images", ["embedding"], "embedding is not null")["embedding"].to_pylist()[:1]
    assert len(vector) == 6


def test_a_model_that_is_not_there_ends_the_build(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a folder nor in the local cache"):
        build(corpus.path.parent / "pages", tmp_path / "corpus", tmp_path / "none")


def test_releases_carry_matches_and_vectors(corpus: Corpus, tmp_path: Path) -> None:
    tuwen.release(corpus, "pages", tmp_path / "pages", format="documents")
    assert tuwen.verify(tmp_path / "pages") == []
    (file,) = (tmp_path / "pages" / "data").glob("*.parquet")
    for row in pq.read_table(file).to_pylist():
        assert len(row["matched_text_index"]) == len(row["matched_similarity"]) == len(row["images"])
        for image, index in zip(row["images"], row["matched_text_index"], strict=True):
            assert (image is None) == (index is None)
            assert index is None or row["texts"][index]
    tuwen.release(corpus, "texts", tmp_path / "texts", format="webdataset")
    assert tuwen.verify(tmp_path / "texts") == []
    tuwen.release(corpus, "texts", tmp_path / "table", format="parquet")
    assert tuwen.verify(tmp_path / "table") == []
