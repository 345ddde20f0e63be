"""What the server of an image says about its use."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tuwen.corpus.tables import EVIDENCE
from tuwen.stages.pair.opt_out import OptOut


def opt_out(*evidence: tuple[str, str]) -> dict[str, object]:
    rights = pa.array([[{"kind": kind, "value": value} for kind, value in evidence]], pa.list_(EVIDENCE))
    (row,) = OptOut()(pa.record_batch({"image_rights": rights})).to_pylist()
    return {name.removeprefix("image_"): value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("noai, noimageai", (False, True, True, [])),
        ("gptbot: noindex, nofollow", (False, False, False, ["gptbot"])),
        ("max-image-preview: large", (False, False, False, [])),
    ],
)
def test_robots_tags(tag: str, expected: tuple[object, ...]) -> None:
    found = opt_out(("x_robots_tag", tag))
    assert tuple(found.values()) == expected
    assert list(found) == ["noindex", "noai", "noimageai", "refused_agents"]


def test_agents_that_only_robots_txt_names_are_among_those_refused() -> None:
    assert opt_out(("robots_txt", "allowed"), ("robots_txt_ai", "ccbot, gptbot")) == {
        "refused_agents": ["ccbot", "gptbot"],
        "robots_disallowed": False,
    }
    both = opt_out(("x_robots_tag", "ccbot: none, claudebot: noai"), ("robots_txt_ai", "gptbot, ccbot"))
    assert both["refused_agents"] == ["ccbot", "claudebot", "gptbot"]


def test_nothing_checked_and_nothing_found_say_nothing() -> None:
    rights = pa.array([None, []], pa.list_(EVIDENCE))
    rows = OptOut()(pa.record_batch({"image_rights": rights})).to_pylist()
    assert all(value is None for row in rows for value in row.values())
    assert opt_out(("tdmrep_json", "none"), ("ai_txt", "none"), ("content_usage", "search=y")) == {}


@pytest.mark.parametrize(
    ("kind", "value", "column", "expected"),
    [
        ("tdm_reservation", "1", "tdm_reserved", True),
        ("tdm_reservation", "0", "tdm_reserved", False),
        ("tdmrep_json", "reserved", "tdm_reserved", True),
        ("tdmrep_json", "not_reserved", "tdm_reserved", False),
        ("content_usage", "train-ai=n", "train_ai_refused", True),
        ("content_usage", "train-genai=y", "train_ai_refused", False),
        ("robots_txt", "disallowed", "robots_disallowed", True),
        ("robots_txt", "unreachable", "robots_disallowed", True),
        ("robots_txt", "allowed", "robots_disallowed", False),
        ("robots_txt", "none", "robots_disallowed", False),
        ("ai_txt", "refused", "ai_txt_refused", True),
        ("ai_txt", "allowed", "ai_txt_refused", False),
    ],
)
def test_site_files_and_headers(kind: str, value: str, column: str, expected: bool) -> None:
    assert opt_out((kind, value)) == {column: expected}
