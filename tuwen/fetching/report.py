"""What a run has come to so far: counts by host in bounded memory, for findings before its end."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tuwen.fetching.diagnosis import TURNS, Finding, HostCounts, diagnose, tld_of
from tuwen.fetching.outcomes import OK

if TYPE_CHECKING:
    from tuwen.fetching.resolver import ResolverStats
    from tuwen.fetching.settings import Fetch

MOST_HOSTS = 2_000


class Tally:
    """Counts the ends of a run's URLs by host; of each host in the order in which they came.

    Of many hosts two kinds are told apart: the heaviest, as blocking sits there, and a sample drawn by the hash of
    their names, which stands for all when shares of hosts are judged. The sample only ever loses hosts, so each of
    its hosts has been counted from the first URL on. All others are counted by top-level domain.
    """

    def __init__(self, most_hosts: int = MOST_HOSTS) -> None:
        self.classes: Counter[str] = Counter()
        self._most_hosts = most_hosts
        self._hosts: dict[str, HostCounts] = {}
        self._turned: set[str] = set()
        self._rest: dict[str, HostCounts] = {}

    def add(self, url: str, error: str | None) -> None:
        """One URL has ended in a class of `tuwen.fetching.outcomes` (None: an image came)."""
        name = error or OK
        self.classes[name] += 1
        host = _host(url)
        row = self._hosts.get(host)
        if row is None:
            if len(self._hosts) >= self._most_hosts:
                self._prune()
            row = self._hosts[host] = HostCounts(host, tld_of(host))
        row.counts[name] = row.counts.get(name, 0) + 1
        if name in TURNS:
            self._turned.add(host)
        elif name == OK and host in self._turned:
            row.late_ok += 1

    def hosts(self) -> Iterator[HostCounts]:
        """The counts that `diagnose` takes."""
        yield from self._hosts.values()
        yield from self._rest.values()

    def findings(
        self,
        *,
        resolver: ResolverStats | None = None,
        known_hosts: Collection[str] = (),
        slowdowns: int = 0,
        settings: Fetch | None = None,
    ) -> list[Finding]:
        """What went wrong so far, and what to change: see `diagnose`."""
        return diagnose(
            self.hosts(),
            resolver=resolver,
            known_hosts=known_hosts,
            retried=settings.retry if settings else (),
            slowdowns=slowdowns,
            settings=settings,
        )

    def _prune(self) -> None:
        """Keep a quarter of the room for the heaviest hosts and a quarter for the sample."""
        quarter = self._most_hosts // 4
        by_weight = sorted(self._hosts, key=lambda host: (-self._hosts[host].total, host))
        by_hash = sorted(self._hosts, key=lambda host: (zlib.crc32(host.encode()), host))
        kept = {*by_weight[:quarter], *by_hash[:quarter]}
        for host in self._hosts.keys() - kept:
            row = self._hosts.pop(host)
            rest = self._rest.setdefault(row.tld, HostCounts(None, row.tld))
            for name, count in row.counts.items():
                rest.counts[name] = rest.counts.get(name, 0) + count
        self._turned &= kept


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # of class bad_url
        return ""
