"""The documentation is what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
import yaml

from tuwen.corpus.tables import TABLES
from tuwen.engine.recipe import Recipe
from tuwen.parts import load_class, names_in
from tuwen.proof.claim import Claim
from tuwen.selections.selection import NUM_KEPT_IMAGES, UNITS, Selection, parse_selections
from tuwen.selections.steps import WITHIN

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "stages.md", "fetching.md", "claims.md"])
def test_generated_pages_are_up_to_date(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == generator().PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=str)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_verb_is_in_the_reference_and_the_readmes() -> None:
    from tuwen.cli import VERBS

    for page in ("README.md", "README.zh-CN.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for verb in VERBS:
            assert f"tuwen {verb}" in text, f"{page} does not mention {verb}"


def test_both_readmes_have_the_same_shape() -> None:
    def shape(page: str) -> list[str]:
        lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
        return [re.match(r"#+|```\w*", line)[0] for line in lines if re.match(r"#+ |```", line)]  # type: ignore[index]

    assert shape("README.md") == shape("README.zh-CN.md")


def test_commands_in_the_readmes_are_the_same() -> None:
    def commands(page: str) -> list[str]:
        blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
        return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]

    assert commands("README.md") == commands("README.zh-CN.md")


def test_recipes_on_the_page_about_fetching_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "fetching.md").read_text(encoding="utf-8"), re.S)
    recipes = [Recipe.from_mapping(yaml.safe_load(block)) for block in blocks]
    assert len(recipes) == 4 and sum(recipe.fetch is not None for recipe in recipes) == 3


def stages_named_in(text: str) -> list[str]:
    """Names in backticks that are those of stages by their form; parameters may follow, as they do in recipes."""
    groups = "|".join(sorted({name.partition(".")[0] for name in names_in("tuwen.stages") if "." in name}))
    return re.findall(rf"`((?:{groups})\.[a-z][\w.]*)(?::[^`]*)?`", text)


def test_stages_on_the_page_about_curation_exist() -> None:
    found = stages_named_in((ROOT / "docs" / "curation.md").read_text(encoding="utf-8"))
    assert len(found) >= 18
    assert sorted(set(found) - set(names_in("tuwen.stages"))) == []


def test_steps_on_the_page_about_curation_are_valid() -> None:
    text = (ROOT / "docs" / "curation.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    kinds = names_in("tuwen.selections.steps")
    rows = re.findall(r"^\| `([^`]+)` \|", text, re.M)
    blocks += [[yaml.safe_load(row)] for row in rows if row.partition(":")[0] in kinds]
    steps = [step for block in blocks for step in block]
    assert len(steps) >= 14
    stages = [load_class("tuwen.stages", name) for name in names_in("tuwen.stages")]
    written = {column for table in TABLES.values() for column in table.schema.names}
    for stage in stages:  # where what it writes depends on its parameters, they have defaults
        written.update((stage if isinstance(stage.writes, pa.Schema) else stage()).writes.names)
    for step in steps:
        read = Selection.from_mapping("page", {"unit": "pair", "steps": [step]}).reads()
        columns = {column.rpartition(".")[2] for column in read if not column.startswith(WITHIN)}
        assert sorted(columns - written) == [], step


@pytest.mark.parametrize("page", sorted((ROOT / "examples").glob("*-crawl.yaml")), ids=lambda page: page.stem)
def test_examples_judge_columns_that_their_stages_write(page: Path) -> None:
    recipe = Recipe.load(page)
    written = {(name, column) for name, table in TABLES.items() for column in table.schema.names}
    written |= {(stage.table, column) for stage in recipe.stages for column in stage.writes.names}
    written.add(("documents", NUM_KEPT_IMAGES))
    for selection in parse_selections(recipe.mapping["selections"]).values():
        columns = [column.rpartition(".") for column in selection.reads() if not column.startswith(WITHIN)]
        read = {(UNITS[unit] if unit else selection.table, column) for unit, _, column in columns}
        assert sorted(read - written) == [], selection.name


@pytest.mark.parametrize("path", sorted((ROOT / "claims").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_part_that_a_claim_calls_exact_has_a_test(path: Path) -> None:
    for name in Claim.load(path).exact:
        package, _, part = name.rpartition(".")
        written = load_class(f"tuwen.{package}", part).__name__
        tests = (ROOT / "tests" / package.replace(".", "/")).glob("test_*.py")
        assert any(written in test.read_text(encoding="utf-8") for test in tests), f"no test of {name}"
