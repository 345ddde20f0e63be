"""robots.txt: which paths a crawler may ask for, how fast, and what may be done with what it finds.

<https://www.rfc-editor.org/rfc/rfc9309>, and Content-Usage lines after
<https://datatracker.ietf.org/doc/draft-ietf-aipref-attach/>. Protego judges paths; lines and groups are read here,
because Protego takes any group whose name begins ours for ours (`User-agent: t` for tuwen), misses `tuwen/1.0`, ends
lines where RFC 9309 does not, and knows no Content-Usage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from protego import Protego

from tuwen.fetching.paths import PathPattern, path_of
from tuwen.stages.robots import AI_AGENTS

LARGEST = 500 << 10
"""Bytes of a site file that are read: what RFC 9309 asks for at least."""
LONGEST_DELAY_S = 3600.0
EVERYBODY = "*"
_MOST_PREFERENCES, _LONGEST_PREFERENCE = 16, 2000
_MOST_AI_RULES = 1000  # of one agent: what 27 agents may cost for mere evidence

_RECORD = re.compile(
    r"^[ \t]*(user[- ]?agent|dis{1,2}al{1,2}ow|diasllow|disallaw|allow|crawl[- ]delay|content-usage)"
    r"[ \t]*[: \t]([^\n#]*)",
    re.IGNORECASE | re.MULTILINE,
)
_FIELDS = {"us": "agent", "di": "disallow", "al": "allow", "cr": "crawl-delay", "co": "content-usage"}
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_TOKEN = re.compile(r"[\w-]+")
_NUMBER = re.compile(r"[0-9]{1,300}(\.[0-9]*)?|\.[0-9]+", re.ASCII)
Rule = tuple[str, str]
"""Field (a value of `_FIELDS`) and value, printable ASCII."""
Group = tuple[frozenset[str], tuple[Rule, ...]]
"""Names of crawlers, in lower case, and their rules."""


class PathRules:
    """Allow and Disallow for one crawler: the longest match decides, Allow if two are equally long."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        paths = [(field, value) for field, value in rules if field in ("allow", "disallow") and value]
        refused = {value for field, value in paths if field == "disallow"}
        self.num_rules = len(paths)
        self._always: bool | None = None  # most files refuse nothing or everything: no need to match
        if not refused:
            self._always = True
        elif refused & {"/", "*", "/*"} and all(field == "disallow" for field, _ in paths):
            self._always = False
        else:
            lines = [f"{field}: {value}" for field, value in paths]
            self._protego = Protego.parse("\n".join([f"user-agent: {EVERYBODY}", *lines]))

    @property
    def can_refuse(self) -> bool:
        """Whether there is anything that it does not allow."""
        return self._always is not True

    def allows(self, url: str) -> bool:
        """Whether a checked URL may be asked for."""
        return self._always if self._always is not None else bool(self._protego.can_fetch(url, EVERYBODY))


class RobotsTxt:
    """A robots.txt as the crawler `product` sees it. Any bytes parse; what is not understood says nothing.

    `is_empty`       no line was understood: an empty file, an error page
    `crawl_delay_s`  seconds between requests, 0 to 3,600; None if nothing is asked for
    `num_rules`      how many rules are kept, for those who count memory
    """

    def __init__(self, body: bytes, product: str, *, rules_need_group: bool = True) -> None:
        """Read the first 500 KiB. Rules before any group are nobody's, or without `rules_need_group` everybody's."""
        product = product.lower()
        wanted = AI_AGENTS | {EVERYBODY, product}
        rules_of: dict[str, list[Rule]] = {}  # a name without rules is there too: nothing is refused to it
        self.is_empty = True
        for names, rules in _groups(body, rules_need_group):
            self.is_empty = False
            for name in names & wanted:
                rules_of.setdefault(name, []).extend(rules)
        everybody = rules_of.get(EVERYBODY, [])
        own = rules_of.get(product, everybody)
        self._everybody = PathRules(everybody)
        self._own = self._everybody if own is everybody else PathRules(own)
        self._usage = [
            (PathPattern(path), preference)
            for field, value in own
            if field == "content-usage"
            for path, preference in [_usage_rule(value)]
            if preference
        ]
        self._refusing = _ai_rules(rules_of)
        self.crawl_delay_s = _crawl_delay(own)
        sets = {id(rules): rules for rules in (self._everybody, self._own, *self._refusing)}
        self.num_rules = len(self._usage) + sum(rules.num_rules for rules in sets.values())

    def allows(self, url: str) -> bool:
        """Whether a checked URL may be asked for: by the group of our name if there is one, else by that of `*`."""
        return self._own.allows(url)

    def refused_agents(self, url: str) -> list[str]:
        """AI crawlers that may not ask for what everybody else may, sorted."""
        if not self._refusing or not self._everybody.allows(url):
            return []
        return sorted(agent for rules, agents in self._refusing.items() if not rules.allows(url) for agent in agents)

    def usage(self, url: str) -> list[str]:
        """Content-Usage preferences for a URL: those of the longest matching path, as written."""
        if not self._usage:
            return []
        path = path_of(url)
        matching = [(pattern.length, preference) for pattern, preference in self._usage if pattern.matches(path)]
        longest = max((length for length, _ in matching), default=0)
        return sorted({preference for length, preference in matching if length == longest})[:_MOST_PREFERENCES]


def _groups(body: bytes, rules_need_group: bool) -> Iterator[Group]:
    """The next name after a rule begins a new group. Lines that are not understood do not separate anything."""
    implied = frozenset() if rules_need_group else frozenset({EVERYBODY})
    names: set[str] = set()
    rules: list[Rule] = []
    for match in _RECORD.finditer(_text(body)):
        field, value = _FIELDS[match[1][:2].lower()], _plain(match[2])
        if field != "agent":
            rules.append((field, value))
            continue
        if rules:
            yield frozenset(names) or implied, tuple(rules)
            names, rules = set(), []
        names.add(_token(value))
    if names or rules:
        yield frozenset(names) or implied, tuple(rules)


def _text(body: bytes) -> str:
    """Text without NUL and with `\\n` alone between lines. Bytes that are not UTF-8 become percent-escapes."""
    whole = body[:LARGEST]
    if len(body) >= LARGEST:  # a path cut in two would mean another path
        whole = whole[: max(whole.rfind(b"\n"), whole.rfind(b"\r")) + 1]
    if whole.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = whole.decode("utf-16", "replace")
    else:
        try:
            text = whole.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = re.sub(rb"[\x80-\xff]", lambda match: b"%%%02X" % match[0][0], whole).decode("ascii")
    return text.replace("\0", "").replace("\r", "\n")


def _plain(value: str) -> str:
    """Printable ASCII, so that nobody downstream sees another end of line in it."""
    value = value.replace("\t", " ").strip()
    if value.isascii() and value.isprintable():
        return value
    return quote(value, safe=_PRINTABLE, errors="replace")


def _token(value: str) -> str:
    """The product token of a User-agent line, lower case: `tuwen` of `Tuwen/1.0`; empty if there is none."""
    if value == EVERYBODY or value.startswith("* "):
        return EVERYBODY
    token = _TOKEN.match(value)
    return token[0].lower() if token else ""


def _ai_rules(rules_of: Mapping[str, list[Rule]]) -> dict[PathRules, tuple[str, ...]]:
    """Rules of AI crawlers that have a group of their own, each set once for all whom it concerns."""
    agents: dict[tuple[Rule, ...], list[str]] = {}
    for agent in sorted(AI_AGENTS & rules_of.keys()):
        agents.setdefault(tuple(rules_of[agent][:_MOST_AI_RULES]), []).append(agent)
    found = {PathRules(rules): tuple(names) for rules, names in agents.items()}
    return {rules: names for rules, names in found.items() if rules.can_refuse}


def _usage_rule(value: str) -> tuple[str, str]:
    """Path and preference; a preference alone concerns everything."""
    if value.startswith(("/", "*")):
        path, _, preference = value.partition(" ")
    else:
        path, preference = "/", value
    return path, " ".join(preference.split())[:_LONGEST_PREFERENCE]


def _crawl_delay(rules: Sequence[Rule]) -> float | None:
    """The longest delay that is a number and not negative, at most an hour; an endless one is an hour."""
    delays = [float(value) for field, value in rules if field == "crawl-delay" and _NUMBER.fullmatch(value)]
    return min(max(delays), LONGEST_DELAY_S) if delays else None
