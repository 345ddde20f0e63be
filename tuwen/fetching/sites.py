"""Manners by site: what robots.txt, tdmrep.json and ai.txt say about a URL. Asked for once per origin and run."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tuwen.fetching.answer import Answer
from tuwen.fetching.guard import checked_url, origin_of
from tuwen.fetching.hosts import CONNECTION_FAILURES
from tuwen.fetching.reservations import refusal
from tuwen.fetching.robots_txt import LARGEST, RobotsTxt
from tuwen.fetching.settings import Fetch
from tuwen.fetching.site_cache import SiteCache, SiteFile
from tuwen.fetching.site_files import AiTxt, Evidence, TdmRep

Get = Callable[[str, int], Awaitable[Answer]]
"""Fetches a URL of at most so many bytes, politely, up to five redirects followed; of what is larger, the beginning."""

Parsed = TypeVar("Parsed", RobotsTxt, TdmRep | AiTxt)

_ROBOTS_TXT, _TDMREP, _AI_TXT = "/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"
_MOST_SITES = 2000
_MOST_RULES = 100_000  # some 60 MB
_LONG = 64 << 10  # bytes that are parsed beside the event loop

# Without a status, the host itself fails, as it would for the URL: told as what it is, for it is no word about robots.
_HOST_FAILS = CONNECTION_FAILURES | {"disconnected", "bad_http", "blocked_address", "host_down", "bad_url"}
# RFC 9309, 2.3.1.2: after too many redirects the file counts as missing.
_MISSING = frozenset({"too_many_redirects", "bad_redirect"})


@dataclass(frozen=True)
class Policy:
    """What a site says about one URL. `error` is None or why it must not be asked for, a key of OUTCOMES.

    Evidence: `robots_txt` (allowed, disallowed, none, unreachable), `robots_txt_ai` (AI crawlers that may not have what
    everybody may), `content_usage`, `tdmrep_json` (reserved, not_reserved, none), `tdm_policy`, `ai_txt` (refused,
    allowed, none). What is missing was not asked for or could not be had.
    """

    error: str | None
    evidence: Evidence
    crawl_delay_s: float | None


@dataclass(frozen=True)
class _Site:
    error: str | None
    robots: RobotsTxt | None
    files: tuple[TdmRep | AiTxt, ...]
    valid_until: float

    @property
    def weight(self) -> int:
        return (self.robots.num_rules if self.robots else 0) + sum(file.num_rules for file in self.files)

    def policy(self, url: str, settings: Fetch) -> Policy:
        obeys_robots = "robots_txt" in settings.obey
        if self.robots is None:
            evidence = [("robots_txt", "unreachable")] if self.error == "robots_unreachable" else []
            return Policy(self.error if obeys_robots else None, evidence, None)
        allowed = self.robots.allows(url)
        verdict = "none" if self.robots.is_empty else "allowed" if allowed else "disallowed"
        evidence = [("robots_txt", verdict)]
        if agents := self.robots.refused_agents(url):
            evidence.append(("robots_txt_ai", ", ".join(agents)))
        evidence += [("content_usage", preference) for preference in self.robots.usage(url)]
        for file in self.files:
            evidence += file.evidence(url)
        error = "robots_disallowed" if obeys_robots and not allowed else refusal(evidence, settings)
        return Policy(error, evidence, self.robots.crawl_delay_s)


class Sites:
    """Policies of sites, remembered: parsed in memory (bounded), as answered in the file `cache` for up to a day.

    `cache` may be shared by processes and may be lost; None keeps answers for this run alone.
    """

    def __init__(self, settings: Fetch, get: Get, cache: Path | None) -> None:
        self._settings = settings
        self._get = get
        self._cache = SiteCache(cache)
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._weight = 0
        self._pending: dict[str, asyncio.Task[_Site]] = {}
        self._delays: dict[str, float] = {}

    async def of(self, url: str) -> Policy:
        """What its site says about a checked URL. The first asks the site; who comes meanwhile waits with it."""
        if (policy := self.known(url)) is not None:
            return policy
        origin = origin_of(url)
        task = self._pending.get(origin)
        if task is None:
            task = self._pending[origin] = asyncio.create_task(self._load(origin))
            task.add_done_callback(lambda _: self._pending.pop(origin))
        site = await asyncio.shield(task)  # one who gives up does not take the answer from the others
        return site.policy(url, self._settings)

    def known(self, url: str) -> Policy | None:
        """What `of` would say at once; None where it would have to look, which may take turns at the origin."""
        origin = origin_of(url)
        site = self._sites.get(origin)
        if site is None or site.valid_until <= time.time():
            return None
        self._sites.move_to_end(origin)
        return site.policy(url, self._settings)

    def not_before(self) -> dict[str, float]:
        """For how many seconds from now origins want no requests, as an earlier run was told."""
        return self._cache.rests()

    def rest(self, origin: str, seconds: float) -> None:
        """Remember for the next run that an origin wants no requests for so long."""
        self._cache.put_rest(origin, seconds)

    def crawl_delay(self, origin: str) -> float | None:
        """Seconds between requests that robots.txt asks for, if that is known by now: it holds for site files too."""
        if origin in self._delays:
            return self._delays[origin]
        site = self._sites.get(origin)
        return site.robots.crawl_delay_s if site and site.robots else None

    def close(self) -> None:
        """End what is still under way, and close the cache."""
        for task in self._pending.values():
            task.cancel()
        self._cache.close()

    async def _load(self, origin: str) -> _Site:
        try:
            site = await self._read(origin)
        finally:
            self._delays.pop(origin, None)
        if known := self._sites.pop(origin, None):
            self._weight -= known.weight
        self._sites[origin] = site
        self._weight += site.weight
        while len(self._sites) > _MOST_SITES or (self._weight > _MOST_RULES and len(self._sites) > 1):
            _, forgotten = self._sites.popitem(last=False)
            self._weight -= forgotten.weight
        return site

    async def _read(self, origin: str) -> _Site:
        """robots.txt first: it may forbid to ask for the others."""
        product, obey = self._settings.product, self._settings.obey
        answered, robots = await self._file(origin, _ROBOTS_TXT, lambda body: RobotsTxt(body, product))
        if robots is None:
            return _Site(answered.error, None, (), answered.valid_until)
        if robots.crawl_delay_s is not None:
            self._delays[origin] = robots.crawl_delay_s
        parsers: dict[str, Callable[[bytes], TdmRep | AiTxt]] = {}
        if "tdmrep" in self._settings.site_files:
            parsers[_TDMREP] = TdmRep
        if "ai_txt" in self._settings.site_files:
            parsers[_AI_TXT] = lambda body: AiTxt(body, product)
        found = await asyncio.gather(
            *(
                self._file(origin, path, parse)
                for path, parse in parsers.items()
                if "robots_txt" not in obey or robots.allows(origin + path)
            )
        )
        files = tuple(parsed for _, parsed in found if parsed is not None)
        return _Site(None, robots, files, min([answered.valid_until, *(file.valid_until for file, _ in found)]))

    async def _file(self, origin: str, path: str, parse: Callable[[bytes], Parsed]) -> tuple[SiteFile, Parsed | None]:
        """A site file as answered and as parsed: None if it could not be had."""
        file = self._cache.get(origin, path)
        is_new = file is None
        if file is None:
            url = origin + path
            file = _judged(await self._get(checked_url(url) or url, LARGEST), origin, path)
        parsed = None
        if file.is_final:
            parsed = await asyncio.to_thread(parse, file.body) if len(file.body) > _LONG else parse(file.body)
        if is_new:  # error pages that pass for files are not worth keeping
            self._cache.put(origin, path, replace(file, body=b"") if parsed is None or parsed.is_empty else file)
        return file, parsed


def _judged(answer: Answer, origin: str, path: str) -> SiteFile:
    """RFC 9309, 2.3.1: 2xx is read, the beginning if it is too large; 3xx without end and 4xx mean that there is none.

    429 is no answer to the question, and counts as a failure of the moment like 5xx and what breaks on the way.
    """
    now, status, error = time.time(), answer.status or 0, answer.error
    is_cut = error == "too_large" and bool(answer.body) and path != _TDMREP  # half a JSON says nothing
    if 200 <= status < 300 and (is_cut or error in (None, "empty_body")):
        return SiteFile(status, None, answer.body[:LARGEST], now, True)
    if error in _MISSING or 300 <= status < 400 or (400 <= status < 500 and status != 429):
        return SiteFile(status, None, b"", now, True)
    asked = checked_url(answer.url)
    is_host = error in _HOST_FAILS and not status and (asked is None or origin_of(asked) == origin)
    return SiteFile(answer.status, error if is_host else "robots_unreachable", b"", now, False)
