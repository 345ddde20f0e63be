"""Outcomes counted by host, what is read from them, and the form of a finding."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from tuwen.fetching.outcomes import OK, OUTCOMES

Cause = Literal["resolver", "line", "blocking", "rot", "placeholder", "server", "rights", "content", "safety"]

NOTABLE = 0.01
"""Share of all URLs below which a cause is not worth a sentence: days differ by as much."""
FEW = 5
"""Images before and refusals after which "came, then refused" is a pattern: by chance (one in two) 1 in 1,000."""
IN_FLIGHT = 4
"""Images that may still arrive after a host's first refusal, being under way."""

NOT_ASKED = frozenset({"bad_url", "opted_out", "taken_down"})
SILENT = frozenset({"timeout", "unreachable", "host_down"})
NO_ANSWER = SILENT | NOT_ASKED | {"dns_not_found", "dns_failure", "blocked_address", "refused", "tls"}
REFUSALS = frozenset(name for name, outcome in OUTCOMES.items() if outcome.family == "blocked")
TURNS = REFUSALS | {"http_503", "not_an_image"}
"""What a host that has had enough answers instead of images."""

ADDRESS = "(address)"
"""What stands for the top-level domain of an IP address, which no resolver is asked about."""
_ADDRESS = re.compile(r"\[.*\]|[\d.]+")
_SHOWN_HOSTS = 3


@dataclass(slots=True)
class HostCounts:
    """URLs by class at one host, or (`host` None) at all those hosts of a top-level domain that are not told apart."""

    host: str | None
    tld: str
    counts: dict[str, int] = field(default_factory=dict)
    late_ok: int = 0
    """Images that came after the host's first answer of `TURNS`."""

    def num(self, classes: Collection[str]) -> int:
        """URLs that ended in one of the classes."""
        return sum(self.counts.get(name, 0) for name in classes)

    @property
    def total(self) -> int:
        """All URLs."""
        return sum(self.counts.values())

    @property
    def asked(self) -> int:
        """URLs that somebody, if only a nameserver, was asked about."""
        return self.total - self.num(NOT_ASKED)

    @property
    def answered(self) -> int:
        """URLs for which the host gave any answer."""
        return self.total - self.num(NO_ANSWER)

    def mostly(self, classes: Collection[str], share: float) -> bool:
        """Whether at least `share` of the URLs asked for ended in one of the classes."""
        count = self.num(classes)
        return count > 0 and count >= share * self.asked

    @property
    def turned_away(self) -> bool:
        """Images came, then refusals and (what was under way apart) no image more."""
        turns = self.num(TURNS)
        early = self.counts.get(OK, 0) - self.late_ok
        return early >= FEW and turns >= FEW and self.late_ok <= IN_FLIGHT + turns / 10


@dataclass(frozen=True)
class Finding:
    """One cause: what is going on, the figures that say so, and what to change."""

    cause: Cause
    what: str
    evidence: str
    advice: str
    settings: tuple[str, ...] = ()
    """Names of settings and options that the advice is about."""
    num_urls: int = 0


class Counts:
    """All counts: `rows` as they came, `hosts` told apart, and `sites`, which fail together."""

    def __init__(self, rows: Iterable[HostCounts]) -> None:
        self.rows = list(rows)
        self.hosts = [row for row in self.rows if row.host is not None and row.asked > 0]
        sites: dict[str, HostCounts] = {}
        for row in self.hosts:
            site = sites.setdefault(site_of(row.host or ""), HostCounts(row.host, row.tld))
            for name, count in row.counts.items():
                site.counts[name] = site.counts.get(name, 0) + count
        self.sites = list(sites.values())
        self.total = sum(row.total for row in self.rows)

    def num(self, *classes: str) -> int:
        """URLs that ended in one of the classes."""
        return sum(row.num(classes) for row in self.rows)

    def is_notable(self, num_urls: int) -> bool:
        """Whether so many URLs are worth a sentence."""
        return num_urls > 0 and num_urls >= NOTABLE * self.total

    def share(self, num_urls: int) -> str:
        """`1,234 URLs (12 %)`."""
        return f"{num_urls:,} URL{'' if num_urls == 1 else 's'} ({100 * num_urls / max(1, self.total):.0f} %)"

    def where(self, *classes: str) -> str:
        """`1,234 URLs (12 %), most at a.com (800), b.org (90)`."""
        at = worst([host for host in self.hosts if host.num(classes)], classes)
        return self.share(self.num(*classes)) + (f", most at {at}" if at else "")


def worst(hosts: Iterable[HostCounts], classes: Collection[str]) -> str:
    """The hosts with most URLs in the classes: `a.com (800), b.org (90)`."""
    ranked = sorted(hosts, key=lambda host: (-host.num(classes), host.host or ""))
    return ", ".join(f"{host.host} ({host.num(classes):,})" for host in ranked[:_SHOWN_HOSTS])


def number(count: int, noun: str) -> str:
    """`1 host`, `1,234 hosts`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def of(part: int, whole: int) -> str:
    """`97 % of 1,200`."""
    return f"{part:,} of {whole:,}" if whole < 100 else f"{100 * part / whole:.0f} % of {whole:,}"


def tld_of(host: str) -> str:
    """Top-level domain; `(address)` for an IP address."""
    return ADDRESS if _ADDRESS.fullmatch(host) else host.rstrip(".").rpartition(".")[2]


def site_of(host: str) -> str:
    """The domain that was probably registered: hosts of one site fail together. `img.a.co.uk` → `a.co.uk`."""
    labels = host.rstrip(".").split(".")
    if _ADDRESS.fullmatch(host) or len(labels) < 3:
        return host
    second_level = len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3:] if second_level else labels[-2:])


def widespread(part: int, whole: int, share: float) -> bool:
    """Whether surely more than `share` of what `whole` was drawn from is like `part`: the lower end of the interval.

    Wilson's score interval at 95 %. https://doi.org/10.1080/01621459.1927.10502953
    """
    if whole == 0:
        return False
    z, found = 1.96, part / whole
    centre = found + z * z / (2 * whole)
    reach = z * math.sqrt(found * (1 - found) / whole + z * z / (4 * whole * whole))
    return (centre - reach) / (1 + z * z / whole) > share
