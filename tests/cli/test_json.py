"""docs/json.md says what `--json` prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuwen.cli import main

ROOT = Path(__file__).parents[2]
RECIPE = str(ROOT / "examples" / "docs-crawl.yaml")


def documented(section: str) -> set[str]:
    """First-column names of the table below `## tuwen SECTION`."""
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"## tuwen {re.escape(section)}\n(.*?)(?=\n## |\Z)", page, re.S)
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}  # first column only


def with_concepts(folder: Path, crawl: Path) -> Path:
    """The example's recipe with the stage `concepts.match`."""
    recipe = yaml.safe_load(Path(RECIPE).read_text(encoding="utf-8"))
    recipe["sources"] = [{"warc": {"paths": [str(crawl)]}}]
    recipe["stages"].append("concepts.match")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder / "recipe.yaml"


def test_every_key_is_documented(demo_crawl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = str(tmp_path / "corpus")

    def printed(*words: str) -> Any:
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    build = ("build", RECIPE, "--corpus", corpus, "--set", f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]")
    assert set(printed(*build, "--dry-run")) == documented("build --dry-run")
    assert set(printed(*build, "--workers", "1")) == documented("build")
    assert set(printed("status", corpus)) == documented("status")
    ids = tmp_path / "images.txt"
    ids.write_text("06d74199153db3826f45323a454f4cc5\n")
    assert set(printed("join", corpus, str(ids), "--on", "image_id", "--workers", "1")) == documented("join")
    for funnel in printed("funnel", corpus).values():
        assert set(funnel) == documented("funnel")
    assert set(printed("fetches", corpus, "--by", "language")) == documented("fetches")
    assert set(printed("mixture", corpus, "--selection", "strong")) == documented("mixture")
    assert set(printed("why", corpus, "06d74199")) == documented("why")
    assert main(["build", str(with_concepts(tmp_path, demo_crawl)), "--corpus", corpus, "--workers", "1"]) == 0
    capsys.readouterr()
    assert set(printed("concepts", corpus)) == documented("concepts")
    assert set(printed("export", corpus, "--out", str(tmp_path / "out"))) == documented("export")


def test_keys_of_what_changes_or_compares_corpora_are_documented(
    demo_crawl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*words: str, code: int = 0) -> Any:
        assert main([*words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    for name in "ab":
        build = ["build", RECIPE, "--corpus", str(tmp_path / name), "--workers", "1"]
        assert main([*build, "--set", f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"]) == 0
    a, out = str(tmp_path / "a"), str(tmp_path / "strong")
    assert main(["release", a, "--selection", "strong", "--to", out, "--format", "index"]) == 0
    capsys.readouterr()
    assert set(printed("merge", a, str(tmp_path / "b"), "--to", str(tmp_path / "c"))) == documented("merge")
    assert set(printed("gc", a, "--yes")) == documented("gc")
    image_id = "06d74199153db3826f45323a454f4cc5"
    patch = ("--releases", out, "--patch-to", str(tmp_path / "patch"))
    assert set(printed("takedown", a, "--image", image_id, *patch)) == documented("takedown")
    assert set(printed("diff", out, f"{a}:strong")) == documented("diff")
    assert set(printed("purge", a, "--dry-run")) < documented("purge")
    assert set(printed("purge", a, "--yes")) == documented("purge")
    assert set(printed("repair", a)) == documented("repair")
    assert set(printed("status", a, "--deep")) == documented("status") | {"findings"}
