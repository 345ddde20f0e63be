"""Recipes are validated whole; overrides reach every place; strangers' recipes run no code and hold no secrets."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tuwen.engine.recipe import Recipe, override_value
from tuwen.errors import UsageError


def recipe() -> dict[str, Any]:
    return {
        "name": "r",
        "sources": [{"warc": {"paths": ["a.warc.gz"]}, "as": "first"}, {"html": {"folder": "pages"}}],
        "stages": ["text.properties", {"pair.tier": {"icon_side": 10}}],
        "selections": {"s": {"unit": "pair", "steps": [{"rule": "num_characters > 3"}]}},
    }


def test_names_become_parts() -> None:
    loaded = Recipe.from_mapping(recipe())
    assert [source.name for source in loaded.sources] == ["first", "html"]
    assert [type(stage).__name__ for stage in loaded.stages] == ["Properties", "Tier"]


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("name=other", ["name"], "other"),
        ("sources.0.warc.paths=[b, c]", ["sources", 0, "warc", "paths"], ["b", "c"]),
        ("sources.warc.paths.0=z", ["sources", 0, "warc", "paths", 0], "z"),
        ("stages.pair.tier.icon_side=7", ["stages", 1, "pair.tier", "icon_side"], 7),
        ("stages.text.properties.x=1", ["stages", 0, "text.properties", "x"], 1),
        ("selections.s.steps.0.rule=a = 1", ["selections", "s", "steps", 0, "rule"], "a = 1"),
        ("selections.t={unit: image, steps: []}", ["selections", "t"], {"unit": "image", "steps": []}),
        ("stages=[]", ["stages"], []),
    ],
)
def test_overrides_reach_every_place(override: str, path: list[Any], value: object) -> None:
    mapping = recipe()
    override_value(mapping, override)
    found: Any = mapping
    for key in path:
        found = found[key]
    assert found == value


@pytest.mark.parametrize("override", ["x", "=1", "sources.9.warc=1", "stages.no.such.thing=1", "name=[", "a.b=1"])
def test_overrides_that_lead_nowhere_are_refused(override: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        override_value(recipe(), override)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stagess": []}, "unknown key 'stagess'"),
        ({"stages": {"a": 1}}, "must be a list"),
        ({"stages": ["text.properties", "text.properties"]}, "listed twice"),
        ({"stages": [{"a": 1, "b": 2}]}, "expected `name`"),
        ({"stages": ["os:system"]}, "--allow-code"),
        ({"stages": ["text.propertis"]}, "did you mean 'text.properties'"),
        ({"sources": [{"warc": {"paths": ["a"]}}, {"warc": {"paths": ["b"]}}]}, "two are called 'warc'"),
        ({"sources": [{"warc": {"paths": ["a"], "api_key": "x"}}]}, "secrets"),
        ({"selections": {"s": {"unit": "pear", "steps": []}}}, "pear"),
        ({"selections": {"s": {"unit": "pair", "steps": [{"rule": "read_csv('x')"}]}}}, "read_csv"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.from_mapping({**recipe(), **change})


def test_yaml_tags_run_nothing(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.system ['touch " + str(tmp_path / "ran") + "']")
    with pytest.raises(UsageError, match="not valid YAML"):
        Recipe.load(path)
    assert not (tmp_path / "ran").exists()


PLAIN = st.none() | st.booleans() | st.integers() | st.text()
KEYS = st.sampled_from(["name", "sources", "stages", "selections", "unit", "steps", "rule", "warc", "as"])
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner))


@given(VALUES)
def test_any_yaml_value_is_a_recipe_or_a_usage_error(value: Any) -> None:
    mapping = yaml.safe_load(yaml.safe_dump({"stages": value, "sources": value, "selections": value}))
    with contextlib.suppress(UsageError):
        Recipe.from_mapping(mapping)
