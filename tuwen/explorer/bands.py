"""A funnel as a Sankey: for each step one strip, whose bands are as wide as there are rows.

Strips lie below each other, so what leaves one enters the next; what a rule refuses moves off to the side and ends
there. Every band keeps its width all the way, and all strips have one scale, so equal rows are equally wide everywhere.
They are SVG paths that the server draws, each a link: they need no script, and a table holds them with the numbers they
show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuwen.selections.ledger import FunnelStep, RuleCount

WIDTH = 78.0  # of all rows, in the 100 units that a strip is wide: the rest is where bands move off
HEIGHT = 100.0
END = 90.0  # where those end
APART = 1.5  # between the ends of two
LEAST = 0.3  # so that a single row shows: about 1.5 pixels


@dataclass(frozen=True)
class Side:
    """What one rule refuses: a band that turns off."""

    rule: RuleCount
    path: str


@dataclass(frozen=True)
class Strip:
    """One step: the band of rows that stay, and those that turn off. `share`: rows left of all rows, in percent."""

    step: FunnelStep
    stays: str
    sides: tuple[Side, ...]
    share: float


def strips(funnel: Sequence[FunnelStep], num_rows: int) -> list[Strip]:
    """The strips of a funnel over `num_rows` rows."""
    return [_strip(step, num_rows) for step in funnel]


def _strip(step: FunnelStep, num_rows: int) -> Strip:
    scale = WIDTH / num_rows if num_rows else 0.0
    rules = [rule for rule in step.rules if rule.lost]
    aside = 100.0 - WIDTH - LEAST
    apart = min(APART, aside / max(len(rules), 1) / 2)
    sides = []
    start = step.judged * scale
    for place, rule in enumerate(rules):  # the outermost first, so that no two cross
        start = max(start - rule.lost * scale, 0.0)
        sides.append(Side(rule, _turning(start, start + aside - place * apart, _wide(rule.lost, scale))))
    share = 100.0 * step.left / num_rows if num_rows else 0.0
    return Strip(step, _straight(_wide(step.left, scale)), tuple(sides), share)


def _wide(rows: int, scale: float) -> float:
    return max(rows * scale, LEAST) if rows else 0.0


def _straight(width: float) -> str:
    return f"M0 0H{width:.2f}V{HEIGHT:.0f}H0Z" if width else ""


def _turning(start: float, end: float, width: float) -> str:
    """From `start` at the upper edge to `end` further down, both of its left side."""
    middle = END / 2
    return (
        f"M{start:.2f} 0C{start:.2f} {middle:.0f} {end:.2f} {middle:.0f} {end:.2f} {END:.0f}H{end + width:.2f}"
        f"C{end + width:.2f} {middle:.0f} {start + width:.2f} {middle:.0f} {start + width:.2f} 0Z"
    )
