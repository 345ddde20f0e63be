"""The documentation is what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "stages.md", "fetching.md"])
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
    import yaml

    from tuwen.engine.recipe import Recipe

    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "fetching.md").read_text(encoding="utf-8"), re.S)
    recipes = [Recipe.from_mapping(yaml.safe_load(block)) for block in blocks]
    assert len(recipes) == 4 and sum(recipe.fetch is not None for recipe in recipes) == 3
