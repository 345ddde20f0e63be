"""Robots directives as they are found on the web."""

from __future__ import annotations

import pytest

from tuwen.stages.robots import Directives, parse


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Directives()),
        ("index, follow", Directives()),
        ("noindex", Directives(noindex=True)),
        ("NOINDEX,NOFOLLOW", Directives(noindex=True)),
        ("none", Directives(noindex=True)),
        ("noai, noimageai", Directives(noai=True, noimageai=True)),
        ("noimageindex", Directives()),
        ("all; noai", Directives(noai=True)),
        ("robots: noindex", Directives(noindex=True)),
        ("googlebot: noindex", Directives()),
        ("googlebot: noindex, noai", Directives()),
        ("GPTBot: noindex, nofollow", Directives(refused_agents=frozenset({"gptbot"}))),
        ("ccbot: none, *: noai", Directives(noai=True, refused_agents=frozenset({"ccbot"}))),
        ("ccbot: follow", Directives()),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noindex", Directives(noindex=True)),
        ("max-snippet: 20, noai", Directives(noai=True)),
    ],
)
def test_parse(value: str, expected: Directives) -> None:
    assert parse(value) == expected


def test_union_is_the_strictest() -> None:
    assert Directives.union([]) is None
    both = Directives.union([parse("noindex"), parse("noai, ccbot: none")])
    assert both == Directives(noindex=True, noai=True, refused_agents=frozenset({"ccbot"}))
