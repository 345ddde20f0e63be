"""Tier evidence of the pairs that one meets on real pages."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.stages.pair.tier import Tier

FIGURE = {
    "text_source": "caption",
    "num_words": 9,
    "repetition": 0.0,
    "looks_like_filename": False,
    "looks_like_url": False,
    "looks_like_boilerplate": False,
    "text_distance": 0,
    "in_main": True,
    "document.main_characters": 4000,
    "document.main_share": 1.0,
    "image.width": 640,
    "image.height": 480,
    "image.host_pages": 1,
    "image.host_share": 0.01,
}
TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int32(), float: pa.float32()}


def tier(**changes: Any) -> dict[str, float | None]:
    row = {**FIGURE, **{name.replace("__", "."): value for name, value in changes.items()}}
    arrays = [pa.array([row[name]], TYPES[type(FIGURE[name])]) for name in Tier.reads]
    found: dict[str, float | None] = Tier()(pa.record_batch(arrays, names=list(Tier.reads))).to_pylist()[0]
    return found


def test_a_captioned_figure_in_an_article_has_everything() -> None:
    assert tier() == dict.fromkeys(Tier.writes.names, 1.0)


@pytest.mark.parametrize(
    ("changes", "part", "value"),
    [
        ({"text_source": "alt"}, "tier_source", 0.9),
        ({"num_words": 3}, "tier_text", 0.5),
        ({"repetition": 0.75}, "tier_text", 0.25),
        ({"text_distance": 4}, "tier_place", 0.25),
        ({"in_main": False}, "tier_place", 0.2),
        ({"document__main_characters": 500}, "tier_page", 0.5),
        ({"document__main_share": 0.3}, "tier_page", 0.3),
        ({"image__height": 116}, "tier_image", 0.5),
        ({"image__host_pages": 12, "image__host_share": 0.9}, "tier_image", 0.1),
    ],
)
def test_each_part_lowers_the_whole(changes: dict[str, Any], part: str, value: float) -> None:
    found = tier(**changes)
    assert found[part] == pytest.approx(value)
    assert found["editorial"] == pytest.approx(value**0.2, rel=1e-6)
    assert all(found[name] == 1 for name in Tier.writes.names if name not in (part, "editorial"))


@pytest.mark.parametrize(
    "changes",
    [
        {"looks_like_filename": True},
        {"looks_like_url": True},
        {"looks_like_boilerplate": True},
        {"image__width": 32},
        {"document__main_characters": 0, "document__main_share": None},
        {"num_words": 0},
    ],
)
def test_what_no_editor_writes_is_zero(changes: dict[str, Any]) -> None:
    assert tier(**changes)["editorial"] == 0


def test_unknown_is_not_zero() -> None:
    assert tier(image__width=None)["editorial"] is None
    assert tier(text_source="generated:template")["tier_source"] is None
    assert tier(text_distance=None, text_source="page_title")["tier_place"] == 1


def test_parameters_are_checked() -> None:
    with pytest.raises(UsageError, match="icon_side below figure_side"):
        load("tuwen.stages", "pair.tier", {"icon_side": 300})
