"""Troubles on the other side: hosts that refuse, fail or object, URLs that rot, and what comes instead of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuwen.fetching.diagnosis.counts import (
    FEW,
    REFUSALS,
    SILENT,
    Counts,
    Finding,
    HostCounts,
    number,
    of,
    widespread,
    worst,
)
from tuwen.fetching.diagnosis.own import now
from tuwen.fetching.outcomes import OK, outcome_of

if TYPE_CHECKING:
    from tuwen.fetching.settings import Fetch

REFUSING_SITES = 0.3
"""Share of answering sites that refuse everything. Bot filters make it some 10 %; beyond, it is about who asks."""
PAGES_FOR_IMAGES = 0.8
"""Share of answering sites that send anything but images: a portal answers for them, or the URLs are of pages."""
BAD_URLS = 0.2
"""Share of URLs that are none: lists have a few broken lines, not every fifth."""
SLOW = 0.2
"""Share of a living host's URLs that time out before the host is called slow."""
OVERLOADED = frozenset({"http_408", "http_425", "http_503"})
GONE = ("http_404", "http_410", "hash_mismatch")
DEAD_SERVER = SILENT | {"refused", "tls"}


def blocking(counts: Counts, settings: Fetch | None) -> list[Finding]:
    """Hosts that refuse: by rate, after some images, or everything. Single refusals among images are not blocking."""
    found = []
    pace = f"fetch.host_requests_per_s{now(settings, 'host_requests_per_s')}"
    slower = ("fetch.host_requests_per_s", "fetch.host_concurrency")
    limiting = [host for host in counts.hosts if host.num({"http_429"})]
    if counts.is_notable(num := counts.num("http_429")):
        what = "Hosts ask for fewer requests (429)."
        advice = f"Lower {pace} or fetch.host_concurrency{now(settings, 'host_concurrency')}. Then build again."
        evidence = f"{counts.share(num)} at {worst(limiting, {'http_429'})}"
        found.append(Finding("blocking", what, evidence, advice, slower, num))
    refusing = REFUSALS | {"not_an_image"}
    turned = [host for host in counts.hosts if host.turned_away and host.num(refusing - {"http_429"}) >= FEW]
    if turned:
        num = sum(host.num(refusing) for host in turned)
        main = _main_class(turned, refusing)
        evidence = (
            f"{counts.share(num)} at {worst(turned, refusing)}, after {sum(h.counts[OK] for h in turned):,} images"
        )
        what = "Hosts gave images, then nothing but refusals: they had enough."
        advice = f"Lower {pace}, wait some hours, and build with --retry {main}."
        found.append(Finding("blocking", what, evidence, advice, (*slower, f"--retry {main}"), num))
    closed = [host for host in counts.hosts if host.num(REFUSALS) and host.num(REFUSALS) == host.answered]
    closed = [host for host in closed if host.num(REFUSALS) > host.num({"http_429"})]
    num = sum(host.num(REFUSALS) for host in closed)
    sites = [site for site in counts.sites if site.answered]
    shut = [site for site in sites if site.num(REFUSALS) == site.answered]
    if widespread(len(shut), len(sites), REFUSING_SITES):
        what = "Many unrelated sites refuse everything: your address or user agent is unwelcome, not single images."
        advice = "Ask from another network; see that fetch.contact and fetch.product tell who you are."
        evidence = f"{of(len(shut), len(sites))} sites that answer"
        found.append(Finding("blocking", what, evidence, advice, ("fetch.contact", "fetch.product"), num))
    elif counts.is_notable(num):
        main = _main_class(closed, REFUSALS)
        what = "Hosts refuse everything from the first request on."
        advice = f"Write to them; once they agree, build with --retry {main}. Going slower does not help."
        evidence = (
            f"{counts.share(num)} at {of(len(closed), len(counts.hosts))} hosts, most at {worst(closed, REFUSALS)}"
        )
        found.append(Finding("blocking", what, evidence, advice, (f"--retry {main}",), num))
    return found


def servers(counts: Counts, settings: Fetch | None, *, line: bool) -> list[Finding]:
    """Hosts that fail under load, are broken, or (unless the line explains it) slow."""
    found = []
    classes = sorted({name for row in counts.rows for name in row.counts if outcome_of(name).family == "server"})
    loaded = [host for host in counts.hosts if host.num(OVERLOADED) >= FEW and host.counts.get(OK)]
    if counts.is_notable(num := sum(host.num(OVERLOADED) for host in loaded)):
        what = "Hosts give images and, at times, say that they are overloaded."
        advice = (
            f"Lower fetch.host_concurrency{now(settings, 'host_concurrency')} and "
            f"fetch.host_requests_per_s{now(settings, 'host_requests_per_s')}. Then build again."
        )
        names = ("fetch.host_concurrency", "fetch.host_requests_per_s")
        found.append(Finding("server", what, f"{counts.share(num)} at {worst(loaded, OVERLOADED)}", advice, names, num))
    if counts.is_notable(rest := counts.num(*classes) - num):
        what = "Servers are broken: errors, endless redirects, answers that are not HTTP."
        advice = "Build again later: 5xx answers are tried again, the others stay."
        found.append(Finding("server", what, counts.where(*classes), advice, (), rest))
    slow = [host for host in counts.hosts if host.answered >= FEW and host.mostly({"timeout"}, SLOW)]
    if not line and counts.is_notable(num := sum(host.num({"timeout"}) for host in slow)):
        what = "Some hosts are too slow."
        advice = (
            f"Lower fetch.host_concurrency{now(settings, 'host_concurrency')} or raise "
            f"fetch.timeout_s{now(settings, 'timeout_s')}. Then build again."
        )
        evidence = f"{counts.share(num)} at {worst(slow, {'timeout'})}"
        found.append(Finding("server", what, evidence, advice, ("fetch.host_concurrency", "fetch.timeout_s"), num))
    return found


def rot(counts: Counts, *, lying: bool, line: bool) -> list[Finding]:
    """What is gone: files at living hosts, names, and (unless the line explains it) servers."""
    files, names = counts.num(*GONE), 0 if lying else counts.num("dns_not_found")
    dead = [] if line else [host for host in counts.hosts if not host.answered and host.mostly(DEAD_SERVER, 0.5)]
    servers = sum(host.num(DEAD_SERVER) for host in dead)
    mixed = [
        host
        for host in counts.hosts
        if host.counts.get(OK) and host.num(REFUSALS - {"http_429"}) and not host.turned_away
    ]
    single = sum(host.num(REFUSALS - {"http_429"}) for host in mixed)
    if not counts.is_notable(num := files + names + servers + single):
        return []
    hosts = sum(host.num(GONE) > 0 for host in counts.hosts)
    parts = [
        (files, f"{number(files, 'file')} gone at {number(hosts, 'living host')}"),
        (names, f"{number(names, 'URL')} whose name is gone"),
        (servers, f"{servers:,} at {number(len(dead), 'dead server')}"),
        (single, f"{single:,} refused one by one among images (stores say 403 for what is not there)"),
    ]
    refused = " If a host refused them for other reasons, --retry http_403 asks once more." if single else ""
    return [
        Finding(
            "rot",
            "URLs have rotted.",
            f"{counts.share(num)}: " + ", ".join(text for count, text in parts if count),
            "No setting brings them back. WARC files that hold them can be named in fetch.fallback; "
            f"`tuwen fetches DIR --by COLUMN` shows what the loss does to the corpus.{refused}",
            ("fetch.fallback", "--by", *(["--retry http_403"] if single else [])),
            num,
        )
    ]


def placeholders(counts: Counts) -> list[Finding]:
    """Stand-ins; known only once the stage `fetch.outcome` has run."""
    num = counts.num("placeholder")
    if not counts.is_notable(num):
        return []
    what = "The same bytes came for many URLs: stand-ins for what is gone."
    advice = "Keep them out by the rule `image.num_urls < 20`; with --retry placeholder they are asked for once more."
    settings = ("image.num_urls", "--retry placeholder")
    return [Finding("placeholder", what, counts.where("placeholder"), advice, settings, num)]


def rights(counts: Counts) -> list[Finding]:
    """Objections, which are obeyed, and takedowns."""
    found = []
    if counts.is_notable(num := counts.num("robots_disallowed", "opted_out")):
        what = "Hosts and pages object, and are obeyed."
        evidence = (
            f"{counts.where('robots_disallowed', 'opted_out')}: {counts.num('robots_disallowed'):,} by robots.txt, "
            f"{counts.num('opted_out'):,} by header, page or site file"
        )
        advice = "Nothing to tune; fetch.obey lists what is obeyed, fetches.rights what was said."
        found.append(Finding("rights", what, evidence, advice, ("fetch.obey",), num))
    if counts.is_notable(num := counts.num("robots_unreachable")):
        what = "robots.txt could not be had, which counts as forbidden."
        advice = "Build again later: these hosts are asked again."
        found.append(Finding("rights", what, counts.where("robots_unreachable"), advice, (), num))
    return found


def content(counts: Counts, settings: Fetch | None) -> list[Finding]:
    """Something else than images came, or images beyond the limits."""
    found = []
    sites = [site for site in counts.sites if site.answered >= 1]
    pages = [site for site in sites if site.num({"not_an_image"}) >= 0.9 * site.answered]
    if widespread(len(pages), len(sites), PAGES_FOR_IMAGES):
        what = "Nearly all sites send something else than images: the URLs are of pages, or a portal answers for all."
        advice = "Open one of the URLs: mind the column mapping of the source, or log in where a portal waits."
        evidence = f"{of(len(pages), len(sites))} sites that answer"
        num = counts.num("not_an_image")
        found.append(Finding("content", what, evidence, advice, ("--retry not_an_image",), num))
    else:
        instead = [host for host in counts.hosts if host.num({"not_an_image"}) and not host.turned_away]
        if counts.is_notable(num := sum(host.num({"not_an_image"}) for host in instead)):
            what = "Pages came instead of images: soft refusals, moved sites, or links to pages."
            advice = (
                "Open one in a browser (`tuwen fetches DIR --class not_an_image` lists them); hosts that only show "
                "images on their own pages stay out of reach."
            )
            found.append(Finding("content", what, counts.where("not_an_image"), advice, (), num))
    for name, setting in (("too_large", "max_bytes"), ("too_many_pixels", "max_pixels")):
        if counts.is_notable(num := counts.num(name)):
            what = f"Images are larger than fetch.{setting} allows."
            advice = f"Raise fetch.{setting}{now(settings, setting)} and build with --retry {name}."
            names = (f"fetch.{setting}", f"--retry {name}")
            found.append(Finding("content", what, counts.where(name), advice, names, num))
    other = ("empty_body", "bad_encoding", "vector_image", "undecodable")
    if counts.is_notable(num := counts.num(*other)):
        detail = ", ".join(f"{counts.num(name):,} {name}" for name in other if counts.num(name))
        what = "What came cannot be read as an image."
        found.append(Finding("content", what, f"{counts.where(*other)}: {detail}", "Nothing to tune.", (), num))
    if (num := counts.num("bad_url")) >= BAD_URLS * counts.total and num:
        what = "Much of what is listed is no http or https URL."
        advice = "Mind the column mapping of the source."
        found.append(Finding("content", what, counts.share(num), advice, (), num))
    return found


def _main_class(hosts: list[HostCounts], classes: frozenset[str]) -> str:
    """The class of most URLs."""
    return max(sorted(classes), key=lambda name: sum(host.counts.get(name, 0) for host in hosts))
