from __future__ import annotations

import pytest

from tuwen.sources.extraction.page import extract
from tuwen.stages.reservations import Reserved
from tuwen.stages.robots import AI_AGENTS

URL = "http://a.test/x/"


def test_headers() -> None:
    headers = {
        "x-robots-tag": "noai, noimageai",
        "tdm-reservation": "1",
        "tdm-policy": "https://a.test/policy.json",
        "content-usage": "train-ai=n",
        "link": '</style.css>; rel=preload, <https://a.test/licence>; rel="license"',
    }
    page = extract(b"<p>x", URL, headers=headers)
    assert page.rights == [
        ("x_robots_tag", "noai, noimageai"),
        ("tdm_reservation", "1"),
        ("tdm_policy", "https://a.test/policy.json"),
        ("content_usage", "train-ai=n"),
        ("link_header_license", "https://a.test/licence"),
    ]
    assert page.license == "https://a.test/licence"


def test_meta() -> None:
    page = extract(
        b"<meta name=Robots content='noindex, noai'><meta name=GPTBot content=noindex>"
        b"<meta name=tdm-reservation content=1><meta name=DC.rights content='All rights reserved'>"
        b"<meta name=copyright content='(c) A'><meta name=viewport content=x><meta name=robots>",
        URL,
    )
    assert page.rights == [
        ("meta_robots", "noindex, noai"),
        ("meta_robots", "gptbot: noindex"),
        ("tdm_reservation", "1"),
        ("meta_rights", "All rights reserved"),
        ("meta_copyright", "(c) A"),
    ]
    assert page.license is None


@pytest.mark.parametrize("name", sorted(AI_AGENTS))
def test_whoever_is_looked_for_by_name_is_recorded(name: str) -> None:
    page = extract(f"<meta name={name.upper()} content=noai>".encode(), URL)
    assert page.rights == [("meta_robots", f"{name}: noai")]
    assert Reserved.of([{"kind": kind, "value": value} for kind, value in page.rights]).refused_agents == (name,)


@pytest.mark.parametrize(
    ("name", "content", "is_told"),
    [
        ("tuwen", "noindex", True),
        ("Some.Crawler-2", "NoAI; noimageai, max-snippet: -1", True),
        ("tuwen", "none", True),
        ("tuwen", "all, max-snippet:-1", False),
        ("description", "why noindex is not enough", False),
        ("keywords", "noindex, seo, nofollow", False),
        ("google", "notranslate", False),
        ("referrer", "none", False),
        ("two words", "noindex", False),
        ("tuwen", "noindex, " * 1000, False),
    ],
)
def test_directives_are_recorded_whoever_they_are_told_to(name: str, content: str, is_told: bool) -> None:
    page = extract(f'<meta name="{name}" content="{content}">'.encode(), URL)
    assert page.rights == ([("meta_robots", f"{name.lower()}: {content}")] if is_told else [])


def test_links() -> None:
    by = "https://creativecommons.org/licenses/by/4.0/"
    page = extract(
        f"<a href={by}>CC</a> <a href={by}>again</a> <a rel='nofollow license' href=../l>l</a>".encode(), URL
    )
    assert page.rights == [("creative_commons", by), ("rel_license", "http://a.test/l")]
    assert page.license == "http://a.test/l"
    assert extract(f"<a href={by}>CC</a><a href=http://creativecommons.org>x</a>".encode(), URL).license == by
    assert extract(b"<link rel=license href=/l>", URL).license == "http://a.test/l"


def test_json_ld() -> None:
    page = extract(
        b"""<script type="application/ld+json">{"@graph": [{"@type": "ImageObject", "license": "https://l.test/1",
        "copyrightNotice": "A \\ud800", "image": {"license": [{"@id": "https://l.test/2"}, 3, null]}}]}</script>""",
        URL,
    )
    assert page.rights == [
        ("json_ld_license", "https://l.test/1"),
        ("json_ld_copyright_notice", "A ?"),
        ("json_ld_license", "https://l.test/2"),
    ]
    assert page.license == "https://l.test/1"


def test_json_ld_that_is_broken_or_deep_or_huge() -> None:
    for text in ('{"license": ', '{"license": 1}', '{"license":' + "[" * 100_000, '{"license": "x"}' + " " * 300_000):
        assert extract(f"<script type=application/ld+json>{text}</script><p>x".encode(), URL).rights == []


def test_evidence_is_bounded() -> None:
    links = "".join(f"<a rel=license href=/{number}>l</a>" for number in range(1000))
    page = extract((links + f"<meta name=robots content='{'x' * 9000}'>").encode(), URL)
    assert len(page.rights) == 64
