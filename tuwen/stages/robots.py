"""Robots directives of a page or a response: which of them concern everybody, and which AI crawlers they refuse.

Syntax: https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag (`noindex`, `none`, agent
prefixes) and https://www.deviantart.com/team/journal/UPDATE-All-Deviations-Are-Opted-Out-of-AI-Datasets-934500371
(`noai`, `noimageai`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

EVERYBODY = frozenset({"", "*", "robots"})
# Crawlers whose stated purpose is, or includes, collecting training data. https://darkvisitors.com/agents
AI_AGENTS = frozenset(
    """
    ai2bot amazonbot anthropic-ai applebot-extended bytespider ccbot claude-web claudebot cohere-ai
    cohere-training-data-crawler diffbot facebookbot google-cloudvertexbot google-extended gptbot img2dataset
    imagesiftbot laion-huggingface-processor meta-externalagent omgili omgilibot pangubot perplexitybot timpibot
    velenpublicwebcrawler webzio-extended
    """.split()  # noqa: SIM905
)
REFUSALS = frozenset({"noindex", "none", "noimageindex", "noai", "noimageai"})
"""Directives that keep images out."""
_WORDS = REFUSALS | frozenset(
    """
    all index follow nofollow noarchive nocache nosnippet notranslate noodp noydir indexifembedded unavailable_after
    max-snippet max-image-preview max-video-preview
    """.split()  # noqa: SIM905
)
_FIRST_WORD = re.compile(rf"\s*(?:{'|'.join(sorted(_WORDS))})\b", re.IGNORECASE)
_AGENT = re.compile(r"\s*([a-z0-9_*.-]+)\s*:\s*")
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True)
class Directives:
    """What robots directives say: to everybody, and to AI crawlers by name."""

    noindex: bool = False
    noai: bool = False
    noimageai: bool = False
    refused_agents: frozenset[str] = frozenset()

    @classmethod
    def union(cls, found: Iterable[Directives]) -> Directives | None:
        """The strictest reading of several; None for none, so that "nothing found" differs from "allowed"."""
        parts = list(found)
        if not parts:
            return None
        return cls(
            any(part.noindex for part in parts),
            any(part.noai for part in parts),
            any(part.noimageai for part in parts),
            frozenset().union(*(part.refused_agents for part in parts)),
        )


@lru_cache(maxsize=4096)
def parse(value: str) -> Directives:
    """Directives of a robots meta tag or an `X-Robots-Tag`.

    An agent prefix (`gptbot: noindex, nofollow`) holds to the end of the value or the next prefix. Directives for
    agents that are neither everybody nor in `AI_AGENTS` (googlebot, bingbot, …) say nothing about this use and are
    left out.
    """
    general: set[str] = set()
    refused: set[str] = set()
    for scope, word in directives(value):
        words = {"noindex"} if word == "none" else {word}
        if scope in EVERYBODY:
            general |= words
        elif scope in AI_AGENTS and words & {"noindex", "noai", "noimageai"}:
            refused.add(scope)
    return Directives("noindex" in general, "noai" in general, "noimageai" in general, frozenset(refused))


def refuses(value: str) -> bool:
    """Whether a text is made of robots directives alone and keeps images out, whoever it is told to."""
    if not _FIRST_WORD.match(value):  # nearly all texts; the rest costs ten times as much
        return False
    words = [word.partition(":")[0].rstrip() for _, word in directives(value) if word]
    return not REFUSALS.isdisjoint(words) and _WORDS.issuperset(words)


def directives(value: str) -> Iterator[tuple[str, str]]:
    """Agent (empty before any prefix) and directive, each in lower case, in the order in which they are written."""
    scope = ""
    for part in re.split(r"[,;]", value.lower()):
        prefix = _AGENT.match(part)
        if prefix and prefix[1] not in _WITH_VALUE:
            scope, part = prefix[1], part[prefix.end() :]
        yield scope, part.strip()
