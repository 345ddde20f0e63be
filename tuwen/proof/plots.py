"""Plots of a proof as SVG elements: intervals of comparisons, figures of arms by seed, losses on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from tuwen.releases.page import el

WIDTH, LEFT, RIGHT, ROW = 640.0, 200.0, 24.0, 26.0
CURVE_HEIGHT, CURVE_LEFT, BOTTOM = 220.0, 52.0, 34.0
HUES = ("--accent", "--warm", "--third", "--fourth", "--fifth", "--sixth")


def intervals(rows: Sequence[Mapping[str, Any]]) -> Element:
    """A line for each of `rows` (label, mean, low, high, seeds, smallest): its interval, its mean, a dot for each
    seed, and where the smallest effect that matters lies."""
    ends = [
        value
        for row in rows
        for value in (row["low"], row["high"], *row["seeds"], row["smallest"])
        if value is not None
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = (high - low or 1.0) * 0.06
    x = _scale(low - room, high + room, LEFT, WIDTH - RIGHT)
    bottom = ROW * len(rows) + 8
    marks = [
        *_verticals(low - room, high + room, x, bottom),
        el("line", x1=x(0), x2=x(0), y1=0, y2=bottom, class_="axis"),
    ]
    for place, row in enumerate(rows):
        y = ROW * place + ROW / 2 + 4
        marks.append(el("text", row["label"], x=LEFT - 10, y=y + 4, text_anchor="end", class_="label"))
        if row["low"] is not None and row["high"] is not None:
            told = f"{row['mean']:+.3f}, {row['low']:+.3f} to {row['high']:+.3f}"
            marks.append(
                el("line", el("title", told), x1=x(row["low"]), x2=x(row["high"]), y1=y, y2=y, class_="interval")
            )
        for value in row["seeds"]:
            marks.append(el("circle", el("title", f"{value:+.3f}"), cx=x(value), cy=y, r=2.5, class_="seed"))
        marks.append(el("circle", el("title", f"{row['mean']:+.3f}"), cx=x(row["mean"]), cy=y, r=4.5, class_="mean"))
        edge = x(row["smallest"])
        marks.append(
            el(
                "line",
                el("title", f"what matters: {row['smallest']:g}"),
                x1=edge,
                x2=edge,
                y1=y - 9,
                y2=y + 9,
                class_="smallest",
            )
        )
    return _svg("Differences with their intervals", WIDTH, bottom + BOTTOM, marks)


def figures(arms: Mapping[str, Sequence[float]]) -> Element:
    """A line for each arm: a dot for each seed and one for their mean."""
    values = [value for seeds in arms.values() for value in seeds]
    low, high = min(values), max(values)
    room = (high - low or 0.1) * 0.08
    x = _scale(low - room, high + room, LEFT, WIDTH - RIGHT)
    bottom = ROW * len(arms) + 8
    marks = _verticals(low - room, high + room, x, bottom)
    for place, (name, seeds) in enumerate(arms.items()):
        y, mean = ROW * place + ROW / 2 + 4, sum(seeds) / len(seeds)
        marks.append(el("text", name, x=LEFT - 10, y=y + 4, text_anchor="end", class_="label"))
        marks += [el("circle", el("title", f"{value:.3f}"), cx=x(value), cy=y, r=2.5, class_="seed") for value in seeds]
        marks.append(el("circle", el("title", f"mean {mean:.3f}"), cx=x(mean), cy=y, r=4.5, class_="mean"))
    return _svg("Figures of each arm by seed", WIDTH, bottom + BOTTOM, marks)


def curves(arms: Mapping[str, Sequence[tuple[float, float]]]) -> Element:
    """A line for each arm through (step, value)."""
    points = [point for line in arms.values() for point in line]
    top, right = 10.0, WIDTH - RIGHT
    low, high = min(y for _, y in points), max(y for _, y in points)
    x = _scale(0.0, max(x for x, _ in points) or 1.0, CURVE_LEFT, right)
    y = _scale(low, high if high > low else low + 1, CURVE_HEIGHT - BOTTOM, top)
    marks = []
    for tick in _ticks(low, high if high > low else low + 1):
        marks.append(el("line", x1=CURVE_LEFT, x2=right, y1=y(tick), y2=y(tick), class_="rule"))
        marks.append(el("text", f"{tick:g}", x=CURVE_LEFT - 6, y=y(tick) + 4, text_anchor="end"))
    for tick in _ticks(0.0, max(x for x, _ in points) or 1.0):
        marks.append(el("text", f"{tick:g}", x=x(tick), y=CURVE_HEIGHT - BOTTOM + 16, text_anchor="middle"))
    marks.append(el("text", "steps", x=(CURVE_LEFT + right) / 2, y=CURVE_HEIGHT - 4, text_anchor="middle"))
    for place, (name, line) in enumerate(arms.items()):
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in line)
        hue = f"stroke: var({HUES[place % len(HUES)]})"
        marks.append(el("polyline", el("title", name), points=path, class_="curve", style=hue))
    return _svg("Losses on the way", WIDTH, CURVE_HEIGHT, marks)


def key(place: int, name: str) -> Element:
    """The colour and the name of a curve."""
    line = el("line", x1=0, x2=16, y1=5, y2=5, class_="curve", style=f"stroke: var({HUES[place % len(HUES)]})")
    return el("span", el("svg", line, viewBox="0 0 16 10", width=16, height=10, aria_hidden="true"), f" {name}  ")


def _scale(low: float, high: float, first: float, last: float) -> Any:
    return lambda value: first + (last - first) * (value - low) / (high - low)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [round(step * number, 10) for number in range(first, math.floor(high / step) + 1)]


def _verticals(low: float, high: float, x: Any, bottom: float) -> list[Element]:
    marks = []
    for tick in _ticks(low, high):
        marks.append(el("line", x1=x(tick), x2=x(tick), y1=0, y2=bottom, class_="rule"))
        marks.append(el("text", f"{tick:g}", x=x(tick), y=bottom + 16, text_anchor="middle"))
    return marks


def _svg(label: str, width: float, height: float, marks: Sequence[Element]) -> Element:
    return el("svg", *marks, viewBox=f"0 0 {width:.0f} {height:.0f}", role="img", aria_label=label)
