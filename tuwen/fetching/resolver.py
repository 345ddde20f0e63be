"""Names to public addresses: with a budget, a cache and an honest reason where there is none.

The resolvers of most machines are built for a person who browses; thousands of names at once make them drop queries,
and dropped queries look like dead names. So few are in flight at a time, each name is asked for once, and "there is no
such name" is told from "nobody answered".
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from typing import NamedTuple

import aiodns
import pycares
from aiohttp.abc import AbstractResolver, ResolveResult

from tuwen.errors import UsageError
from tuwen.fetching.guard import AddressError, Guard
from tuwen.fetching.settings import Fetch

_CACHED_NAMES = 65_536
_FOUND_TTL_S = 600.0
_FAILURE_TTL_S = 1.0  # a retry after backoff_s shall ask anew
_NOT_FOUND = (
    aiodns.error.ARES_ENOTFOUND,
    aiodns.error.ARES_ENODATA,
    aiodns.error.ARES_ENONAME,
    aiodns.error.ARES_EBADNAME,
)
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class _Cached(NamedTuple):
    expires: float
    addresses: tuple[str, ...]
    failure: AddressError | None


class Resolver(AbstractResolver):
    """Resolves names through `settings.nameservers` (or those of the system) and the system's hosts file.

    Only addresses the guard allows come back; if a name has others only, it is `blocked_address`. A client that
    connects to what this returns, and to nothing else, cannot be led elsewhere by a second answer (DNS rebinding).
    To be created, used and closed within one running event loop.
    """

    def __init__(self, settings: Fetch) -> None:
        self._guard = Guard(settings.allow_addresses)
        self._timeout_s = settings.dns_timeout_s
        self._budget = asyncio.Semaphore(settings.dns_concurrency)
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[_Cached]] = {}
        # Two tries; the second waits twice as long as the first. No search domains: a listed name is complete.
        self._dns = aiodns.DNSResolver(
            timeout=settings.dns_timeout_s / 3,
            tries=2,
            flags=pycares.ARES_FLAG_NOSEARCH | pycares.ARES_FLAG_EDNS,
        )
        if settings.nameservers:
            try:
                self._dns.nameservers = settings.nameservers
            except (pycares.AresError, ValueError) as error:
                raise UsageError(
                    f"fetch.nameservers: {', '.join(settings.nameservers)} cannot be used ({error}); "
                    "write addresses, with a port if need be: 9.9.9.9, 127.0.0.1:5353, [2620:fe::fe]:53"
                ) from error

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Allowed addresses of a name, at least one. AddressError tells why there is none.

        Waiting for a turn among other names is not limited here: whoever asks has a deadline.
        """
        cached = self._cache.get(host)
        if cached is None or cached.expires < time.monotonic():
            lookup = self._lookups.get(host)
            if lookup is None:
                lookup = self._lookups[host] = asyncio.create_task(self._lookup(host))
            cached = await asyncio.shield(lookup)  # others may wait for the same name
        if cached.failure is not None:
            raise AddressError(cached.failure.error, str(cached.failure))
        return cached.addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """What aiohttp asks for when it opens a connection."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=_NUMERIC)
            for address in await self.addresses(host)
            if family in (kind := socket.AF_INET6 if ":" in address else socket.AF_INET, socket.AF_UNSPEC)
        ]

    async def close(self) -> None:
        """Ends what is under way."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        await self._dns.close()

    async def _lookup(self, host: str) -> _Cached:
        try:
            async with self._budget:
                started = time.monotonic()
                try:
                    cached = _Cached(started + _FOUND_TTL_S, await self._query(host), None)
                except AddressError as failure:
                    ttl = _FAILURE_TTL_S if failure.error == "dns_failure" else _FOUND_TTL_S
                    cached = _Cached(time.monotonic() + ttl, (), failure)
            self._cache[host] = cached
            self._cache.move_to_end(host)
            if len(self._cache) > _CACHED_NAMES:
                self._cache.popitem(last=False)
            return cached
        finally:
            del self._lookups[host]

    async def _query(self, host: str) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await self._dns.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise AddressError("dns_failure", f"{host}: no answer within {self._timeout_s:g} s") from error
        except aiodns.error.DNSError as error:
            kind = "dns_not_found" if error.args[0] in _NOT_FOUND else "dns_failure"
            raise AddressError(kind, f"{host}: {error.args[1]}") from error
        found = dict.fromkeys(node.addr[0].decode() for node in result.nodes)
        if not found:
            raise AddressError("dns_not_found", f"{host} has no address")
        allowed = tuple(address for address in found if self._guard.allows(address))
        if not allowed:
            raise AddressError("blocked_address", f"{host} leads to {', '.join(found)}")
        return allowed
