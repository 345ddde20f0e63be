"""What sites say beside robots.txt: `/.well-known/tdmrep.json` and `/ai.txt`. Any bytes parse.

<https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/>,
<https://spawning.substack.com/p/aitxt-a-new-way-for-websites-to-set>
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tuwen.fetching.paths import PathPattern, path_of
from tuwen.fetching.robots_txt import LARGEST, RobotsTxt

Evidence = list[tuple[str, str]]
_RESERVATIONS: dict[object, str] = {0: "not_reserved", "0": "not_reserved", 1: "reserved", "1": "reserved"}
_LONGEST_POLICY = 2000
_BARE_PATTERN = re.compile(rb"^([ \t]*(?:dis)?allow[ \t]*:[ \t]*)(?=[^\s/*#])", re.IGNORECASE | re.MULTILINE)


class TdmRep:
    """Rules of a tdmrep.json: the first whose location matches decides. What is no such rule is passed over."""

    def __init__(self, body: bytes) -> None:
        try:
            rules = json.loads(body[:LARGEST].decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            rules = []
        found = map(_rule, rules if isinstance(rules, list) else [rules])
        self._rules = [rule for rule in found if rule]
        self.is_empty = not self._rules
        self.num_rules = len(self._rules)

    def evidence(self, url: str) -> Evidence:
        """`tdmrep_json` (reserved, not_reserved, none) and, where the rule names one, `tdm_policy`."""
        path = path_of(url) if self._rules else ""
        for rule in self._rules:
            if rule.location.matches(path):
                policy = [("tdm_policy", rule.policy)] if rule.policy else []
                return [("tdmrep_json", rule.reservation), *policy]
        return [("tdmrep_json", "none")]


class AiTxt:
    """Rules of an ai.txt: lines as in robots.txt, where a pattern may also be a file type (`*.jpg`, `.jpg`)."""

    def __init__(self, body: bytes, product: str) -> None:
        self._rules = RobotsTxt(_BARE_PATTERN.sub(rb"\1*", body[:LARGEST]), product, rules_need_group=False)
        self.is_empty = self._rules.is_empty
        self.num_rules = self._rules.num_rules

    def evidence(self, url: str) -> Evidence:
        """`ai_txt`: refused, allowed, or none if there are no rules."""
        if self.is_empty:
            return [("ai_txt", "none")]
        return [("ai_txt", "allowed" if self._rules.allows(url) else "refused")]


@dataclass(frozen=True)
class _Rule:
    location: PathPattern
    reservation: str
    policy: str


def _rule(value: object) -> _Rule | None:
    """None unless there is a location and a reservation of 0 or 1: other values are protocol errors."""
    if not isinstance(value, dict):
        return None
    location, policy, reserved = value.get("location"), value.get("tdm-policy"), value.get("tdm-reservation")
    reservation = _RESERVATIONS.get(reserved) if isinstance(reserved, (int, str)) else None
    if not isinstance(location, str) or reservation is None:
        return None
    location = location.strip()
    location = location if location.startswith(("/", "*")) else f"/{location}"
    return _Rule(PathPattern(location), reservation, _clean(policy) if isinstance(policy, str) else "")


def _clean(text: str) -> str:
    return " ".join(text[:_LONGEST_POLICY].encode("utf-8", "replace").decode().split())
