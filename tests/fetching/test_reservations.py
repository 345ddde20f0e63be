"""What counts as a reservation, and that only what is obeyed refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.fetching.reservations import headers_evidence, refusal
from tuwen.fetching.settings import OBEYED, Fetch, Reservation


def settings(*obey: Reservation) -> Fetch:
    return Fetch(contact="https://a.test/bot", obey=obey)


def test_headers_evidence() -> None:
    headers = {
        "content-type": "image/png",
        "x-robots-tag": "noai,  noimageai",
        "tdm-reservation": "1",
        "tdm-policy": "https://a.test/policy.json",
        "content-usage": "train-ai=n",
    }
    assert headers_evidence(headers) == [
        ("x_robots_tag", "noai, noimageai"),
        ("tdm_reservation", "1"),
        ("tdm_policy", "https://a.test/policy.json"),
        ("content_usage", "train-ai=n"),
    ]
    assert headers_evidence({"content-type": "image/png"}) == []


@pytest.mark.parametrize(
    ("kind", "value", "obeyed"),
    [
        ("x_robots_tag", "noindex", "noindex"),
        ("x_robots_tag", "None", "noindex"),
        ("x_robots_tag", "noimageindex", "noindex"),
        ("x_robots_tag", "nofollow, *: noindex", "noindex"),
        ("meta_robots", "noindex, nofollow", "noindex"),
        ("x_robots_tag", "noai", "noai"),
        ("x_robots_tag", "NoImageAI", "noai"),
        ("x_robots_tag", "gptbot: noindex", "agents"),
        ("x_robots_tag", "img2dataset: none", "agents"),
        ("x_robots_tag", "Tuwen: noai", "agents"),
        ("x_robots_tag", "ccbot: noimageindex", "agents"),
        ("meta_robots", "tuwen: noindex", "agents"),
        ("x_robots_tag", "googlebot: nofollow, tuwen: noimageindex", "agents"),
        ("tdm_reservation", "1", "tdm"),
        ("tdmrep_json", "reserved", "tdm"),
        ("content_usage", "train-ai=n", "content_usage"),
        ("content_usage", "search=y, train-genai=n", "content_usage"),
        ("content_usage", "bots=n", "content_usage"),
        ("ai_txt", "refused", "ai_txt"),
    ],
)
def test_refusal_by_what_is_obeyed(kind: str, value: str, obeyed: Reservation) -> None:
    evidence = [("robots_txt", "allowed"), (kind, value)]
    assert refusal(evidence, settings(*OBEYED)) == "opted_out"
    assert refusal(evidence, settings(obeyed)) == "opted_out"
    assert refusal(evidence, settings(*(name for name in OBEYED if name != obeyed))) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("x_robots_tag", "index, follow"),
        ("x_robots_tag", "googlebot: noindex"),
        ("x_robots_tag", "tuwenbot: noindex"),
        ("x_robots_tag", "tuwen: nofollow"),
        ("x_robots_tag", "unavailable_after: 25 Jun 2010 15:00:00 PST"),
        ("tdm_reservation", "0"),
        ("tdm_policy", "https://a.test/policy.json"),
        ("tdmrep_json", "none"),
        ("tdmrep_json", "not_reserved"),
        ("content_usage", "train-ai=y, bots=n"),  # what is named goes before what covers it
        ("content_usage", "search=n"),
        ("ai_txt", "none"),
        ("ai_txt", "allowed"),
        ("robots_txt", "disallowed"),  # judged by Sites
        ("robots_txt_ai", "gptbot"),
        ("link_header_license", "https://a.test/noindex"),
    ],
)
def test_no_refusal(kind: str, value: str) -> None:
    assert refusal([(kind, value)], settings(*OBEYED)) is None


def test_nothing_is_obeyed_if_nothing_shall_be() -> None:
    assert refusal([("x_robots_tag", "noindex, noai"), ("tdm_reservation", "1")], settings()) is None


@given(st.lists(st.tuples(st.sampled_from(["x_robots_tag", "tdm_reservation", "content_usage"]), st.text(max_size=30))))
def test_any_evidence_is_judged(evidence: list[tuple[str, str]]) -> None:
    assert refusal(evidence, settings(*OBEYED)) in (None, "opted_out")
