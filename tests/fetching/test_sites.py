"""Policies of sites: who is asked for what, how often, and what follows."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tuwen.fetching.answer import Answer
from tuwen.fetching.robots_txt import LARGEST
from tuwen.fetching.settings import Fetch
from tuwen.fetching.sites import Policy, Sites

SETTINGS = Fetch(contact="https://b.test/bot")
ROBOTS, TDMREP, AI_TXT = "/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"
RESERVED = b'[{"location": "/img/", "tdm-reservation": 1, "tdm-policy": "https://a.test/p"}]'
NOTHING = [("robots_txt", "none"), ("tdmrep_json", "none"), ("ai_txt", "none")]


@dataclass
class Web:
    """Answers by address: a body, a status, or the name of an error; 404 for all else. Counts what it is asked."""

    answers: dict[str, bytes | int | str | Answer] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    delay_s: float = 0.0

    async def get(self, url: str, max_bytes: int) -> Answer:
        assert max_bytes == LARGEST
        self.asked[url] += 1
        await asyncio.sleep(self.delay_s)
        answer = self.answers.get(url, 404)
        if isinstance(answer, Answer):
            return answer
        if isinstance(answer, bytes):
            return Answer(url, 200, body=answer)
        return Answer(url, answer) if isinstance(answer, int) else Answer(url, error=answer)


def site(robots: bytes | int | str | Answer = 404, **others: bytes | int | str) -> Web:
    named = {"tdmrep": TDMREP, "ai_txt": AI_TXT}
    answers = {"https://a.test" + named[name]: answer for name, answer in others.items()}
    return Web({"https://a.test" + ROBOTS: robots, **answers})


def ask(web: Web, *paths: str, settings: Fetch = SETTINGS, cache: Path | None = None) -> list[Policy]:
    async def run() -> list[Policy]:
        sites = Sites(settings, web.get, cache)
        try:
            return [await sites.of("https://a.test" + path) for path in paths]
        finally:
            sites.close()

    return asyncio.run(run())


def test_a_site_that_says_nothing() -> None:
    web = site()
    assert ask(web, "/a.jpg", "/b.jpg") == [Policy(None, NOTHING, None)] * 2
    assert web.asked == {"https://a.test" + path: 1 for path in (ROBOTS, TDMREP, AI_TXT)}


def test_a_site_that_says_everything() -> None:
    robots = b"""
        User-agent: *
        Disallow: /private
        Crawl-delay: 3
        Content-Usage: /art train-ai=n
        User-agent: CCBot
        Disallow: /
    """
    web = site(robots, tdmrep=RESERVED, ai_txt=b"User-agent: *\nDisallow: *.gif")
    private, art, image, gif, plain = ask(web, "/private/1", "/art/1", "/img/1", "/x.gif", "/x")
    assert private.error == "robots_disallowed"
    assert ("robots_txt", "disallowed") in private.evidence
    assert art.error == image.error == gif.error == "opted_out"
    assert ("content_usage", "train-ai=n") in art.evidence
    assert image.evidence == [
        ("robots_txt", "allowed"),
        ("robots_txt_ai", "ccbot"),
        ("tdmrep_json", "reserved"),
        ("tdm_policy", "https://a.test/p"),
        ("ai_txt", "allowed"),
    ]
    assert ("ai_txt", "refused") in gif.evidence
    assert plain.error is None
    assert {policy.crawl_delay_s for policy in (private, art, image, gif, plain)} == {3.0}


def test_what_is_not_obeyed_is_recorded_all_the_same() -> None:
    web = site(b"User-agent: *\nDisallow: /", tdmrep=RESERVED, ai_txt=b"Disallow: /")
    (policy,) = ask(web, "/img/1", settings=Fetch(contact="me@b.test", obey=()))
    assert policy.error is None
    assert policy.evidence == [
        ("robots_txt", "disallowed"),
        ("tdmrep_json", "reserved"),
        ("tdm_policy", "https://a.test/p"),
        ("ai_txt", "refused"),
    ]
    assert ask(site(503), "/", settings=Fetch(contact="me@b.test", obey=())) == [
        Policy(None, [("robots_txt", "unreachable")], None)
    ]


def test_site_files_are_asked_for_where_settings_and_robots_txt_say_so() -> None:
    web = site(b"User-agent: *\nDisallow: /ai.txt")
    (policy,) = ask(web, "/a.jpg")
    assert policy.evidence == [("robots_txt", "allowed"), ("tdmrep_json", "none")]
    assert set(web.asked) == {"https://a.test" + ROBOTS, "https://a.test" + TDMREP}
    web = site(b"User-agent: *\nDisallow: /")
    ask(web, "/a.jpg")
    assert set(web.asked) == {"https://a.test" + ROBOTS}
    web = site()
    ask(web, "/a.jpg", settings=Fetch(contact="me@b.test", site_files=("ai_txt",)))
    assert set(web.asked) == {"https://a.test" + ROBOTS, "https://a.test" + AI_TXT}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_no_robots_txt_is_no_restriction(status: int) -> None:
    assert ask(site(status), "/a.jpg")[0] == Policy(None, NOTHING, None)


@pytest.mark.parametrize("answer", ["too_many_redirects", "bad_redirect", b"", b"<html>\nsorry\n</html>"])
def test_what_counts_as_no_robots_txt(answer: str | bytes) -> None:
    assert ask(site(answer), "/a.jpg")[0] == Policy(None, NOTHING, None)


@pytest.mark.parametrize(
    "answer",
    [
        *(429, 500, 503, 599),
        *(Answer("https://a.test" + ROBOTS, 200, error=error) for error in ("timeout", "disconnected", "bad_encoding")),
    ],
)
def test_a_robots_txt_that_cannot_be_had_forbids_everything(answer: int | Answer, tmp_path: Path) -> None:
    web = site(answer)
    cache = tmp_path / "sites.sqlite"
    unreachable = Policy("robots_unreachable", [("robots_txt", "unreachable")], None)
    assert ask(web, "/a.jpg", "/b.jpg", cache=cache) == [unreachable] * 2
    assert web.asked == {"https://a.test" + ROBOTS: 1}
    web.answers.clear()  # the next run asks again
    assert ask(web, "/a.jpg", cache=cache) == [Policy(None, NOTHING, None)]


@pytest.mark.parametrize(
    "error",
    [
        *("dns_not_found", "dns_failure", "refused", "tls", "blocked_address", "host_down"),
        *("timeout", "unreachable", "disconnected", "bad_http"),
    ],
)
def test_a_host_that_fails_is_no_word_about_robots(error: str) -> None:
    assert ask(site(error), "/a.jpg") == [Policy(error, [], None)]
    elsewhere = Answer("https://b.test/robots.txt", error=error)  # where a redirect led to
    assert ask(site(elsewhere), "/a.jpg")[0].error == "robots_unreachable"


def test_a_huge_robots_txt_is_read_as_far_as_it_came() -> None:
    body = b"User-agent: *\nDisallow: /x\n" + b"#" * LARGEST
    answer = Answer("https://a.test/robots.txt", 200, body=body[:LARGEST], error="too_large")
    assert [policy.error for policy in ask(site(answer), "/x", "/y")] == ["robots_disallowed", None]
    answer.body = b""
    assert ask(site(answer), "/y")[0].error == "robots_unreachable"


def test_site_files_that_fail_are_not_checked() -> None:
    web = site(tdmrep=500, ai_txt="timeout")
    assert ask(web, "/a.jpg")[0] == Policy(None, [("robots_txt", "none")], None)


def test_a_thousand_at_once_ask_once() -> None:
    web = site(b"User-agent: *\nDisallow: /x")
    web.delay_s = 0.01

    async def run() -> list[Policy]:
        sites = Sites(SETTINGS, web.get, None)
        return await asyncio.gather(*(sites.of(f"https://a.test/x/{number}") for number in range(1000)))

    policies = asyncio.run(run())
    assert {policy.error for policy in policies} == {"robots_disallowed"}
    assert web.asked == {"https://a.test" + path: 1 for path in (ROBOTS, TDMREP, AI_TXT)}


def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    web = site(b"User-agent: *\nDisallow: /x")
    web.delay_s = 0.05

    async def run() -> Policy:
        sites = Sites(SETTINGS, web.get, None)
        impatient = asyncio.create_task(sites.of("https://a.test/x"))
        patient = asyncio.create_task(sites.of("https://a.test/x"))
        await asyncio.sleep(0.01)
        impatient.cancel()
        return await patient

    assert asyncio.run(run()).error == "robots_disallowed"
    assert web.asked["https://a.test/robots.txt"] == 1


def test_the_crawl_delay_is_known_before_the_site_files_are_asked_for() -> None:
    seen: dict[str, float | None] = {}

    async def run() -> None:
        async def get(url: str, max_bytes: int) -> Answer:
            seen[url] = sites.crawl_delay("https://a.test:443")
            return Answer(url, 200, body=b"User-agent: *\nCrawl-delay: 9" if url.endswith(ROBOTS) else b"")

        sites = Sites(SETTINGS, get, None)
        await sites.of("https://a.test/x")
        assert sites.crawl_delay("https://a.test:443") == 9
        assert sites.crawl_delay("https://b.test:443") is None

    asyncio.run(run())
    assert seen == {"https://a.test/robots.txt": None, "https://a.test" + TDMREP: 9, "https://a.test" + AI_TXT: 9}


def test_origins_are_kept_apart_and_remembered_across_runs(tmp_path: Path) -> None:
    cache = tmp_path / "sites.sqlite"
    web = Web({"https://a.test/robots.txt": b"User-agent: *\nDisallow: /"})
    urls = ["https://a.test/x", "http://a.test/x", "https://a.test:8443/x", "https://a.test:443/y"]

    async def run() -> list[str | None]:
        sites = Sites(SETTINGS, web.get, cache)
        errors = [(await sites.of(url)).error for url in urls]
        sites.close()
        return errors

    assert asyncio.run(run()) == ["robots_disallowed", None, None, "robots_disallowed"]
    asked = web.asked.copy()
    assert asked["https://a.test/robots.txt"] == asked["http://a.test/robots.txt"] == 1
    assert asyncio.run(run()) == ["robots_disallowed", None, None, "robots_disallowed"]
    assert web.asked == asked


def test_more_sites_than_memory_holds_are_asked_once(tmp_path: Path) -> None:
    heavy = b"User-agent: *\n" + b"".join(b"Disallow: /%d*\n" % number for number in range(5000))
    hosts = [f"https://{number}.test" for number in range(2200)]
    web = Web({f"{host}/robots.txt": heavy for host in hosts[:24]})

    async def run() -> int:
        sites = Sites(Fetch(contact="me@b.test", site_files=()), web.get, None)
        for _ in range(2):
            for host in hosts[:24] + hosts[-2100:]:
                await sites.of(host + "/a.jpg")
        held = len(sites._sites)
        assert sites._weight <= 100_000
        return held

    assert asyncio.run(run()) <= 2000
    assert set(web.asked.values()) == {1}


def test_close_ends_what_is_under_way() -> None:
    web = Web(delay_s=60)

    async def run() -> None:
        sites = Sites(SETTINGS, web.get, None)
        waiting = asyncio.create_task(sites.of("https://a.test/x"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sites.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())


def microseconds_each(sites: Sites, path: str) -> float:
    async def run(of: Callable[[str], Coroutine[Any, Any, Policy]]) -> float:
        urls = [f"https://a.test{path}{number}.jpg" for number in range(5000)]
        await of(urls[0])
        began = time.process_time()
        for url in urls:
            await of(url)
        return (time.process_time() - began) / len(urls) * 1e6

    return asyncio.run(run(sites.of))


def test_known_sites_answer_quickly() -> None:
    robots = b"User-agent: *\nDisallow: /admin\nDisallow: /*?sort=\nAllow: /img\nUser-agent: gptbot\nDisallow: /\n"
    for web in (site(), site(robots, ai_txt=b"User-agent: *\nDisallow: *.gif\n")):
        assert microseconds_each(Sites(SETTINGS, web.get, None), "/img/") < 300  # some 10 to 30 where nobody else works
