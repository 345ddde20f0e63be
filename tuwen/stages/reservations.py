"""Reservations of rights: what evidence (`documents.rights`, `fetches.rights`) says about indexing and training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tuwen.stages.robots import Directives, parse

ROBOTS = frozenset({"meta_robots", "x_robots_tag"})
OPT_OUTS = (*sorted(ROBOTS), "ai_txt", "content_usage", "robots_txt", "robots_txt_ai", "tdm_reservation", "tdmrep_json")
"""Kinds of evidence that may hold an objection."""
_NO_TRAINING = re.compile(r"\btrain-(?:gen)?ai\s*=\s*n\b")
_TRAINING = re.compile(r"\btrain-(?:gen)?ai\s*=")


@dataclass(frozen=True)
class Reserved:
    """Each field is None where there is no evidence of its kind: nobody has said anything, which is not consent."""

    noindex: bool | None = None
    noai: bool | None = None
    noimageai: bool | None = None
    refused_agents: tuple[str, ...] | None = None
    """AI crawlers by name: in robots directives, and in robots.txt where everybody else is allowed."""
    tdm_reserved: bool | None = None
    train_ai_refused: bool | None = None
    robots_disallowed: bool | None = None
    ai_txt_refused: bool | None = None

    @classmethod
    def of(cls, evidence: Iterable[Mapping[str, str | None] | None] | None) -> Reserved:
        """Read evidence as it is stored: kind and value as found. Directives for search engines alone are left out."""
        found = [(entry["kind"] or "", (entry["value"] or "").lower()) for entry in evidence or () if entry]
        robots = Directives.union(parse(value) for kind, value in found if kind in ROBOTS)
        names = [name.strip() for kind, value in found if kind == "robots_txt_ai" for name in value.split(",")]
        tdm = [value.strip() == "1" for kind, value in found if kind == "tdm_reservation"]
        tdm += [value == "reserved" for kind, value in found if kind == "tdmrep_json" and value != "none"]
        usage = [value for kind, value in found if kind == "content_usage" and _TRAINING.search(value)]
        crawl = [value in ("disallowed", "unreachable") for kind, value in found if kind == "robots_txt"]
        ai_txt = [value == "refused" for kind, value in found if kind == "ai_txt" and value != "none"]
        return cls(
            robots.noindex if robots else None,
            robots.noai if robots else None,
            robots.noimageai if robots else None,
            tuple(sorted({*names, *(robots.refused_agents if robots else ())})) if robots or names else None,
            any(tdm) if tdm else None,
            any(map(_NO_TRAINING.search, usage)) if usage else None,
            any(crawl) if crawl else None,
            any(ai_txt) if ai_txt else None,
        )
