"""`tuwen join` and `tuwen release --format ids` as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tuwen.cli import main
from tuwen.corpus.corpus import Corpus

RECIPE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"


@pytest.fixture(scope="module")
def corpus(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("cli-join") / "corpus")
    sources = f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"
    assert main(["build", str(RECIPE), "--corpus", folder, "--set", sources, "--workers", "1", "--json"]) == 0
    return folder


def test_scores_come_in_are_listed_and_go(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = Corpus.open(corpus).table("pairs", ["pair_id"])["pair_id"].to_pylist()
    file = tmp_path / "my scores.csv"
    file.write_text("pair_id,score\n" + "".join(f"{key},{n}\n" for n, key in enumerate(ids[:100])) + "unknown,1\n")
    words = ["join", corpus, str(file), "--on", "pair_id", "--workers", "1", "--as", "scores"]
    capsys.readouterr()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "join.scores: score, on pairs.pair_id" in out
    assert "100 of 101 keys of the file are in the corpus; not: unknown" in out
    assert f"100 of {len(ids)} pairs have values" in out
    assert main(words) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["status", corpus]) == 0
    assert "join.scores: score, on pairs.pair_id; 101 keys from my scores.csv" in capsys.readouterr().out
    assert main(["why", corpus, ids[0]]) == 0
    assert "join.scores" in capsys.readouterr().out
    assert main(["join", corpus, "--drop", "scores", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"dropped": "scores", "columns": ["score"]}
    assert main(["join", corpus, "--drop", "scores"]) == 2
    assert "no join 'scores'" in capsys.readouterr().err


def test_ids_go_out_and_come_back(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "ids")
    release = ["release", corpus, "--selection", "figures", "--to", out, "--format", "ids", "--set", "kind=npy"]
    assert main(release) == 0 and main(["verify", out]) == 0
    capsys.readouterr()
    file = f"{out}/data/00000.npy"
    words = ["join", corpus, file, "--on", "image_id", "--as", "figures_ids", "--workers", "1"]
    assert main([*words, "--json"]) == 0
    joined = json.loads(capsys.readouterr().out)
    assert joined["num_matched"] == joined["num_rows"] == 256 and joined["columns"] == ["figures_ids"]
    assert main(["join", corpus, "--drop", "figures_ids"]) == 0


def test_drop_names_the_selections_that_lose_a_column(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = Corpus.open(corpus).table("pairs", ["pair_id"])["pair_id"].to_pylist()
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    (tmp_path / "mine.txt").write_text("\n".join(ids[:9]))
    capsys.readouterr()
    assert main(["join", str(copy), str(tmp_path / "mine.txt"), "--on", "pair_id", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert f"  9 of {len(ids)} pairs have values\n" in out and "not:" not in out  # a list names the rows that it means
    recipe = Corpus.open(copy).recipe()
    recipe["selections"]["chosen"] = {"unit": "pair", "steps": [{"rule": "mine"}]}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["build", str(tmp_path / "r.yaml"), "--corpus", str(copy), "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["join", str(copy), "--drop", "mine"]) == 0
    assert "  chosen: this selection reads a column that is not there" in capsys.readouterr().out
    assert main(["build", str(tmp_path / "r.yaml"), "--corpus", str(copy), "--workers", "1"]) == 2
    assert "comes back with tuwen join" in capsys.readouterr().err
    assert main(["join", str(copy), "--drop", "../corpus"]) == 2
    assert (copy / "corpus.json").exists() and "a join's name" in capsys.readouterr().err


def test_exit_codes(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("nothing-of-the-kind\n")
    assert main(["join", corpus, str(file), "--on", "image_id", "--workers", "1"]) == 1
    assert "'nothing-of-the-kind'" in capsys.readouterr().err
    assert main(["join", corpus, str(file)]) == 2
    assert main(["join", corpus, str(file), "--drop", "ids"]) == 2
    assert main(["join", corpus, str(file), "--on", "image"]) == 2
    assert "did you mean 'image_" in capsys.readouterr().err
