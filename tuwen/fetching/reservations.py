"""What an answer and its site reserve, and whether that is obeyed. Recorded either way: obeying is a setting.

| `obey`          | refuses on |
|---|---|
| `robots_txt`    | robots.txt (`tuwen.fetching.sites`) |
| `noindex`       | noindex, none or noimageindex, told to everybody |
| `noai`          | noai or noimageai, told to everybody |
| `agents`        | any of these, told to an AI crawler (`tuwen.stages.robots.AI_AGENTS`) or to us by name; a group of |
|                 | robots.txt for another crawler is not for us (RFC 9309): `robots_txt_ai` only records it |
| `tdm`           | TDMRep: the header, or tdmrep.json |
| `content_usage` | AIPREF: training refused, by header or robots.txt |
| `ai_txt`        | ai.txt |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tuwen.fetching.settings import Fetch
from tuwen.sources.extraction.rights import header_evidence
from tuwen.stages.reservations import ROBOTS, Reserved
from tuwen.stages.robots import AI_AGENTS, EVERYBODY, REFUSALS, directives

_BOTS = re.compile(r"\bbots\s*=\s*n\b", re.IGNORECASE)
_TRAINING = re.compile(r"\btrain-(?:gen)?ai\s*=\s*[yn]\b", re.IGNORECASE)


def headers_evidence(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Reservations in the headers (names in lower case) of an answer: (kind, value) as in `documents.rights`."""
    return header_evidence(headers)


def refusal(evidence: Sequence[tuple[str, str]], settings: Fetch) -> str | None:
    """`opted_out` if the evidence holds a reservation that is obeyed, else None. robots.txt is not judged here."""
    return "opted_out" if _refused(tuple(evidence), settings.product.lower()) & frozenset(settings.obey) else None


@lru_cache(maxsize=1024)
def _refused(evidence: tuple[tuple[str, str], ...], product: str) -> frozenset[str]:
    """Which of the reservations are made."""
    reserved = Reserved.of({"kind": kind, "value": value} for kind, value in evidence)
    told = [pair for kind, value in evidence if kind in ROBOTS for pair in directives(value)]
    usage = [value for kind, value in evidence if kind == "content_usage"]
    made = {
        "noindex": reserved.noindex or any(scope in EVERYBODY and word == "noimageindex" for scope, word in told),
        "noai": reserved.noai or reserved.noimageai,
        "agents": any((scope == product or scope in AI_AGENTS) and word in REFUSALS for scope, word in told),
        "tdm": reserved.tdm_reserved,
        "content_usage": reserved.train_ai_refused or any(map(_refuses_all_machines, usage)),
        "ai_txt": reserved.ai_txt_refused,
    }
    return frozenset(name for name, is_made in made.items() if is_made)


def _refuses_all_machines(usage: str) -> bool:
    """`bots=n` of the vocabulary's first drafts covers training, unless the same statement names training."""
    return bool(_BOTS.search(usage)) and not _TRAINING.search(usage)
