"""How to fetch: the section `fetch` of a recipe."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import ClassVar, Literal

from tuwen.errors import UsageError
from tuwen.fetching.outcomes import check_class

FETCHED = "fetch"
"""What the column `source` says of rows that the fetcher brought."""
Reservation = Literal["robots_txt", "noindex", "noai", "agents", "tdm", "content_usage", "ai_txt"]
OBEYED: tuple[Reservation, ...] = ("robots_txt", "noindex", "noai", "agents", "tdm", "content_usage", "ai_txt")

_POSITIVE = ("host_requests_per_s", "timeout_s", "connect_timeout_s", "read_timeout_s", "dns_timeout_s", "deadline_s")
_NOT_NEGATIVE = ("retries", "max_redirects", "backoff_s", "max_wait_s", "blocklist_distance")
_LARGE = 1e12  # what is larger, infinite or no number is a slip
_MOST_BITS = 16


@dataclass(frozen=True)
class Reencode:
    """Images made smaller as they arrive, instead of their original bytes. The original's SHA-256 stays on record."""

    short_side: int = 256
    """Pixels of the shorter side; smaller images are not enlarged."""
    quality: int = 95
    format: Literal["jpeg", "webp", "png"] = "jpeg"

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # a misspelt option must not go unseen

    def __post_init__(self) -> None:
        if self.short_side < 1 or not 1 <= self.quality <= 100:
            raise UsageError(f"reencode: short_side is at least 1 and quality 1 to 100, got {self}")


@dataclass(frozen=True)
class Fetch:
    """Manners and limits. Times are in seconds, sizes in bytes; everything a host may see has a polite default."""

    contact: str = ""
    """A URL or e-mail address where hosts can reach you, part of the user agent. Empty: that of the environment
    variable TUWEN_CONTACT. Nothing is fetched without one."""
    product: str = "tuwen"
    """First word of the user agent, and the name looked for in robots.txt."""
    obey: tuple[Reservation, ...] = OBEYED
    """Reservations that are obeyed; all that is checked is recorded either way."""
    site_files: tuple[Literal["tdmrep", "ai_txt"], ...] = ("tdmrep", "ai_txt")
    """Asked for once per host beside robots.txt."""

    concurrency: int = 256
    """Most requests in flight; adapts below it."""
    host_concurrency: int = 4
    """Most requests in flight per host."""
    host_requests_per_s: float = 10.0
    """Per host; a crawl-delay in robots.txt or a Retry-After goes before it."""

    timeout_s: float = 30.0
    """For one URL with its redirects, however the bytes drip."""
    connect_timeout_s: float = 10.0
    """For the connection and its handshake."""
    read_timeout_s: float = 10.0
    """Without a byte."""
    max_bytes: int = 32 << 20
    """Of a body, as it is sent and unpacked."""
    max_pixels: int = 100_000_000
    """That the header of an image may declare."""
    max_redirects: int = 5
    """Followed per URL."""
    retries: int = 2
    """Further attempts within the run after a transient failure."""
    backoff_s: float = 1.0
    """Before the first retry; doubles, with jitter."""
    max_wait_s: float = 120.0
    """Longest Retry-After or backoff that is waited for; what asks for more is left to the next run."""
    host_failures: int = 8
    """Failed connections in a row after which a host is left alone for this run."""
    deadline_s: float | None = None
    """For the whole run; what is not done by then stays pending."""

    nameservers: tuple[str, ...] = ()
    """`ADDRESS` or `ADDRESS:PORT`; empty: those of the system."""
    dns_concurrency: int = 32
    """Names asked for at once."""
    dns_timeout_s: float = 5.0
    """For one name."""
    allow_addresses: tuple[str, ...] = ()
    """Networks (CIDR) that may be asked although they are private: for tests and intranets."""

    blocklists: tuple[str, ...] = ()
    """Files with one MD5, SHA-256 or 64-bit perceptual hash (hexadecimal) a line."""
    blocklist_distance: int = 4
    """Most differing bits of a perceptual hash that still counts as the same picture."""
    reencode: Reencode | None = None
    """None: original bytes are kept."""
    retry: tuple[str, ...] = ()
    """Permanent classes to try once more."""
    select: str | None = None
    """A selection of pairs (by columns that need no image): only what it keeps is fetched."""
    fallback: tuple[str, ...] = ()
    """WARC files that are searched for URLs which failed for good."""

    def __post_init__(self) -> None:
        if not self.contact.isprintable():
            raise UsageError(f"fetch.contact is part of a header, so it must be one line, got {self.contact!r}")
        if not (self.product.isidentifier() and self.product.isascii()):
            raise UsageError(f"fetch.product must be one word, got {self.product!r}")
        for name in ("concurrency", "host_concurrency", "dns_concurrency", "max_bytes", "max_pixels", "host_failures"):
            if getattr(self, name) < 1:
                raise UsageError(f"fetch.{name} must be at least 1, got {getattr(self, name)}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not 0 < value <= _LARGE:
                raise UsageError(f"fetch.{name} must be a positive number, got {value}")
        for name in _NOT_NEGATIVE:
            if not 0 <= getattr(self, name) <= _LARGE:
                raise UsageError(f"fetch.{name} must be 0 or more, got {getattr(self, name)}")
        if self.blocklist_distance > _MOST_BITS:
            raise UsageError(
                f"fetch.blocklist_distance: {self.blocklist_distance} of 64 bits would match half of all pictures; "
                f"at most {_MOST_BITS}"
            )
        for name in self.retry:
            check_class(name, "fetch.retry")
        for server in self.nameservers:
            address, port = _address_and_port(server)
            try:
                ipaddress.ip_address(address)
                if not 0 < int(port) < 1 << 16:
                    raise ValueError(f"port {port}")
            except ValueError as error:
                raise UsageError(
                    f"fetch.nameservers: {server!r} is no ADDRESS or ADDRESS:PORT ({error}); write 9.9.9.9, say"
                ) from error
        for network in self.allow_addresses:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise UsageError(f"fetch.allow_addresses: {error}; write 127.0.0.0/8, for instance") from error

    @property
    def user_agent(self) -> str:
        """What hosts see. `UsageError` if there is no contact to name."""
        from tuwen import __version__

        contact = self.contact.strip() or os.environ.get("TUWEN_CONTACT", "").strip()
        if not contact.isprintable() or not ("@" in contact or "://" in contact):
            raise UsageError(
                f"fetch.contact is {contact!r}: give a URL or an e-mail address where hosts can reach you, in the "
                "recipe, by --set fetch.contact=… or in the environment variable TUWEN_CONTACT"
            )
        return f"{self.product}/{__version__} (+{contact})"


def _address_and_port(server: str) -> tuple[str, str]:
    """`9.9.9.9:53`, `9.9.9.9`, `2620:fe::fe`, `[2620:fe::fe]:53`."""
    if server.startswith("["):
        address, _, rest = server[1:].partition("]")
        return address, rest.removeprefix(":") or "53"
    if server.count(":") == 1:
        address, _, port = server.partition(":")
        return address, port
    return server, "53"
