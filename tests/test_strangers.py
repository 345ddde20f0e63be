"""A recipe, a corpus or a release from a stranger cannot run code, read the environment or send keys away."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tiny import Length, Pages, write_pages

from tuwen.cli import main as tuwen
from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.single import stage
from tuwen.errors import UsageError
from tuwen.models.chat_endpoint import ChatEndpoint
from tuwen.models.judge import Endpoint

MODULE = "from pathlib import Path\nPath('CANARY').touch()\n"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, which Python looks into: importing `trap` leaves a file behind."""
    canary = tmp_path / "was-here"
    (tmp_path / "trap.py").write_text(MODULE.replace("CANARY", str(canary)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return canary


PARTS = [
    "sources: [{'trap:Source': {}}]",
    "stages: ['trap:Stage']",
    "stages: [trap]",
    "stages: [..trap]",
    "stages: [text.../../trap]",
    "stages: ['text:trap']",
    "stages: [text.__init__]",
    "stages: [__init__]",
    "sources: [{trap: {}}]",
    "selections: {x: {unit: pair, steps: [{'trap:Step': {}}]}}",
    "selections: {x: {unit: pair, steps: [{trap: {}}]}}",
    "name: !!python/object/apply:os.system [touch was-here]",
    "name: !!python/name:trap.x",
    "stages: [!!python/module:trap {}]",
    "fetch: {select: '!!python/module:trap'}",
]


@pytest.mark.parametrize("text", PARTS)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_recipe_names_no_code(text: str, options: list[str], trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipe.yaml").write_text(text)
    assert tuwen(["build", "recipe.yaml", "--corpus", "corpus", *options]) == 2
    assert "Traceback" not in capsys.readouterr().err and not trap.exists()


RULES = [
    "getenv('HOME') is not null",
    "read_text('/etc/passwd') is not null",
    "text in (select content from read_text('/etc/passwd'))",
    "(select count(*) from 'recipe.yaml') > 0",
    "length > 1; copy pairs to 'was-here'",
    "query('select 1') is null",
    "current_setting('home_directory') = ''",
    "nextval('x') > 0",
    "text like (values ('x'))",
    "pragma_version() is null",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_reads_columns_and_nothing_else(rule: str, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = json.dumps([{"rule": rule}])
    Path("recipe.yaml").write_text(f"selections: {{x: {{unit: pair, steps: {steps}}}}}")
    assert tuwen(["build", "recipe.yaml", "--corpus", "corpus"]) == 2
    assert not trap.exists() and not Path("corpus").exists()


def corpus_of(folder: Path, **recipe: Any) -> Path:
    """A small corpus whose recipe was changed by hand."""
    (folder / "pages").mkdir()
    write_pages(folder / "pages", "a", range(3))
    sources = (NamedSource("pages", Pages(str(folder / "pages"))),)
    build(Recipe("t", sources, (Length(), stage("pair.resolve")), {"name": "t"}), folder / "corpus", quiet=True)
    (folder / "corpus" / "recipe.json").write_text(json.dumps(recipe))
    return folder / "corpus"


@pytest.mark.parametrize("verb", ["funnel", "release", "why", "status"])
def test_a_corpus_from_a_stranger_runs_nothing(verb: str, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(
        trap.parent,
        name="t",
        sources=[{"trap:Source": {}}],
        stages=["trap:Stage"],
        selections={"x": {"unit": "pair", "steps": [{"trap:Step": {}}]}},
    )
    pair = Corpus.open(corpus).table("pairs", ["pair_id"])["pair_id"][0].as_py()
    more = {"funnel": ["--selection", "x"], "release": ["--selection", "x", "--to", "out"], "why": [pair]}
    tuwen([verb, str(corpus), *more.get(verb, [])])
    assert "Traceback" not in capsys.readouterr().err and not trap.exists()


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_merging_with_a_corpus_from_a_stranger_runs_nothing(
    order: tuple[str, str], trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, stages in (("a", ["trap:Stage"]), ("b", [])):
        (trap.parent / name).mkdir()
        corpus_of(trap.parent / name, name="t", stages=stages).rename(name + ".corpus")
    one, two = (f"{name}.corpus" for name in order)
    assert tuwen(["merge", one, two, "--to", "both"]) == 2
    assert "--allow-code" in capsys.readouterr().err and not trap.exists() and not Path("both").exists()


def test_a_release_from_a_stranger_runs_nothing(trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(trap.parent, name="t", selections={"x": {"unit": "pair", "steps": [{"rule": "length > 1"}]}})
    assert tuwen(["release", str(corpus), "--selection", "x", "--to", "out", "--format", "ids"]) == 0
    manifest = json.loads(Path("out/manifest.json").read_text())
    manifest["writer"]["name"] = "trap:Writer"
    Path("out/manifest.json").write_text(json.dumps(manifest))
    assert tuwen(["verify", "out"]) == 1 and not trap.exists()


def test_a_key_goes_to_no_host_that_only_the_recipe_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc")
    endpoint = Endpoint("https://evil.test/v1", key_variable="AWS_SECRET_ACCESS_KEY")
    judge = ChatEndpoint("m", endpoint, 8)
    with pytest.raises(UsageError, match=re.escape("export AWS_SECRET_ACCESS_KEY_HOST=evil.test")):
        judge._headers()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY_HOST", "other.test")
    with pytest.raises(UsageError, match=r"meant for other\.test"):
        judge._headers()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY_HOST", "evil.test")
    assert judge._headers() == {"Authorization": "Bearer abc"}
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(UsageError, match=r"meant for api\.openai\.com"):
        ChatEndpoint("m", Endpoint("https://evil.test/v1"), 8)._headers()
    assert ChatEndpoint("m", Endpoint("https://api.openai.com/v1"), 8)._headers()
    assert ChatEndpoint("m", Endpoint("http://127.0.0.1:8000/v1"), 8)._headers()
