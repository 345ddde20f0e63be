"""What can become of a URL: the classes that `fetches.error` tells apart, and which of them may pass.

`None` is the class `ok`. A transient outcome is tried again within the run and by the next run; a permanent one stays
until `--retry CLASS` asks for it. HTTP statuses not listed here are `http_STATUS`: 5xx transient, all others permanent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from tuwen.errors import UsageError
from tuwen.parts import nearest

Family = Literal["ok", "rot", "blocked", "server", "network", "resolver", "content", "rights", "safety"]
OK = "ok"


@dataclass(frozen=True)
class Outcome:
    """One class: whether it may pass, which kind of trouble it is, and what it means in a sentence."""

    transient: bool
    family: Family
    meaning: str


OUTCOMES: dict[str, Outcome] = {
    OK: Outcome(False, "ok", "An image came and is stored."),
    # Names and connections
    "dns_not_found": Outcome(False, "rot", "The name does not exist, or has no address."),
    "dns_failure": Outcome(True, "resolver", "The resolver gave no answer: it timed out, refused or failed."),
    "refused": Outcome(True, "network", "Nothing accepts connections at that address."),
    "unreachable": Outcome(True, "network", "No route to the address, or the connection was reset before an answer."),
    "tls": Outcome(False, "network", "The certificate or the handshake is not acceptable."),
    "timeout": Outcome(True, "network", "Connecting, waiting for bytes or the whole transfer took too long."),
    "disconnected": Outcome(True, "network", "The connection broke after the answer had begun."),
    "bad_http": Outcome(False, "server", "The answer is not HTTP."),
    "host_down": Outcome(True, "network", "Not asked: the host had just failed many times in a row."),
    # Answers
    "http_401": Outcome(False, "blocked", "The server wants credentials; none are ever sent."),
    "http_403": Outcome(False, "blocked", "The server refuses."),
    "http_404": Outcome(False, "rot", "Not found."),
    "http_408": Outcome(True, "server", "The server gave up waiting."),
    "http_410": Outcome(False, "rot", "Gone, says the server."),
    "http_425": Outcome(True, "server", "Too early."),
    "http_429": Outcome(True, "blocked", "Too many requests, also after waiting as the server asked."),
    "http_451": Outcome(False, "blocked", "Unavailable for legal reasons."),
    "http_999": Outcome(False, "blocked", "Refused: LinkedIn and others say so to robots."),
    "too_many_redirects": Outcome(False, "server", "More redirects than allowed, or a loop."),
    "bad_redirect": Outcome(False, "server", "A redirect without a usable target."),
    # Bodies
    "too_large": Outcome(False, "content", "More bytes than `max_bytes`, compressed or not."),
    "empty_body": Outcome(False, "content", "No bytes came."),
    "truncated_body": Outcome(True, "network", "The connection ended before the announced length."),
    "bad_encoding": Outcome(False, "content", "The content encoding does not fit the bytes."),
    "not_an_image": Outcome(False, "content", "Something else came, often a page that says sorry."),
    "vector_image": Outcome(False, "content", "An SVG: nothing here reads vector images."),
    "undecodable": Outcome(False, "content", "It begins like an image and cannot be read as one."),
    "too_many_pixels": Outcome(False, "safety", "The header declares more pixels than `max_pixels`."),
    "placeholder": Outcome(False, "rot", "The same bytes came for many URLs: a stand-in for what is gone."),
    "hash_mismatch": Outcome(False, "rot", "Not the bytes that the list promised."),
    # Rights and safety
    "taken_down": Outcome(False, "rights", "A takedown names the URL or its domain: it was not asked for."),
    "robots_disallowed": Outcome(False, "rights", "robots.txt forbids it."),
    "robots_unreachable": Outcome(True, "rights", "robots.txt could not be had, which counts as forbidden (RFC 9309)."),
    "opted_out": Outcome(False, "rights", "Training, indexing or mining is refused by header, page or site file."),
    "blocked_address": Outcome(False, "safety", "The name leads to a private, loopback or otherwise special address."),
    "bad_url": Outcome(False, "safety", "Not an http or https URL that can be asked for."),
    "blocklisted": Outcome(False, "safety", "Its hash is on a blocklist; the bytes were not stored."),
}
_HTTP = re.compile(r"http_(\d{3})")


def outcome_of(error: str | None) -> Outcome:
    """The class behind a value of `fetches.error`. Errors that only archives have count as permanent content."""
    name = error or OK
    if name in OUTCOMES:
        return OUTCOMES[name]
    if status := _HTTP.fullmatch(name):
        transient = status[1].startswith("5") and status[1] not in ("501", "505")
        return Outcome(transient, "server", f"The server answered with status {status[1]}.")
    return Outcome(False, "content", "An error of an archive or of an earlier version.")


def is_transient(error: str | None) -> bool:
    """Whether a later attempt may do better."""
    return outcome_of(error).transient


def shares(classes: Mapping[str, int]) -> list[str]:
    """`71 % ok`, `18 % rot`, …: counts by class as shares of families, without those below half a percent."""
    families: Counter[str] = Counter()
    for name, count in classes.items():
        families[outcome_of(name).family] += count
    percents = {family: round(100 * families[family] / max(1, families.total())) for family in get_args(Family)}
    return [f"{percent} % {family}" for family, percent in percents.items() if percent]


def check_class(name: str, where: str) -> None:
    """`UsageError` unless a URL that failed can have ended so."""
    if name == OK or (name not in OUTCOMES and not _HTTP.fullmatch(name)):
        raise UsageError(f"{where}: no class {name!r}; {nearest(name, [known for known in OUTCOMES if known != OK])}")
