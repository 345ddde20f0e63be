"""Definitions of selections: what recipes may say, and that it comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

from tuwen.errors import UsageError
from tuwen.selections.selection import Selection, parse_selections

RECIPE: dict[str, Any] = {
    "figures": {
        "unit": "image",
        "description": "What is large enough to see.",
        "steps": [
            {"rule": "decode_error is null"},
            {"rule": {"where": "width >= 64 and height >= 64", "name": "large enough"}},
            {"representative": {"of": "phash", "by": ["width desc"]}},
        ],
    },
    "strong": {
        "unit": "pair",
        "steps": [
            {"within": "figures"},
            {"best": {"k": 1, "per": "image_id", "by": ["score desc"]}},
            {"quota": {"per": "language", "at_most": 1000}},
            {"balance": {"of": "concepts", "t": 20}},
            {"sample": {"share": 0.5, "seed": 3}},
        ],
    },
    "interleaved": {"unit": "document", "images": "figures", "steps": [{"rule": "num_kept_images > 0"}]},
    "all": {"unit": "pair"},
}


def test_definitions_come_back() -> None:
    selections = parse_selections(RECIPE)
    assert parse_selections({name: each.to_mapping() for name, each in selections.items()}) == selections
    assert selections["strong"].others() == ("figures",) and selections["interleaved"].others() == ("figures",)
    assert selections["strong"].reads() == ("within:figures", "image_id", "score", "language", "concepts")
    names = [step.name for step in selections["figures"].steps]
    assert names == ["decode_error is null", "large enough", "representative of phash by width desc"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"x": {"unit": "pairs"}}, "must be one of pair, image, document"),
        ({"x": {"steps": []}}, "unit must be one of"),
        ({"x": {"unit": "pair", "step": []}}, "did you mean 'steps'?"),
        ({"x": {"unit": "pair", "steps": {"rule": "a"}}}, "must be a list"),
        ({"x": {"unit": "pair", "images": "figures"}}, "for selections of documents"),
        ({"x": {"unit": "document", "images": "strong"}}, "must name a selection of images"),
        ({"x": {"unit": "pair", "steps": [{"within": "figure"}]}}, "did you mean 'figures'?"),
        ({"x": {"unit": "pair", "steps": [{"within": "x"}]}}, "x → x"),
        (
            {"x": {"unit": "pair", "steps": [{"within": "y"}]}, "y": {"unit": "pair", "steps": [{"within": "x"}]}},
            "circle",
        ),
        ({"../x": {"unit": "pair"}}, "a name is made of"),
        ({"": {"unit": "pair"}}, "a name is made of"),
        ({"x": "pair"}, "must be a mapping"),
        ({"x": {"unit": "pair", "steps": [{"os:system": "ls"}]}}, "--allow-code"),
        ({"x": {"unit": "pair", "steps": [{"rule": {"where": "a", "name": 3}}]}}, "name must be a text"),
    ],
)
def test_wrong_definitions_are_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_selections({**RECIPE, **changed})
    assert named in str(caught.value)


def test_names_of_any_script() -> None:
    assert Selection.from_mapping("强", {"unit": "pair"}).name == "强"
