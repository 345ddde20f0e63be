"""A funnel as a Sankey: for each step one strip, whose bands are as wide as there are rows.

Strips lie below each other, so what leaves one enters the next; what a rule refuses turns off to the side. They are
SVG paths that the server draws, each a link: they need no script, and a table holds them with the numbers they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuwen.selections.ledger import FunnelStep, RuleCount

WIDTH = 78.0  # of all rows, in the 100 units that a strip is wide: the rest is where bands turn off
HEIGHT = 100.0
LEAST = 0.6  # so that a single row shows


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
    judged, left = (_wide(rows, scale) for rows in (step.judged, step.left))
    rules = [rule for rule in step.rules if rule.lost]
    sides = []
    start, top = judged, 16.0
    room = HEIGHT - 2 * top
    for rule in rules:  # the outermost first, so that no two cross
        width = (judged - left) * rule.lost / step.lost if step.lost else 0.0
        tall = max(room * rule.lost / step.lost * min(1.0, 0.12 + step.lost / max(step.judged, 1)), 2.5)
        sides.append(Side(rule, _turning(max(start - width, 0.0), start, top, top + tall)))
        start, top = start - width, top + tall + 2.0
    share = 100.0 * step.left / num_rows if num_rows else 0.0
    return Strip(step, _straight(left), tuple(sides), share)


def _wide(rows: int, scale: float) -> float:
    return max(rows * scale, LEAST) if rows else 0.0


def _straight(width: float) -> str:
    return f"M0 0H{width:.2f}V{HEIGHT:.0f}H0Z" if width else ""


def _turning(inner: float, outer: float, top: float, bottom: float) -> str:
    """From the upper edge, between `inner` and `outer`, to the right edge, between `top` and `bottom`."""
    outer = max(outer, inner + LEAST)
    return (
        f"M{inner:.2f} 0C{inner:.2f} {bottom:.2f} {inner:.2f} {bottom:.2f} 100 {bottom:.2f}"
        f"V{top:.2f}C{outer:.2f} {top:.2f} {outer:.2f} {top:.2f} {outer:.2f} 0Z"
    )
