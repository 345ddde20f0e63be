"""The command line: exit codes, errors that say what to do, JSON that parses, and nothing imported in vain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tuwen.cli import VERBS, main, verb_module

RECIPE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"


@pytest.fixture(scope="module")
def corpus(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "corpus"
    sources = f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"
    assert main(["build", str(RECIPE), "--corpus", str(folder), "--set", sources, "--workers", "1", "--json"]) == 0
    return folder


def test_every_verb_is_a_module() -> None:
    for name in VERBS:
        module = verb_module(name)
        assert callable(module.run) and callable(module.add_arguments)


def test_a_second_build_says_that_there_is_nothing_to_do(
    corpus: Path, demo_crawl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"
    words = ["build", str(RECIPE), "--corpus", str(corpus), "--set", sources]
    assert main([*words, "--dry-run"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main([*words, "--workers", "1"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_dry_run_prints_plan_reason_and_bytes(
    corpus: Path, demo_crawl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"
    words = ["build", str(RECIPE), "--corpus", str(corpus), "--set", sources, "--set", "stages.pair.tier.icon_side=16"]
    assert main([*words, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    (step,) = plan["steps"]
    assert step["stage"] == "pair.tier" and step["num_rows"] == 5570 and step["num_bytes"] > 0
    assert step["reasons"] == ["icon_side changed from 32 to 16"]
    assert main([*words, "--dry-run"]) == 0
    assert "icon_side changed" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["status"], ["funnel"], ["funnel", "--selection", "strong"], ["why"]])
def test_json_parses_and_text_prints(corpus: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    verb, *options = words
    options += ["06d74199"] if verb == "why" else []
    assert main([verb, str(corpus), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main([verb, str(corpus), *options]) == 0
    assert capsys.readouterr().out.strip()


def test_release_verify_export_import(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    words = ["release", str(corpus), "--selection", "strong", "--to", out, "--set", "samples_per_shard=100"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["images"] == 248
    assert len(list((tmp_path / "out" / "data").glob("*.tar"))) == 3
    assert main(["verify", out]) == 0
    shard = tmp_path / "out" / "data" / "00001.tar"
    shard.write_bytes(shard.read_bytes()[:-700])
    capsys.readouterr()
    assert main(["verify", out, "--json"]) == 1
    assert any(problem["file"] == "data/00001.tar" for problem in json.loads(capsys.readouterr().out))
    assert main(["export", str(corpus), "--out", str(tmp_path / "parquet")]) == 0
    assert main(["import", str(tmp_path / "parquet"), "--corpus", str(tmp_path / "again")]) == 0
    capsys.readouterr()
    assert main(["funnel", str(corpus), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["funnel", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["status", "{tmp}/nothing"], 2, "tuwen build RECIPE"),
        (["why", "{corpus}", "zz"], 2, "is no id"),
        (["why", "{corpus}", "ffffffffffff"], 2, "no image, pair or document"),
        (["funnel", "{corpus}", "--selection", "stong"], 2, "did you mean 'strong'"),
        (["release", "{corpus}", "--selection", "strong", "--to", "{corpus}"], 2, "{corpus}"),
        (["release", "{corpus}", "--selection", "strong", "--to", "{tmp}/o", "--format", "zip"], 2, "unknown name"),
        (["release", "{corpus}", "--selection", "strong", "--to", "{tmp}/o", "--set", "x"], 2, "NAME=VALUE"),
        (["build", "{tmp}/none.yaml", "--corpus", "{tmp}/c"], 2, "cannot read recipe"),
        (["build", "{recipe}", "--corpus", "{tmp}/c", "--set", "stages.pair.tier.icon=1"], 2, "icon_side"),
        (["build", "{recipe}", "--corpus", "{tmp}/c", "--set", "nothing"], 2, "path=value"),
        (["build", "{recipe}", "--corpus", "{tmp}/c", "--set", "sources=[{{warc: {{paths: [n/*.gz]}}}}]"], 2, "n/*.gz"),
        (["build", "{recipe}", "--corpus", "{tmp}/c", "--set", "stages=[evil:Stage]"], 2, "--allow-code"),
        (["build", "{recipe}", "--corpus", "{tmp}/c", "--set", "name={{password: x}}"], 2, "secrets"),
        (["import", "{tmp}", "--corpus", "{tmp}/c"], 2, "no complete export"),
    ],
)  # fmt: skip
def test_errors_name_value_and_next_step(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    names = {"corpus": str(corpus), "tmp": str(tmp_path), "recipe": str(RECIPE)}
    assert main([word.format(**names) for word in words]) == code
    error = capsys.readouterr().err
    assert error.startswith("tuwen: ") and message.format(**names) in error
    assert not (tmp_path / "c").exists()


def test_a_folder_that_is_no_release_has_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "manifest.json" in told and told.endswith(": 1 problem\n")


def test_wrong_words_exit_with_two() -> None:
    for words in ([], ["fly"], ["build"], ["status", "x", "--colour"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2


def test_train_says_what_it_can_train(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert "name what to train: RECIPE.yaml, scorer or head" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["prove", "claims/smoke.yaml"], ["train", "recipe.yaml"]])
def test_without_the_extra_the_command_is_told(words: list[str]) -> None:
    code = f"import sys; sys.modules['torch'] = None; from tuwen.cli import main; sys.exit(main({words}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "tuwen: torch is not installed; run: pip install 'tuwen[proof]'\n"


def test_ctrl_c_before_anything_has_begun_shows_no_code() -> None:
    code = (
        "import tuwen.cli\ndef stop(verbs): raise KeyboardInterrupt\ntuwen.cli.make_parser = stop\ntuwen.cli.script()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
