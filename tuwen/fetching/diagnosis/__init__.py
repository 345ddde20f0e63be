"""Why URLs failed: rot, hosts that refuse, a broken resolver or a bad line, told apart by where failures fall.

One failure says little: a name may be gone, or the resolver may lie. What tells causes apart is how failures spread.
Rot is scattered over hosts, most of which live. Blocking sits on single hosts, often after some images came. A
resolver or a line fails unrelated sites alike, also those that live. A share of sites counts only if the lower end of
its interval passes the threshold, so that a handful of hosts proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from tuwen.fetching.diagnosis import own, theirs
from tuwen.fetching.diagnosis.counts import TURNS, Cause, Counts, Finding, HostCounts, tld_of

if TYPE_CHECKING:
    from tuwen.fetching.settings import Fetch

__all__ = ["TURNS", "Cause", "Finding", "HostCounts", "diagnose", "tld_of"]


def diagnose(
    hosts: Iterable[HostCounts],
    *,
    known_hosts: Collection[str] = (),
    retried: Collection[str] = (),
    settings: Fetch | None = None,
) -> list[Finding]:
    """What went wrong: troubles on this side first, then by the number of URLs. Empty where all is well.

    `known_hosts` answered in an earlier run; URLs of the classes `retried` had ended so before; `settings` were
    in force.
    """
    counts = Counts(hosts)
    lying = own.lying_resolver(counts, frozenset(known_hosts), retried)
    line = [*own.dead_line(counts), *own.full_line(counts, settings)]
    found = [
        *lying,
        *own.failing_resolver(counts, settings),
        *own.special_addresses(counts),
        *line,
        *theirs.blocking(counts, settings),
        *theirs.servers(counts, settings, line=bool(line)),
        *theirs.rot(counts, lying=bool(lying), line=bool(line)),
        *theirs.placeholders(counts),
        *theirs.rights(counts),
        *theirs.content(counts, settings),
    ]
    return sorted(found, key=lambda finding: (finding.cause not in ("resolver", "line"), -finding.num_urls))
