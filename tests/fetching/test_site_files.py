"""tdmrep.json and ai.txt, well made and otherwise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.fetching.site_files import AiTxt, TdmRep

SITE = "https://a.test"


def tdmrep(rules: object) -> TdmRep:
    return TdmRep(json.dumps(rules).encode())


def test_the_first_matching_location_decides() -> None:
    rules = tdmrep(
        [
            {"location": "/free/", "tdm-reservation": 0},
            {"location": "/*.jpg$", "tdm-reservation": 1, "tdm-policy": " https://a.test/policy.json\n"},
            {"location": "/img", "tdm-reservation": "1"},
            {"location": "/img/public", "tdm-reservation": 0},
        ]
    )
    assert rules.evidence(SITE + "/free/a.jpg") == [("tdmrep_json", "not_reserved")]
    assert rules.evidence(SITE + "/a.jpg") == [
        ("tdmrep_json", "reserved"),
        ("tdm_policy", "https://a.test/policy.json"),
    ]
    assert rules.evidence(SITE + "/img/public/a.png") == [("tdmrep_json", "reserved")]
    assert rules.evidence(SITE + "/a.jpg?x") == [("tdmrep_json", "none")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>not found</html>",
        b"[" * 100_000,
        b"[1, null, \"x\", [], {}]",
        b'[{"location": "/"}]',
        b'[{"location": "/", "tdm-reservation": 2}]',
        b'[{"location": "/", "tdm-reservation": [1]}]',
        b'[{"location": 1, "tdm-reservation": 1}]',
        b"[" + b"9" * 5000 + b"]",
        b"\xff\xfe\x00",
    ],
)  # fmt: skip
def test_what_is_no_rule_says_nothing(body: bytes) -> None:
    assert TdmRep(body).is_empty
    assert TdmRep(body).evidence(SITE + "/") == [("tdmrep_json", "none")]


def test_tdmrep_as_found() -> None:
    assert TdmRep(b'\xef\xbb\xbf{"location": "img", "tdm-reservation": 1}').evidence(SITE + "/img/1") == [
        ("tdmrep_json", "reserved")
    ]
    long = tdmrep([{"location": "/", "tdm-reservation": 1, "tdm-policy": "\ud800" + "x" * 9000}])
    policy = dict(long.evidence(SITE + "/"))["tdm_policy"]
    assert len(policy.encode()) == 2000


@pytest.mark.parametrize(
    ("text", "refused", "allowed"),
    [
        ("User-Agent: *\nDisallow: /", ["/", "/a.jpg"], []),
        ("User-Agent: *\nDisallow: *", ["/", "/a.jpg"], []),
        ("# Spawning AI\nUser-Agent: *\nDisallow: *.jpg\nAllow: *.txt\nAllow: /", ["/a.jpg", "/a.jpg?x=1"], ["/a.png"]),
        ("User-Agent: *\nDisallow: .jpg", ["/x/a.jpg"], ["/a.png"]),
        ("User-Agent: *\nAllow: /\n\nUser-Agent: tuwen\nDisallow: /", ["/a"], []),
        ("Disallow: /img", ["/img/1"], ["/a"]),  # no group: everybody's
        ("Disallow: /img\nUser-agent: other\nDisallow: /", ["/img/1"], ["/a"]),
    ],
)
def test_ai_txt(text: str, refused: list[str], allowed: list[str]) -> None:
    rules = AiTxt(text.encode(), "tuwen")
    assert [rules.evidence(SITE + path) for path in refused] == [[("ai_txt", "refused")]] * len(refused)
    assert [rules.evidence(SITE + path) for path in allowed] == [[("ai_txt", "allowed")]] * len(allowed)


def test_an_ai_txt_without_rules() -> None:
    prose = b"---\nname: a site\n---\n# About us\nWe like models.\n"
    assert AiTxt(prose, "tuwen").evidence(SITE + "/") == [("ai_txt", "none")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "tdm-policy"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200), st.text("/a.%2", max_size=9))
def test_any_bytes_parse(body: bytes, path: str) -> None:
    url = f"{SITE}/{path}"
    for kind, value in [*TdmRep(body).evidence(url), *AiTxt(body, "tuwen").evidence(url)]:
        assert kind in ("tdmrep_json", "tdm_policy", "ai_txt")
        assert value.encode()
