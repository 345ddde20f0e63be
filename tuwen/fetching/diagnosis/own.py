"""Troubles on this side: the resolver and the line. They fail unrelated sites alike, also those that live."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tuwen.fetching.diagnosis.counts import ADDRESS, FEW, SILENT, Counts, Finding, HostCounts, of, widespread

if TYPE_CHECKING:
    from tuwen.fetching.settings import Fetch

DNS_FAILING = 0.1
"""Share of sites without an answer from any nameserver. Broken delegations alone make it a few in a hundred."""
HARDLY_FAILING = 0.05
"""The same below all registries but one: if it is no more than usual there, the one registry is the trouble."""
NEARLY_ALL = 0.9
"""Share of sites whose names are gone that no list reaches by age: 24 data sets lost a fifth of their URLs.
Lakic, Rossetto & Bernstein, MMM 2023. https://doi.org/10.1007/978-3-031-27077-2_37"""
FEWEST_TLDS = 3
"""Names vanish together below one registry, hardly below three."""
KNOWN_GONE = 0.3
"""Share of hosts that answered in an earlier run and do not exist now. Domains lapse far slower, even over years."""
FLAPPING = 0.2
"""Share of hosts that answered and did not exist in one run. Redirects to dead names make a few such hosts."""
SILENT_SITES = 0.3
"""Share of sites of which nothing is heard though their names resolve. Dead servers are some 5 to 10 %."""
REFUSED_SITES = 0.5
"""Share of sites at which nobody listens: expired domains are parked or refuse, so it takes more than silence does."""
BROKEN = frozenset({"timeout", "unreachable", "disconnected", "truncated_body"})
TOUCHED = 0.05
"""Share of a living host's URLs that break off before it counts as touched: sound hosts stay below 1 %."""
TOUCHED_HOSTS = 0.25
"""Share of living hosts that are touched: overloaded hosts are few, a full line touches them all."""


def lying_resolver(counts: Counts, known: Collection[str], retried: Collection[str]) -> list[Finding]:
    """Names that surely exist are said not to."""
    missing = {"dns_not_found"}
    gone = [site for site in counts.sites if site.mostly(missing, NEARLY_ALL)]
    tlds = {site.tld for site in gone}
    before = [host for host in counts.hosts if host.host in known]
    lost = [host for host in before if host.mostly(missing, NEARLY_ALL)]
    living = [host for host in counts.hosts if host.answered and host.asked > 1]
    flapping = [host for host in living if host.num(missing)]
    evidence = []
    is_news = "dns_not_found" not in retried
    if is_news and len(tlds) >= FEWEST_TLDS and widespread(len(gone), len(counts.sites), NEARLY_ALL):
        evidence.append(f"{of(len(gone), len(counts.sites))} sites in {len(tlds)} top-level domains do not exist")
    if widespread(len(lost), len(before), KNOWN_GONE):
        evidence.append(f"{of(len(lost), len(before))} hosts that answered in an earlier run do not exist")
    if widespread(len(flapping), len(living), FLAPPING):
        evidence.append(f"{of(len(flapping), len(living))} hosts exist for some URLs and not for others")
    if not evidence:
        return []
    return [
        Finding(
            "resolver",
            "The resolver denies names that exist.",
            "; ".join(evidence),
            "Log in where a portal waits, or name other servers in fetch.nameservers; then build with "
            "--retry dns_not_found.",
            ("fetch.nameservers", "--retry dns_not_found"),
            counts.num("dns_not_found"),
        )
    ]


def failing_resolver(counts: Counts, settings: Fetch | None) -> list[Finding]:
    """No answer about unrelated names, or about the names of one registry only."""
    failing = [site for site in counts.sites if site.mostly({"dns_failure"}, 0.2)]
    if not widespread(len(failing), len(counts.sites), DNS_FAILING):
        return []
    num_urls = counts.num("dns_failure")
    evidence = f"no answer about {of(len(failing), len(counts.sites))} sites"
    if registry := _registry_at_fault(counts, failing):
        what = f"The nameservers of .{registry} are out of reach; the resolver itself works."
        return [Finding("resolver", what, evidence, "Build again later: these URLs are tried again.", (), num_urls)]
    if not any(site.answered for site in counts.sites):
        what = "The resolver does not answer, or this machine is offline."
        advice = "See whether the network is up; then name servers that answer in fetch.nameservers."
        return [Finding("resolver", what, evidence, advice, ("fetch.nameservers",), num_urls)]
    return [
        Finding(
            "resolver",
            "The resolver is overloaded or broken.",
            evidence,
            "Use a caching resolver of your own or other servers (fetch.nameservers), or ask for fewer names at once: "
            f"lower fetch.dns_concurrency{now(settings, 'dns_concurrency')}. Then build again.",
            ("fetch.nameservers", "fetch.dns_concurrency"),
            num_urls,
        )
    ]


def _registry_at_fault(counts: Counts, failing: list[HostCounts]) -> str | None:
    """The top-level domain below which names fail, if elsewhere they hardly do."""
    tlds = [site.tld for site in failing]
    first = max(sorted(set(tlds)), key=tlds.count)
    others = sum(site.tld != first for site in counts.sites)
    failing_others = len(failing) - tlds.count(first)
    return first if others >= FEW and failing_others <= HARDLY_FAILING * others else None


def special_addresses(counts: Counts) -> list[Finding]:
    """Names that lead to private addresses: by a filter, or into an intranet."""
    num_urls = counts.num("blocked_address")
    names = [site for site in counts.sites if site.tld != ADDRESS]
    sites = [site for site in names if site.mostly({"blocked_address"}, 0.5)]
    if len(sites) >= FEW and widespread(len(sites), len(names), DNS_FAILING):
        return [
            Finding(
                "resolver",
                "The resolver leads many unrelated names to private or special addresses: it filters or misleads.",
                f"{of(len(sites), len(names))} sites",
                "Name other servers in fetch.nameservers; in an intranet, name its network in fetch.allow_addresses. "
                "Then build with --retry blocked_address.",
                ("fetch.nameservers", "fetch.allow_addresses", "--retry blocked_address"),
                num_urls,
            )
        ]
    if not counts.is_notable(num_urls):
        return []
    what = "URLs lead to private or special addresses, which are never asked."
    advice = (
        "Leave it so, unless these hosts are your own: then name their network in fetch.allow_addresses, and build "
        "with --retry blocked_address."
    )
    change = ("fetch.allow_addresses", "--retry blocked_address")
    return [Finding("safety", what, counts.where("blocked_address"), advice, change, num_urls)]


def dead_line(counts: Counts) -> list[Finding]:
    """Most unrelated sites are silent, refuse connections, or show unacceptable certificates."""
    resolved = [site for site in counts.sites if site.asked > site.num({"dns_not_found", "dns_failure"})]
    found = []
    for classes, share, what, advice in (
        (
            SILENT,
            SILENT_SITES,
            "Nothing is heard of many unrelated sites: the line is down or full, or a firewall drops what is sent.",
            "See whether other programs reach these hosts; lower fetch.concurrency. Then build again.",
        ),
        (
            frozenset({"refused"}),
            REFUSED_SITES,
            "Connections to most sites are refused: something between here and there forbids them.",
            "Look for a firewall, or a proxy that this network demands. Then build again.",
        ),
        (
            frozenset({"tls"}),
            SILENT_SITES,
            "The certificates of many unrelated sites are not accepted: a wrong clock, missing roots or interception.",
            "Set the clock and install ca-certificates. Then build with --retry tls.",
        ),
    ):
        sites = [site for site in resolved if not site.answered and site.mostly(classes, 0.5)]
        if widespread(len(sites), len(resolved), share):
            evidence = f"{of(len(sites), len(resolved))} sites that have an address"
            settings = tuple(word for word in ("fetch.concurrency", "--retry tls") if word in advice)
            found.append(Finding("line", what, evidence, advice, settings, counts.num(*classes)))
    return found


def full_line(counts: Counts, settings: Fetch | None) -> list[Finding]:
    """Transfers break off at hosts that live, wherever they are."""
    living = [host for host in counts.hosts if host.answered and host.asked > 1]
    touched = [host for host in living if host.mostly(BROKEN, TOUCHED)]
    if not widespread(len(touched), len(living), TOUCHED_HOSTS):
        return []
    evidence = f"transfers stood still or broke off at {of(len(touched), len(living))} living hosts"
    return [
        Finding(
            "line",
            "Your own line is full.",
            evidence,
            f"Lower fetch.concurrency{now(settings, 'concurrency')}, or give more time: "
            f"fetch.timeout_s{now(settings, 'timeout_s')}. Then build again.",
            ("fetch.concurrency", "fetch.timeout_s"),
            counts.num(*BROKEN),
        )
    ]


def now(settings: Fetch | None, name: str) -> str:
    """` (now 32)`, where the settings are known."""
    return f" (now {getattr(settings, name):g})" if settings is not None else ""
