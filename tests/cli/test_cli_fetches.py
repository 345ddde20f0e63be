"""`tuwen fetches` as it is typed: on the shipped crawl, whose 378 images and 75 other image URLs are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuwen.cli import main

RECIPE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"


@pytest.fixture(scope="module")
def corpus(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("cli-fetches") / "corpus")
    sources = f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"
    stages = "stages=[pair.resolve, document.language, text.language]"
    words = ["build", str(RECIPE), "--corpus", folder, "--set", sources, "--set", stages, "--set", "selections={}"]
    assert main([*words, "--workers", "1", "--json"]) == 0
    return folder


def test_classes_hosts_and_survivorship_are_shown(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["fetches", corpus, "--by", "language", "--by", "host = 'emoji.test'", "--hosts", "1"]) == 0
    out = capsys.readouterr().out
    for words in ("http_404", "Not found.", "skimage.test", "top-level domain", "language", "5,570", "100.0 %"):
        assert words in out
    assert "kicad-en.test" not in out, "one host was asked for"


def test_json_holds_the_same(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["fetches", corpus, "--by", "year", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["class"]: row["num_urls"] for row in found["classes"]}["ok"] == 378
    assert found["num_pending"] == 0 and found["findings"] == []
    assert found["survivorship"][0]["num_pairs"] == found["survivorship"][0]["num_obtained"] == 5570


def test_the_urls_of_a_class_can_be_had(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["fetches", corpus, "--json"]) == 0
    counts = {row["class"]: row["num_urls"] for row in json.loads(capsys.readouterr().out)["classes"]}
    assert main(["fetches", corpus, "--class", "http_404"]) == 0
    urls = capsys.readouterr().out.splitlines()
    assert len(urls) == counts["http_404"] > 0 and urls == sorted(urls)
    assert all(url.startswith("http") for url in urls)
    assert main(["fetches", corpus, "--class", "http_404", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == urls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--class", "http_40"], "no class 'http_40'"),
        (["--by", "langage"], "did you mean 'language'"),
        (["--by", "image.width"], "--by: no column"),
        (["--by", "1 +"], "cannot read"),
    ],
)
def test_errors_say_what_can_be_asked(
    corpus: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetches", corpus, *words]) == 2
    assert message in capsys.readouterr().err
