"""The Chinese of every text of the interface."""

from __future__ import annotations

_FRAME: dict[str, str] = {
    "Browse": "浏览",
}
_ITEM: dict[str, str] = {}
_DUPLICATES: dict[str, str] = {}
_SELECTIONS: dict[str, str] = {}  # funnel, thresholds, saving
_RELEASES: dict[str, str] = {}
_COMPARE: dict[str, str] = {}
_DISTRIBUTIONS: dict[str, str] = {}
_MAP: dict[str, str] = {}

CHINESE = _FRAME | _ITEM | _DUPLICATES | _SELECTIONS | _RELEASES | _COMPARE | _DISTRIBUTIONS | _MAP
