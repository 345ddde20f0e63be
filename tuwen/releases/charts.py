"""Charts as SVG elements: values in, element out, nothing else. Text in them is numbers and words of tuwen's own.

Colours are classes of the page's style. Every mark says its figure in a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from tuwen.releases.page import el

WIDTH, HEIGHT = 360.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 12.0, 36.0
_SHADES = 5
_MOST_LABELS = 7
Points = Sequence[tuple[int, int]]


def compact(number: float) -> str:
    """A number in at most five characters: 950, 4,096, 34k, 5.6M, 7.8G."""
    for least, size, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if number >= least:
            shown = number / size
            return f"{shown:.0f}{unit}" if shown >= 9.95 or shown == int(shown) else f"{shown:.1f}{unit}"
    return f"{number:,.0f}"


def bar(share: float, of: float | None = None, *, tooltip: str = "") -> Element:
    """A bar of `share`, where `of` is given over a pale one of that; both from 0 to 1 of the width."""
    return _strip(
        el("rect", x=0, y=0, width=_percent(of), height=10, class_="lost") if of is not None else None,
        el("rect", x=0, y=0, width=_percent(share), height=10, class_="after"),
        tooltip=tooltip,
    )


def two_bars(before: float, after: float, *, tooltip: str = "") -> Element:
    """Two thin bars, one under the other."""
    return _strip(
        el("rect", x=0, y=0, width=_percent(before), height=4.5, class_="before"),
        el("rect", x=0, y=5.5, width=_percent(after), height=4.5, class_="after"),
        tooltip=tooltip,
    )


def _strip(*marks: Element | None, tooltip: str) -> Element:
    title = el("title", tooltip) if tooltip else None
    return el("svg", title, *marks, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")


def _percent(share: float) -> float:
    """A share of the bar's width; what is there at all stays visible."""
    return 0.0 if share <= 0 else max(0.4, min(100.0, 100 * share))


def histogram(octaves: Points, unit: str) -> Element:
    """Counts of values from 2^k to 2^(k+1) - 1, as (k, count), over an axis of `unit` in powers of two."""
    counts = dict(octaves)
    first, last = min(counts), max(counts)
    step = (WIDTH - LEFT - RIGHT) / (last - first + 1)
    ceiling, ticks = _scale(max(counts.values()))
    marks = _horizontals(ticks, ceiling)
    for octave, count in sorted(counts.items()):
        height = _inner_height() * count / ceiling
        title = el("title", f"{2**octave:,} to {2 ** (octave + 1) - 1:,} {unit}: {count:,}")
        x, y = LEFT + step * (octave - first), HEIGHT - BOTTOM - height
        marks.append(el("rect", title, x=x + 0.5, y=y, width=step - 1, height=height, class_="after"))
    every = math.ceil((last - first + 2) / _MOST_LABELS)
    for edge in range(first, last + 2, every):
        marks.append(_under(LEFT + step * (edge - first), compact(2**edge)))
    return _chart(f"Histogram over {unit}", *marks, *_frame(f"{unit}, in powers of two"))


def heat(cells: Sequence[tuple[int, int, int]], across: str, up: str) -> Element:
    """Counts of (x, y) in half octaves: (i, j, count) stands for x from 2^(i/2) and y from 2^(j/2), to the next."""
    low = min(min(i, j) for i, j, _ in cells) // 2 * 2
    high = max(max(i, j) for i, j, _ in cells) + 1
    most = max(count for _, _, count in cells)
    step_x, step_y = (WIDTH - LEFT - RIGHT) / (high - low), _inner_height() / (high - low)
    marks = []
    every = 2 * math.ceil((high - low) / 2 / _MOST_LABELS)
    for edge in range(low, high + 1, every):
        x, y = LEFT + step_x * (edge - low), HEIGHT - BOTTOM - step_y * (edge - low)
        marks += [_under(x, compact(2 ** (edge // 2))), _beside(y, compact(2 ** (edge // 2)))]
        marks += [_line(x, TOP, x, HEIGHT - BOTTOM), _line(LEFT, y, WIDTH - RIGHT, y)]
    for i, j, count in sorted(cells):
        shade = shade_of(count, most)
        title = el("title", f"{across} {_half(i)}, {up} {_half(j)}: {count:,}")
        x, y = LEFT + step_x * (i - low), HEIGHT - BOTTOM - step_y * (j - low + 1)
        opacity = shade / _SHADES
        marks.append(el("rect", title, x=x, y=y, width=step_x, height=step_y, class_="after", fill_opacity=opacity))
    return _chart(f"{across} against {up}", *marks, *_frame(across), _upright(up))


def shade_of(count: int, most: int) -> int:
    """1 to 5: equal steps of the logarithm, so that 5 is the fullest cell and 1 nearly empty ones."""
    return _SHADES if most <= 1 else 1 + min(_SHADES - 1, int(_SHADES * math.log(count) / math.log(most)))


def shade_keys(most: int) -> list[tuple[Element, str]]:
    """Swatch and range of counts of each shade that occurs."""
    counts = {shade_of(count, most): count for count in (round(most ** (k / 50)) for k in range(50, -1, -1))}
    lowest = sorted(counts.items())
    keys = []
    for place, (shade, low) in enumerate(lowest):
        high = lowest[place + 1][1] - 1 if place + 1 < len(lowest) else most
        keys.append(
            (swatch("after", shade / _SHADES), compact(low) if low >= high else f"{compact(low)}-{compact(high)}")
        )
    return keys


def swatch(name: str, opacity: float = 1.0) -> Element:
    """A small square in the colour of a class."""
    square = el("rect", width=10, height=10, class_=name, fill_opacity=opacity)
    return el("span", el("svg", square, viewBox="0 0 10 10", aria_hidden="true"), class_="key")


def ranks(curves: Sequence[tuple[str, Points]], across: str, up: str) -> Element:
    """Curves of (rank, count) on logarithmic axes, named `before` or `after`; counts and ranks from 1."""
    points = [point for _, curve in curves for point in curve]
    decades_x = max(1, math.ceil(math.log10(max(rank for rank, _ in points))))
    decades_y = max(1, math.ceil(math.log10(max(count for _, count in points))))
    step_x, step_y = (WIDTH - LEFT - RIGHT) / decades_x, _inner_height() / decades_y
    marks = []
    for decade in range(decades_x + 1):
        x = LEFT + step_x * decade
        marks += [_line(x, TOP, x, HEIGHT - BOTTOM), _under(x, compact(10**decade))]
    for decade in range(decades_y + 1):
        y = HEIGHT - BOTTOM - step_y * decade
        marks += [_line(LEFT, y, WIDTH - RIGHT, y), _beside(y, compact(10**decade))]
    for name, curve in curves:
        path = " ".join(
            f"{LEFT + step_x * math.log10(rank):.1f},{HEIGHT - BOTTOM - step_y * math.log10(count):.1f}"
            for rank, count in sorted(curve)
        )
        marks.append(el("polyline", points=path, class_=f"curve of-{name}"))
    return _chart(f"{up} by {across}", *marks, *_frame(across), _upright(up))


def _scale(most: int) -> tuple[float, list[float]]:
    """The end of a linear axis from 0, and its ticks: 1, 2 or 5 times a power of ten."""
    rough = max(1.0, most / 4)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    count = math.ceil(most / step)
    return step * count, [step * number for number in range(count + 1)]


def _inner_height() -> float:
    return HEIGHT - TOP - BOTTOM


def _horizontals(ticks: Sequence[float], ceiling: float) -> list[Element]:
    marks = []
    for tick in ticks:
        y = HEIGHT - BOTTOM - _inner_height() * tick / ceiling
        marks += [_line(LEFT, y, WIDTH - RIGHT, y), _beside(y, compact(tick))]
    return marks


def _half(edge: int) -> str:
    return f"{math.ceil(2 ** (edge / 2)):,} to {math.ceil(2 ** ((edge + 1) / 2)) - 1:,}"


def _frame(across: str) -> list[Element]:
    baseline = HEIGHT - BOTTOM
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [
        _line(LEFT, baseline, WIDTH - RIGHT, baseline, "axis"),
        _line(LEFT, TOP, LEFT, baseline, "axis"),
        el("text", across, x=middle, y=HEIGHT - 4, text_anchor="middle"),
    ]


def _upright(text: str) -> Element:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return el("text", text, x=0, y=0, text_anchor="middle", transform=f"translate(10 {middle:.1f}) rotate(-90)")


def _line(x1: float, y1: float, x2: float, y2: float, name: str = "rule") -> Element:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=name)


def _under(x: float, text: str) -> Element:
    return el("text", text, x=x, y=HEIGHT - BOTTOM + 14, text_anchor="middle")


def _beside(y: float, text: str) -> Element:
    return el("text", text, x=LEFT - 5, y=y + 4, text_anchor="end")


def _chart(label: str, *marks: Element) -> Element:
    return el("svg", *marks, viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}", role="img", aria_label=label)
