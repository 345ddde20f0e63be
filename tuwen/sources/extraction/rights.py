"""Evidence of rights and of opt-outs, kept as it was found. Selections judge; this only collects.

| kind | where | value |
|---|---|---|
| `meta_robots` | `<meta name=robots>`, or the name of a crawler | as written; with `agent: ` before it for a crawler |
| | `<meta>` of any other name that says noindex, noai, … and nothing else | with `name: ` before it |
| `x_robots_tag`, `content_usage` | HTTP header (AIPREF: `Content-Usage`) | as served |
| `tdm_reservation`, `tdm_policy` | HTTP header or `<meta>` (TDMRep) | as written |
| `rel_license` | `<a>`, `<link>`, `<area>` with `rel=license` | absolute URL |
| `link_header_license` | HTTP `Link: <…>; rel=license` | as served |
| `json_ld_license`, `json_ld_copyright_notice`, `json_ld_usage_info` | schema.org JSON-LD | URL or text |
| `meta_license`, `meta_rights`, `meta_copyright` | `<meta>`: license, dc.rights, copyright | as written |
| `creative_commons` | link to a licence of creativecommons.org, without `rel` | absolute URL |

<https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/>,
<https://datatracker.ietf.org/doc/draft-ietf-aipref-attach/>
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tuwen.sources.extraction.content import Page
from tuwen.sources.extraction.links import Resolver
from tuwen.stages.robots import AI_AGENTS, refuses

_MOST_ENTRIES = 64
_LONGEST_VALUE = 2_000
_LONGEST_JSON = 262_144
_MOST_JSON_VALUES = 10_000

_LICENSES = (
    "rel_license",
    "link_header_license",
    "json_ld_license",
    "meta_license",
    "creative_commons",
)
_HEADERS = {
    "x-robots-tag": "x_robots_tag",
    "tdm-reservation": "tdm_reservation",
    "tdm-policy": "tdm_policy",
    "content-usage": "content_usage",
}
_META = {
    "tdm-reservation": "tdm_reservation",
    "tdm-policy": "tdm_policy",
    "license": "meta_license",
    "dc.license": "meta_license",
    "dcterms.license": "meta_license",
    "rights": "meta_rights",
    "dc.rights": "meta_rights",
    "dcterms.rights": "meta_rights",
    "dc.rights.license": "meta_license",
    "copyright": "meta_copyright",
    "dcterms.rightsholder": "meta_copyright",
}
_AGENT = re.compile(r"[\w.-]*bot(?:-[\w-]+)?|[\w-]*spider|slurp|teoma|facebookexternalhit|imagesift|chatgpt-user")
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_LONGEST_DIRECTIVES = 500
# Their `none` is not about robots.
_NO_AGENTS = frozenset({"viewport", "referrer", "msapplication-config", "color-scheme"})
_LINK_LICENSE = re.compile(r"<([^<>]+)>\s*;[^,]*?\brel\s*=\s*\"?[^\",;]*\blicense\b", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(r"//(?:[\w-]+\.)?creativecommons\.org/(?:licenses|publicdomain)/", re.IGNORECASE)
_JSON_KINDS = {
    "license": "json_ld_license",
    "copyrightNotice": "json_ld_copyright_notice",
    "usageInfo": "json_ld_usage_info",
    "acquireLicensePage": "json_ld_usage_info",
}


def header_evidence(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Reservations that a response states: (kind, value), as served. Header names are in lower case."""
    return [(kind, clean) for name, kind in _HEADERS.items() if (clean := _clean(headers.get(name) or ""))]


def read_headers(page: Page, headers: Mapping[str, str]) -> None:
    """HTTP headers, with lower-case names."""
    for kind, value in header_evidence(headers):
        _add(page, kind, value)
    for match in _LINK_LICENSE.finditer((headers.get("link") or "")[:_LONGEST_JSON]):
        _add(page, "link_header_license", match[1])


def read_meta(page: Page, attributes: Mapping[str, str | None]) -> None:
    """One `<meta>`: rights, and on the way generator, og:title and language."""
    content = attributes.get("content")
    name = attributes.get("name") or attributes.get("property") or attributes.get("http-equiv")
    if not content or not name:
        return
    name = name.strip().lower()
    if name == "generator":
        page.generator = page.generator or " ".join(content.split()) or None
    elif name == "og:title":
        page.og_title = page.og_title or " ".join(content.split())
    elif name == "content-language":
        page.declared_language = page.declared_language or content.strip() or None
    elif name == "robots":
        _add(page, "meta_robots", content)
    elif kind := _META.get(name):
        _add(page, kind, content)
    elif name not in _NO_AGENTS and (name in AI_AGENTS or _AGENT.fullmatch(name) or _is_told(name, content)):
        _add(page, "meta_robots", f"{name}: {content}")


def _is_told(name: str, content: str) -> bool:
    """Whether a name that nobody knows here is told to keep images out: it may be ours."""
    return len(content) <= _LONGEST_DIRECTIVES and refuses(content) and _NAME.fullmatch(name) is not None


def read_link(page: Page, attributes: Mapping[str, str | None], resolver: Resolver) -> None:
    """`<a>`, `<link>` or `<area>`: rel=license (also as cc: or dct:), or the address of a Creative Commons licence."""
    href = attributes.get("href")
    if not href:
        return
    relations = (attributes.get("rel") or "").lower().split()
    if any(relation.rpartition(":")[2] == "license" for relation in relations):
        _add(page, "rel_license", resolver.resolve(href) or href)
    elif _CREATIVE_COMMONS.search(href):
        _add(page, "creative_commons", resolver.resolve(href) or href)


def read_json_ld(page: Page, text: str) -> None:
    """`<script type=application/ld+json>`; JSON that is broken or longer than 256 KiB says nothing."""
    if len(text) > _LONGEST_JSON or not any(key in text for key in _JSON_KINDS):
        return
    try:
        pending = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    for _ in range(_MOST_JSON_VALUES):
        if not pending:
            return
        value = pending.pop()
        if isinstance(value, dict):
            for key, kind in _JSON_KINDS.items():
                for text in _json_texts(value.get(key)):
                    _add(page, kind, text)
            pending.extend(reversed(value.values()))
        elif isinstance(value, list):
            pending.extend(reversed(value))


def first_license(rights: list[tuple[str, str]]) -> str | None:
    """The licence of a page: stated relations before metadata before mere links, the first of each."""
    for wanted in _LICENSES:
        for kind, value in rights:
            if kind == wanted:
                return value
    return None


def _json_texts(value: object) -> list[str]:
    """A licence in JSON-LD is a text, an object with an address or name, or a list of these."""
    values = value if isinstance(value, list) else [value]
    found = [
        next((item[key] for key in ("@id", "url", "name") if isinstance(item.get(key), str)), None)
        if isinstance(item, dict)
        else item
        for item in values[:_MOST_ENTRIES]
    ]
    return [item for item in found if isinstance(item, str)]


def _add(page: Page, kind: str, value: str) -> None:
    value = _clean(value)
    if value and len(page.rights) < _MOST_ENTRIES and (kind, value) not in page.rights:
        page.rights.append((kind, value))


def _clean(value: str) -> str:
    return " ".join(value[:_LONGEST_VALUE].encode("utf-8", "replace").decode().split())
