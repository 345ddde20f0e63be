"""robots.txt as RFC 9309 reads it, and as the web writes it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from tuwen.fetching.robots_txt import LARGEST, RobotsTxt

SITE = "https://a.test"


def allows(text: str | bytes, path: str, product: str = "tuwen") -> bool:
    body = text.encode() if isinstance(text, str) else text
    return RobotsTxt(body, product).allows(SITE + path)


@pytest.mark.parametrize(
    ("text", "refused", "allowed"),
    [
        ("User-agent: *\nDisallow: /x", ["/x", "/xy", "/x/y"], ["/", "/X", "/y/x"]),
        ("User-agent: *\nDisallow:", [], ["/", "/x"]),
        ("User-agent: *\nDisallow: /\nAllow: /x/\nDisallow: /x/y", ["/", "/x/y"], ["/x/z"]),
        ("User-agent: *\nDisallow: /x\nAllow: /x", [], ["/x"]),  # equally long: allowed
        ("User-agent: *\nDisallow: /*.gif$", ["/a.gif", "/b/a.gif"], ["/a.gif?1", "/a.gift", "/a.jpg"]),
        ("User-agent: *\nDisallow: /a*b*c", ["/abc", "/a1b2c3"], ["/acb", "/ab"]),
        ("User-agent: *\nDisallow: /?id=", ["/?id=1"], ["/", "/id=1"]),
        ("User-agent: *\nDisallow: /caf%C3%A9", ["/caf%c3%a9"], ["/cafe"]),
        ("User-agent: *\nDisallow: /café", ["/caf%C3%A9"], ["/cafe"]),
        ("User-agent: *\nDisallow: / # everything", ["/", "/x"], []),
        # Our own group is the only one that counts, several of them together.
        ("User-agent: *\nDisallow: /\n\nUser-agent: Tuwen\nDisallow: /x", ["/x"], ["/", "/y"]),
        ("User-agent: *\nDisallow: /\n\nUser-agent: tuwen\nDisallow:", [], ["/", "/y"]),
        ("User-agent: tuwen\nDisallow: /x\nUser-agent: b\nAllow: /\nUser-agent: TUWEN\nDisallow: /y", ["/x"], ["/"]),
        ("User-agent: tuwen\nAllow: /z\nUser-agent: b\nAllow: /y\nUser-agent: TUWEN\nDisallow: /", ["/y"], ["/z"]),
        ("User-agent: tuwen/1.0\nDisallow: /", ["/"], []),
        ("User-agent: b\nUser-agent: tuwen\nDisallow: /", ["/"], []),
        # Names that merely begin or contain ours are others.
        ("User-agent: t\nDisallow: /", [], ["/"]),
        ("User-agent: tuwenbot\nDisallow: /", [], ["/"]),
        ("User-agent: img2dataset\nDisallow: /", [], ["/"]),
        # Lines that mean nothing to us separate nothing; a rule does, an empty one too.
        ("User-agent: b\nSitemap: /s\nNoindex: /\n\nUser-agent: tuwen\nDisallow: /", ["/"], []),
        ("User-agent: tuwen\nDisallow:\nUser-agent: b\nDisallow: /", [], ["/"]),
        ("Disallow: /\nUser-agent: b\nDisallow: /", [], ["/"]),  # before any group: nobody's
        # As found.
        ("\ufeffUSER-AGENT : *\r\ndisallow:/x\r\n", ["/x"], ["/"]),
        ("user-agent:*\rDissalow: /x", ["/x"], ["/"]),
        ("User agent *\nDisallow /x", ["/x"], ["/"]),
        ("User-agent: *\n\0Disallow: /x\0", ["/x"], ["/"]),
        ("User-agent: *\nDisallow: /a\u2028Disallow: /b", [], ["/b", "/a"]),  # one line
        ("<!DOCTYPE html><html><body>\nDisallow us!</body></html>", [], ["/"]),
        ("", [], ["/"]),
    ],
)  # fmt: skip
def test_allows(text: str, refused: list[str], allowed: list[str]) -> None:
    assert [path for path in refused if allows(text, path)] == []
    assert [path for path in allowed if not allows(text, path)] == []


def test_encodings() -> None:
    text = "User-agent: *\nDisallow: /图\n"
    assert not allows(text.encode("utf-16"), "/%E5%9B%BE")
    gbk = RobotsTxt(text.encode("gbk"), "tuwen")
    assert not gbk.allows(SITE + "/%CD%BC")
    assert gbk.allows(SITE + "/x")


def test_only_what_is_large_is_cut_and_never_within_a_line() -> None:
    head = b"User-agent: *\nDisallow: /begin\n"
    rest = b"Disallow: /" + b"x" * 400_000 + b"\n"
    body = head + rest + b"#" * (LARGEST - len(head) - len(rest) - 14) + b"\nDisallow: /long-path\nDisallow: /end\n"
    robots = RobotsTxt(body, "tuwen")
    assert not robots.allows(SITE + "/begin")
    assert robots.allows(SITE + "/long")
    assert robots.allows(SITE + "/end")
    assert not RobotsTxt(head + rest + b"Disallow: /end", "tuwen").allows(SITE + "/end")


@pytest.mark.parametrize(
    ("lines", "delay_s"),
    [
        ("Crawl-delay: 2.5", 2.5),
        ("crawl delay: .5", 0.5),
        ("Crawl-delay: 0", 0.0),
        ("Crawl-delay: 1\nCrawl-delay: 7\nCrawl-delay: 3", 7.0),
        ("Crawl-delay: 86400", 3600.0),
        ("Crawl-delay: " + "9" * 300, 3600.0),
        ("Crawl-delay: -1", None),
        ("Crawl-delay: nan", None),
        ("Crawl-delay: ten", None),
        ("Crawl-delay:", None),
        ("Disallow: /", None),
    ],
)
def test_crawl_delay(lines: str, delay_s: float | None) -> None:
    assert RobotsTxt(f"User-agent: *\n{lines}".encode(), "tuwen").crawl_delay_s == delay_s
    assert RobotsTxt(f"User-agent: other\n{lines}".encode(), "tuwen").crawl_delay_s is None


def test_content_usage() -> None:
    text = b"""
        User-Agent: *
        Allow: /
        Content-Usage: / train-ai=n
        Content-Usage: /ai-ok/ train-ai=y
        Content-Usage: /two\ttrain-ai=y, search=n
        Content-Usage: /two   search=y
        Content-Usage: *.jpg$ bots=n
        Content-Usage: /nothing

        User-Agent: ExampleBot
        Content-Usage: train-ai=y
    """
    robots, other = RobotsTxt(text, "tuwen"), RobotsTxt(text, "examplebot")
    assert robots.usage(SITE + "/test") == ["train-ai=n"]
    assert robots.usage(SITE + "/ai-ok/test") == ["train-ai=y"]
    assert robots.usage(SITE + "/two") == ["search=y", "train-ai=y, search=n"]  # equal paths: both
    assert robots.usage(SITE + "/x.jpg") == ["bots=n"]
    assert robots.usage(SITE + "/nothing") == ["train-ai=n"]
    assert other.usage(SITE + "/anything") == ["train-ai=y"]


def test_content_usage_is_bounded() -> None:
    lines = [b"Content-Usage: / x%d=%s" % (number, b"y" * 9000) for number in range(40)]
    found = RobotsTxt(b"User-agent: *\n" + b"\n".join(lines), "tuwen").usage(SITE + "/")
    assert len(found) == 16
    assert {len(preference) for preference in found} == {2000}


def test_ai_agents_that_are_told_less_than_everybody() -> None:
    text = b"""
        User-agent: *
        Disallow: /private
        User-agent: GPTBot
        User-agent: CCBot/2.0
        Disallow: /
        User-agent: img2dataset
        Disallow: /img
        User-agent: Bytespider
        Disallow:
        User-agent: googlebot
        Disallow: /
    """
    robots = RobotsTxt(text, "tuwen")
    assert robots.refused_agents(SITE + "/x") == ["ccbot", "gptbot"]
    assert robots.refused_agents(SITE + "/img/1") == ["ccbot", "gptbot", "img2dataset"]
    assert robots.refused_agents(SITE + "/private") == []  # it is refused to all
    assert RobotsTxt(b"User-agent: *\nDisallow: /x", "tuwen").refused_agents(SITE + "/x") == []


def test_is_empty() -> None:
    assert RobotsTxt(b"<html>", "tuwen").is_empty
    assert RobotsTxt(b"# nothing\nSitemap: /s", "tuwen").is_empty
    assert not RobotsTxt(b"User-agent: *", "tuwen").is_empty


LINES = st.lists(
    st.tuples(
        st.sampled_from(["User-agent", "Disallow", "Allow", "Crawl-delay", "Content-Usage", "Sitemap", "#", ""]),
        st.sampled_from(["*", "tuwen", "gptbot", "/", "/a", "/a*b$", "/%2f%41", "5", "/ train-ai=n", "$", "/é\0", ""]),
    ),
    max_size=30,
).map(lambda lines: "\n".join(f"{field}: {value}" for field, value in lines).encode())  # fmt: skip


@given(
    st.binary(max_size=300) | LINES, st.sampled_from(["/", "/a", "/ab", "/%2Fa", "/a?b#c", "//x", "/é", "/robots.txt"])
)
def test_any_bytes_parse(body: bytes, path: str) -> None:
    robots = RobotsTxt(body, "tuwen")
    assert robots.allows(SITE + path) in (True, False)
    assert robots.refused_agents(SITE + path) == sorted(robots.refused_agents(SITE + path))
    assert all(value.isascii() and value.isprintable() for value in robots.usage(SITE + path))
    assert robots.crawl_delay_s is None or 0 <= robots.crawl_delay_s <= 3600


PATTERNS = st.text("/ab*$.%4", max_size=6).map(lambda text: "/" + text)


@given(
    st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), PATTERNS), max_size=6),
    st.text("/ab.?", max_size=6),
)
def test_shortcuts_change_no_verdict(rules: list[tuple[str, str]], path: str) -> None:
    text = "User-agent: *\n" + "\n".join(f"{field}: {value}" for field, value in rules)
    url = f"{SITE}/{path}"
    assert RobotsTxt(text.encode(), "tuwen").allows(url) == Protego.parse(text).can_fetch(url, "*")


AGENTS = b"User-agent: GPTBot\nUser-agent: CCBot\nUser-agent: *\nUser-agent: tuwen\n"
HOSTILE = {
    "one long line": b"Disallow: /" + b"a" * 450_000,
    "stars": b"Disallow: /" + b"*a" * 200_000,
    "stars that do not match": b"Disallow: /" + b"a*" * 200_000 + b"b$",
    "many rules": b"".join(b"Disallow: /%x*\n" % number for number in range(30_000)),
    "many groups": b"".join(b"User-agent: gptbot\nAllow: /%x\n" % number for number in range(15_000)),
    "many usages": b"".join(b"Content-Usage: /%x* train-ai=n\n" % number for number in range(15_000)),
    "empty lines": b"\n" * 490_000,
    "spaces": b"Disallow" + b" \t" * 240_000,
    "colons": b"Disallow" + b":" * 450_000,
    "carriage returns": b"Disallow: /a\r" * 35_000,
    "NUL": b"\0" * 490_000,
    "no text": bytes(range(256)) * 1900,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_little(name: str) -> None:
    began = time.process_time()
    robots = RobotsTxt(AGENTS + HOSTILE[name], "tuwen")
    url = SITE + "/" + "a" * 7000
    for ask in (robots.allows, robots.refused_agents, robots.usage):
        ask(url)
    assert time.process_time() - began < 5  # quadratic would take minutes
