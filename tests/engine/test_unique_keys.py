"""A key that stands twice is refused, wherever it stands; merged keys may be replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tuwen.engine.recipe import Recipe
from tuwen.engine.unique_keys import load_yaml
from tuwen.errors import UsageError
from tuwen.proof.claim import Claim
from tuwen.proof.recipe import TrainingRecipe


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "x: {a: 1, 'a': 2}", "- {b: 1}\n- {a: {c: 1, c: 1}}"])
def test_a_key_that_stands_twice_is_named_with_its_line(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key '[ac]' stands twice\s+in .* line \d"):
        load_yaml(text)


def test_everything_else_is_as_it_was() -> None:
    text = "base: &base {a: 1, b: [x, 2.5, null]}\nother: {<<: *base, a: 2}\nthird: {<<: *base}\n1: one\n'1': word"
    assert load_yaml(text) == yaml.safe_load(text)


def test_claims_and_recipes_are_read_by_it(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: one\nname: two\n")
    for kind in (Claim, Recipe, TrainingRecipe):
        with pytest.raises(UsageError, match=r"twice\.yaml .*the key 'name' stands twice"):
            kind.load(path)  # type: ignore[attr-defined]
