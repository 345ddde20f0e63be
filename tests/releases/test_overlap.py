"""A release says what was compared with benchmarks, and can be required to be clean of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

import tuwen
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.manifest import read_manifest

PAGE = """<html><body><h1>Two pictures</h1>
<figure><img src="data:image/png;base64,{0}">
<figcaption>How many red foxes are there in this picture</figcaption></figure>
<p>A text between the two pictures.</p>
<figure><img src="data:image/png;base64,{1}">
<figcaption>Something else that is shown here</figcaption></figure></body></html>"""


def built(folder: Path, with_stages: bool = True) -> tuwen.Corpus:
    import base64

    from tests.stages.overlap.test_images import encoded, photo

    for name in ("pages", "mmbench"):
        (folder / name).mkdir(parents=True)
    pictures = [base64.b64encode(encoded(photo(seed))).decode() for seed in (1, 2)]
    (folder / "pages" / "a.html").write_text(PAGE.format(*pictures))
    (folder / "mmbench" / "questions.txt").write_text("How many red foxes are there in this picture?\n")
    Image.Image.save(photo(2).resize((120, 90)), folder / "mmbench" / "q.png")
    overlap = [{f"overlap.{name}": {"folder": str(folder / "mmbench")}} for name in ("images", "texts", "documents")]
    rules = ["image.evaluation_image is null", "evaluation_text is null"]
    recipe = {
        "name": "foxes",
        "sources": [{"html": {"folder": str(folder / "pages"), "base_url": "https://a.test/"}}],
        "stages": ["pair.resolve", "document.resolve", *(overlap if with_stages else [])],
        "selections": {
            "all": {"unit": "pair", "steps": [{"rule": "text_source = 'caption'"}]},
            "images": {"unit": "image", "steps": [{"rule": "image_id is not null"}]},
            "documents": {"unit": "document", "steps": [{"rule": "url is not null"}]},
        },
    }
    if with_stages:
        recipe["selections"]["clean"] = {"unit": "pair", "steps": [{"rule": rule} for rule in rules]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tuwen.build(folder / "recipe.yaml", folder / "corpus")
    return tuwen.open(folder / "corpus")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return built(tmp_path_factory.mktemp("overlap"))


def test_the_card_says_what_overlaps(corpus, tmp_path):
    tuwen.release(corpus, "all", tmp_path / "out", format="index")
    assert tuwen.verify(tmp_path / "out") == []
    images, texts = read_manifest(tmp_path / "out").counts["overlap"]
    assert images == {
        **{"what": "images", "folder": "mmbench", "num_items": 1, "released": 2, "checked": 2, "overlapping": 1}
    }
    assert (texts["num_items"], texts["released"], texts["overlapping"]) == (1, 2, 1)
    for name in ("README.md", "datasheet.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "images: 2 of 2 were compared with the 1 items of the benchmarks in 'mmbench'; 1 overlap." in text
    assert str(tmp_path.parent) not in (tmp_path / "out" / "recipe.json").read_text()


@pytest.mark.parametrize("selection", ["all", "images", "documents"])
def test_what_overlaps_is_refused(corpus, tmp_path, selection):
    format = "documents" if selection == "documents" else "index"
    with pytest.raises(TuwenError, match=r"1 overlap\. .* is in 'q(uestions\.txt|\.png)'; add `- rule: .*is null and"):
        tuwen.release(corpus, selection, tmp_path / "out", format=format, require_clean=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_clean_is_released(corpus, tmp_path):
    for name in ("a", "b"):
        tuwen.release(corpus, "clean", tmp_path / name, format="index", require_clean=True)
        assert tuwen.verify(tmp_path / name) == []
    assert {entry["overlapping"] for entry in read_manifest(tmp_path / "a").counts["overlap"]} == {0}
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_what_was_not_checked_is_said_and_refused(tmp_path):
    corpus = built(tmp_path / "in", with_stages=False)
    tuwen.release(corpus, "all", tmp_path / "out", format="index")
    assert "images: not checked against any benchmark" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(UsageError, match=r"compared with no benchmark; add `overlap\.images: {folder: BENCHMARKS}`"):
        tuwen.release(corpus, "all", tmp_path / "again", format="index", require_clean=True)
