"""What may be asked for: URLs that every reader takes for the same thing, and addresses that are public.

A URL is refused rather than repaired wherever readers of URLs are known to disagree about its host, because what was
checked must be what is asked. <https://url.spec.whatwg.org/> <https://www.rfc-editor.org/rfc/rfc3986>
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

import idna

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 8000  # RFC 9110, 4.1: what every server should read; longer ones are data: URLs gone wrong
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
# What most URLs are: in their checked form already, with no port and a name whose end is no number.
_PLAIN = re.compile(
    r"https?://(?=[a-z0-9.-]{1,253}/)(?:[a-z0-9-]{1,63}\.)+[a-z-][a-z0-9-]{0,62}/[A-Za-z0-9!$&'()*+,./:;=@_~-]*"
)
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_LOOKS_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_DROPPED = "".join(map(chr, range(0x21)))
# Everything printable stays as it is but for what browsers escape: a signature in a URL covers its very bytes.
_PATH_SAFE = "!$%&'()*+,-./:;=@[]_|~"
_QUERY_SAFE = _PATH_SAFE + "?`{}^"

# <https://www.iana.org/assignments/iana-ipv4-special-registry>: what is not the public Internet.
_SPECIAL_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
# Of IPv6 only 2000::/3 is public. What lies outside needs no list: ::1, fe80::, fc00::, ff00::, ::ffff:0:0 (IPv4
# within IPv6) and 64:ff9b:: (NAT64). <https://www.iana.org/assignments/iana-ipv6-special-registry>
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to an IPv4 address
        "3fff::/20",
    )
)


class AddressError(OSError):
    """No address to connect to. `error` is dns_not_found, dns_failure or blocked_address."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


class Guard:
    """Tells public addresses from special ones. `allow` lists networks (CIDR) that may be asked all the same."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        self._allowed = tuple(ipaddress.ip_network(network) for network in allow)

    def allows(self, ip_text: str) -> bool:
        """Whether the address may be connected to. What is no address, or has a scope (`%eth0`), may not."""
        try:
            address = ipaddress.ip_address(ip_text)
        except ValueError:
            return False
        if "%" in ip_text:
            return False
        if any(address in network for network in self._allowed):
            return True
        if isinstance(address, ipaddress.IPv4Address):
            return not any(address in network for network in _SPECIAL_IPV4)
        return address in _PUBLIC_IPV6 and not any(address in network for network in _SPECIAL_IPV6)


def checked_url(url: str) -> str | None:
    """The URL as it will be asked for, or None if it is not one to ask for.

    Scheme and host in lower case, IDNA done, no default port, no fragment, no trailing dot, a path always, what needs
    escaping escaped and nothing unescaped. `checked_url` of its own result is the same again.

    Refused: other schemes; user names and passwords (a leaked secret is not ours to use, and without it the URL is not
    the one that was listed); backslashes and control characters; escapes in the host; port 0; IPv4 addresses in any
    notation but four plain decimal numbers; IPv6 addresses with a scope; more than 8,000 characters.
    """
    return url if len(url) <= _LONGEST_URL and _PLAIN.fullmatch(url) else _checked(url)


def _checked(url: str) -> str | None:
    url = url.strip(_DROPPED)
    if len(url) > _LONGEST_URL or _FORBIDDEN.search(url):
        return None
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme, parts.port
        host = _checked_host(parts.netloc)
        path = quote(parts.path or "/", safe=_PATH_SAFE)
        query = "?" + quote(parts.query, safe=_QUERY_SAFE) if parts.query else ""
    except ValueError:  # UnicodeError, idna.IDNAError and AddressValueError too
        return None
    if scheme not in _DEFAULT_PORTS or host is None or port == 0:
        return None
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    checked = f"{scheme}://{host}{suffix}{path}{query}"
    return checked if len(checked) <= _LONGEST_URL else None


@lru_cache(65_536)
def _checked_host(netloc: str) -> str | None:
    """The host in the form in which it is asked for; None or ValueError if there is doubt about it."""
    if "@" in netloc:
        return None
    if netloc.startswith("["):
        inner, _, rest = netloc[1:].partition("]")
        if "%" in inner or not (rest == "" or rest.startswith(":")):
            return None
        return f"[{ipaddress.IPv6Address(inner).compressed}]"
    host = netloc.partition(":")[0].lower()
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode("ascii").lower()  # full-width digits become digits here
    host = host.removesuffix(".")
    if _LOOKS_NUMERIC.fullmatch(host):
        return str(ipaddress.IPv4Address(host))
    return host if _HOST_NAME.fullmatch(host) else None


def origin_of(url: str) -> str:
    """`https://host:port` of a checked URL, the port always given: the unit of politeness and of robots.txt."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    has_port = authority.rpartition("]")[2].find(":") >= 0
    return f"{scheme}://{authority}" if has_port else f"{scheme}://{authority}:{_DEFAULT_PORTS[scheme]}"
