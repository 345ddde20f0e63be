"""Each cause planted alone and among others: what is there is found, what is not there is not."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tuwen.fetching.diagnosis import TURNS, Finding, HostCounts, diagnose, tld_of
from tuwen.fetching.diagnosis.counts import site_of, widespread
from tuwen.fetching.settings import Fetch

TLDS = ("com", "org", "net", "de", "cn", "jp", "ru", "co.uk")
Ends = dict[str, list[str]]  # host → classes in the order in which its URLs ended


def web(seed: int = 7, num_hosts: int = 400, *, rot: bool = False) -> Ends:
    """A sound web, host sizes heavy-tailed; with `rot`, one of ten years ago."""
    luck = random.Random(seed)
    ends: Ends = {}
    for number in range(num_hosts):
        host = f"www.site{number}.{TLDS[number % len(TLDS)]}"
        size = min(400, int(luck.paretovariate(0.9)))
        ends[host] = ["ok" if luck.random() < 0.995 else "timeout" for _ in range(size)]
        fate = luck.random()
        if rot and fate < 0.2:
            ends[host] = ["dns_not_found"] * size
        elif rot and fate < 0.28:
            ends[host] = [luck.choice(["refused", "timeout", "tls"])] * size
        elif rot and fate < 0.30:
            ends[host] = ["dns_failure"] * size
        elif rot and fate < 0.33:
            ends[host] = ["http_403"] * min(size, 2)
        elif rot:
            ends[host] = ["http_404" if luck.random() < 0.2 else end for end in ends[host]]
    return ends


def spoil(ends: Ends, share: float, end: str, seed: int = 1) -> Ends:
    """All URLs of some hosts end the same way."""
    luck = random.Random(seed)
    return {host: [end] * len(found) if luck.random() < share else found for host, found in ends.items()}


def full_line(ends: Ends) -> Ends:
    luck = random.Random(3)
    return {host: ["timeout" if luck.random() < 0.3 else end for end in found] for host, found in ends.items()}


def turning_away(ends: Ends, end: str = "http_403") -> Ends:
    """Three large hosts have enough after 200 images."""
    return {**ends, **{f"cdn.big{n}.com": ["ok"] * 200 + [end, "ok", *[end] * 600] for n in range(3)}}


def private_store(ends: Ends) -> Ends:
    """A large store that says 403 for each file that is not there."""
    luck = random.Random(5)
    return {**ends, "bucket.store.com": ["ok" if luck.random() < 0.4 else "http_403" for _ in range(900)]}


def some(ends: Ends, host: str, end: str, count: int = 900) -> Ends:
    return {**ends, host: [end] * count}


def rows(ends: Ends) -> list[HostCounts]:
    found = []
    for host, order in ends.items():
        turned = next((number for number, end in enumerate(order) if end in TURNS), len(order))
        row = HostCounts(host, tld_of(host), dict(Counter(order)))
        row.late_ok = order[turned:].count("ok")
        found.append(row)
    return found


def causes(found: list[Finding]) -> set[str]:
    return {finding.cause for finding in found}


SOUND, OLD = web(), web(rot=True)
PLANTED: list[tuple[str, Ends, set[str]]] = [
    ("a sound web", SOUND, set()),
    ("rot", OLD, {"rot", "blocking"}),  # its 403 hosts pass one percent
    ("every tenth resolver query fails", spoil(SOUND, 0.25, "dns_failure"), {"resolver"}),
    ("the resolver is dead", spoil(SOUND, 1.1, "dns_failure"), {"resolver"}),
    ("the resolver denies all", spoil(SOUND, 0.97, "dns_not_found"), {"resolver"}),
    ("a filtering resolver", spoil(SOUND, 0.3, "blocked_address"), {"resolver"}),
    (
        "one site's nameservers are gone",
        {**SOUND, **{f"s{n}.dead.com": ["dns_failure"] * 3 for n in range(500)}},
        set(),
    ),
    ("no line", spoil(SOUND, 0.9, "timeout"), {"line"}),
    ("a firewall that refuses", spoil(SOUND, 0.9, "refused"), {"line"}),
    ("a wrong clock", spoil(SOUND, 0.9, "tls"), {"line"}),
    ("a full line", full_line(SOUND), {"line"}),
    ("hosts that have had enough", turning_away(SOUND), {"blocking"}),
    ("hosts that send pages when they have had enough", turning_away(SOUND, "not_an_image"), {"blocking"}),
    ("a store with private files", private_store(SOUND), {"rot"}),
    ("a host that is closed", some(SOUND, "closed.com", "http_403"), {"blocking"}),
    ("a host with few requests a second", some(SOUND, "slow.com", "http_429"), {"blocking"}),
    ("all refuse us", spoil(SOUND, 0.6, "http_403"), {"blocking"}),
    ("pages for images at one host", some(SOUND, "moved.com", "not_an_image"), {"content"}),
    ("pages for images everywhere", spoil(SOUND, 0.97, "not_an_image"), {"content"}),
    ("a broken server", some(SOUND, "broken.com", "http_500"), {"server"}),
    ("an overloaded server", {**SOUND, "busy.com": ["ok", "http_503"] * 400}, {"server"}),
    ("a slow host", {**SOUND, "slow.com": ["ok", "timeout"] * 400}, {"server"}),
    ("files gone at one host", some(SOUND, "tidy.com", "http_404"), {"rot"}),
    ("robots.txt forbids", some(SOUND, "private.com", "robots_disallowed"), {"rights"}),
    ("opted out", some(SOUND, "artist.com", "opted_out"), {"rights"}),
    ("stand-ins", some(SOUND, "gone.com", "placeholder"), {"placeholder"}),
    ("large files", some(SOUND, "nasa.org", "too_large"), {"content"}),
    ("an intranet host", some(SOUND, "intra.com", "blocked_address"), {"safety"}),
    ("an address for a host", {"127.0.0.1": ["blocked_address"] * 3}, {"safety"}),
    ("addresses for hosts", {f"10.0.0.{n}": ["blocked_address"] for n in range(9)}, {"safety"}),
    ("few intranet hosts alone", {f"h{n}.intra{n}.com": ["blocked_address"] for n in range(4)}, {"safety"}),
    ("many intranet hosts alone", {f"h{n}.intra{n}.com": ["blocked_address"] for n in range(5)}, {"resolver"}),
    ("rot and a failing resolver", spoil(OLD, 0.3, "dns_failure"), {"rot", "blocking", "resolver"}),
    ("rot and a full line", full_line(OLD), {"rot", "blocking", "line"}),
    ("rot and hosts that have had enough", turning_away(OLD), {"rot", "blocking"}),
    ("rot and a lying resolver", spoil(OLD, 0.97, "dns_not_found"), {"resolver"}),
    ("blocking and a full line", turning_away(full_line(SOUND)), {"blocking", "line"}),
    (
        "rights and stand-ins",
        some(some(SOUND, "a.com", "opted_out"), "b.com", "placeholder"),
        {"rights", "placeholder"},
    ),
]


@pytest.mark.parametrize(("ends", "expected"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_what_is_planted_is_found_and_nothing_else(ends: Ends, expected: set[str]) -> None:
    found = diagnose(rows(ends))
    assert causes(found) == expected, found
    for finding in found:
        assert finding.what.endswith(".") and finding.advice.endswith(".") and finding.evidence and finding.num_urls


@pytest.mark.parametrize("seed", range(20))
def test_rot_alone_never_accuses_resolver_or_line(seed: int) -> None:
    for num_hosts in (3, 10, 40, 400):
        assert not causes(diagnose(rows(web(seed, num_hosts, rot=True)))) & {"resolver", "line"}


@pytest.mark.parametrize("seed", range(20))
def test_a_sound_web_has_no_findings_but_slow_hosts(seed: int) -> None:
    assert causes(diagnose(rows(web(seed)))) <= {"server"}


def one(ends: Ends, cause: str, **more: object) -> Finding:
    (found,) = [finding for finding in diagnose(rows(ends), **more) if finding.cause == cause]  # type: ignore[arg-type]
    return found


def test_the_advice_names_what_to_change() -> None:
    settings = Fetch(contact="me@example.org")
    overloaded = spoil(SOUND, 0.3, "dns_failure")
    found = one(overloaded, "resolver", settings=settings)
    assert {"fetch.nameservers", "fetch.dns_concurrency"} <= set(found.settings)
    assert "now 32" in found.advice
    assert "--retry dns_not_found" in one(spoil(SOUND, 0.97, "dns_not_found"), "resolver").settings
    assert "fetch.concurrency" in one(full_line(SOUND), "line").settings
    turned = one(turning_away(SOUND), "blocking")
    assert {"fetch.host_requests_per_s", "--retry http_403"} <= set(
        turned.settings
    ) and "cdn.big0.com" in turned.evidence
    closed = one(some(SOUND, "closed.com", "http_403"), "blocking")
    assert closed.settings == ("--retry http_403",) and "fetch.host_requests_per_s" not in closed.advice
    assert "fetch.host_requests_per_s" in one(some(SOUND, "slow.com", "http_429"), "blocking").settings
    assert "--retry placeholder" in one(some(SOUND, "gone.com", "placeholder"), "placeholder").settings
    assert "fetch.max_bytes" in one(some(SOUND, "nasa.org", "too_large"), "content").settings


def test_one_is_told_from_all() -> None:
    """The same class at some hosts and at most of them has different reasons, and advice."""
    assert "unwelcome" in one(spoil(SOUND, 0.6, "http_403"), "blocking").what
    assert "unwelcome" not in one(some(SOUND, "closed.com", "http_403"), "blocking").what
    assert "Nearly all sites" in one(spoil(SOUND, 0.97, "not_an_image"), "content").what
    assert "Nearly all sites" not in one(some(SOUND, "moved.com", "not_an_image"), "content").what


def test_rare_timeouts_at_large_hosts_are_no_full_line() -> None:
    ends = {f"large{number}.com": ["ok"] * 199 + ["timeout"] for number in range(100)}
    assert causes(diagnose(rows(ends))) == set()


def test_single_refusals_after_a_run_of_images_are_no_blocking() -> None:
    assert causes(diagnose(rows({"store.com": ["ok"] * 10 + ["http_403", "ok"] * 10}))) == {"rot"}
    assert causes(diagnose(rows({"tired.com": ["ok"] * 10 + ["http_403", "ok"] * 2 + ["http_403"] * 30}))) == {
        "blocking"
    }


def test_one_registry_is_told_from_the_resolver() -> None:
    ends = {**SOUND, **{f"www.site{number}.ru": ["dns_failure"] * 2 for number in range(100)}}
    found = one(ends, "resolver")
    assert ".ru" in found.what and not found.settings


def test_names_that_answered_before_prove_that_the_resolver_lies() -> None:
    """A third of the names is denied: by itself that is rot."""
    ends = spoil(SOUND, 0.5, "dns_not_found")
    assert causes(diagnose(rows(ends))) == {"rot"}
    assert "resolver" in causes(diagnose(rows(ends), known_hosts=SOUND.keys()))


def test_names_that_come_and_go_in_one_run_prove_that_the_resolver_lies() -> None:
    luck = random.Random(2)
    ends = {host: ["dns_not_found" if luck.random() < 0.4 else end for end in found] for host, found in SOUND.items()}
    assert "resolver" in causes(diagnose(rows(ends)))


def test_trying_dead_names_again_is_no_lying_resolver() -> None:
    ends = spoil(SOUND, 0.99, "dns_not_found")
    assert "resolver" in causes(diagnose(rows(ends)))
    assert "resolver" not in causes(diagnose(rows(ends), retried=["dns_not_found"]))


def test_a_registry_that_is_gone_is_rot() -> None:
    ends = {f"site{number}.su": ["dns_not_found"] * 3 for number in range(300)}
    assert causes(diagnose(rows(ends))) == {"rot"}


def test_a_handful_of_hosts_proves_nothing_about_the_line() -> None:
    assert not causes(diagnose(rows({"a.com": ["timeout"], "b.org": ["ok"], "c.net": ["ok"]}))) & {"line", "resolver"}
    assert causes(diagnose(rows({f"{name}.com": ["dns_failure"] * 5 for name in "abcdef"}))) == {"resolver"}


def test_own_troubles_come_first() -> None:
    found = diagnose(rows(turning_away(full_line(SOUND))))
    assert [finding.cause for finding in found] == ["line", "blocking"]


def test_nothing_is_nothing() -> None:
    assert diagnose([]) == []
    assert diagnose(rows({"": ["bad_url"] * 3}))[0].cause == "content"


def test_domains() -> None:
    assert [tld_of(host) for host in ("a.b.COM".lower(), "10.0.0.1", "[::1]", "localhost")] == [
        "com",
        "(address)",
        "(address)",
        "localhost",
    ]
    hosts = ("img.a.co.uk", "x.y.example.com", "a.com", "10.1.2.3", "a.de")
    assert [site_of(host) for host in hosts] == ["a.co.uk", "example.com", "a.com", "10.1.2.3", "a.de"]


def test_intervals_are_wilsons() -> None:
    assert not widespread(0, 0, 0.0)
    assert widespread(6, 10, 0.31) and not widespread(6, 10, 0.32)  # 0.3127, from the formula by hand


# The tally ----------------------------------------------------------------------------------------------------------
