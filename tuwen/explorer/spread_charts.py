"""Charts of the page of distributions: SVG whose marks are links to the rows that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element, tostring

from markupsafe import Markup

from tuwen.explorer.facets import Value, number
from tuwen.releases.charts import compact, ranks, shade_of
from tuwen.releases.page import el

WIDTH, HEIGHT = 360.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 8.0, 8.0, 22.0
SIDE = 300.0  # of the heat map
LABELS = 6
FEWEST = 8  # bars that there is room for: two alone would look like a wall
SHADES = 5


def markup(svg: Element) -> Markup:
    """An element as text for a template."""
    return Markup(tostring(svg, encoding="unicode"))


def histogram(values: Sequence[Value], url_of: Callable[[Value], str], label: str) -> Markup:
    """Bars of equal width, one for each range of values, over their lower ends."""
    most = max((value.count for value in values), default=0) or 1
    step, inner = (WIDTH - LEFT - RIGHT) / max(len(values), FEWEST), HEIGHT - TOP - BOTTOM
    marks = [
        _text(LEFT - 4, TOP + 8, compact(most), "end"),
        _line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM),
    ]
    every = max(1, -(-len(values) // LABELS))
    for place, value in enumerate(values):
        x, height = LEFT + step * place, inner * value.count / most
        height = max(height, 1.5) if value.count else 0.0
        title = el("title", f"{value.label}: {value.count:,}")
        marks.append(
            el(
                "a",
                el("rect", title, x=x, y=TOP, width=step, height=inner, class_="reach"),
                el(
                    "rect",
                    x=x + 0.5,
                    y=HEIGHT - BOTTOM - height,
                    width=max(step - 1, 0.5),
                    height=height,
                    class_="mark",
                ),
                href=url_of(value),
                tabindex="-1",
            )
        )
        if place % every == 0 and value.low is not None:
            marks.append(_text(x, HEIGHT - 6, _brief(value.low), "middle" if place else "start"))
    return markup(_chart(label, WIDTH, HEIGHT, marks))


def heat(
    cells: Sequence[tuple[int, int, int]],
    edges: Sequence[int],
    url_of: Callable[[tuple[int, int, int]], str],
    label: str,
    across: str,
    up: str,
) -> Markup:
    """Counts of cells between `edges`, the same ones on both axes, in shades of equal steps of their logarithm."""
    low = min(min(i, j) for i, j, _ in cells)
    high = max(max(i, j) for i, j, _ in cells) + 1
    most = max(count for _, _, count in cells)
    left, bottom = 46.0, 36.0
    step = (SIDE - left - RIGHT) / (high - low)
    base = SIDE - bottom
    marks = []
    whole = [place for place in range(low, min(high, len(edges) - 1) + 1) if edges[place].bit_count() == 1]
    for edge in whole[:: max(1, -(-len(whole) // LABELS))]:  # powers of two
        at = step * (edge - low)
        marks += [_text(left + at, base + 13, compact(edges[edge]), "middle")]
        marks += [_text(left - 4, base - at + 3, compact(edges[edge]), "end")]
        marks += [_line(left + at, base - step * (high - low), left + at, base, "rule")]
        marks += [_line(left, base - at, left + step * (high - low), base - at, "rule")]
    for cell in sorted(cells):
        i, j, count = cell
        title = el("title", f"{across} {span(edges, i)}, {up} {span(edges, j)}: {count:,}")
        x, y = left + step * (i - low), base - step * (j - low + 1)
        opacity = shade_of(count, most) / SHADES
        square = el("rect", title, x=x, y=y, width=step, height=step, class_="mark", fill_opacity=opacity)
        marks.append(el("a", square, href=url_of(cell), tabindex="-1"))
    marks += [_text(left + step * (high - low) / 2, SIDE - 6, across, "middle")]
    middle = base - step * (high - low) / 2
    upright = el("text", up, x=0, y=0, text_anchor="middle", transform=f"translate(10 {middle:.1f}) rotate(-90)")
    return markup(_chart(label, SIDE, SIDE, [*marks, upright]))


def span(edges: Sequence[int], place: int) -> str:
    """The whole numbers of one step between edges, for people."""
    if place + 1 >= len(edges):
        return f"≥ {edges[place]:,}"
    return (
        f"{edges[place]:,}" if edges[place + 1] - edges[place] == 1 else f"{edges[place]:,} – {edges[place + 1] - 1:,}"
    )


def rank_curve(points: Sequence[tuple[int, int]], across: str, up: str) -> Markup:
    """Counts by rank on logarithmic axes."""
    return markup(ranks([("after", points)], across, up))


def _brief(value: float) -> str:
    return compact(value) if value >= 1e4 else number(value)


def _text(x: float, y: float, text: str, anchor: str) -> Element:
    return el("text", text, x=x, y=y, text_anchor=anchor)


def _line(x1: float, y1: float, x2: float, y2: float, name: str = "axis") -> Element:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=name)


def _chart(label: str, width: float, height: float, marks: Sequence[Element]) -> Element:
    box = f"0 0 {width:.0f} {height:.0f}"
    return el("svg", *marks, viewBox=box, role="group", aria_label=label, class_="chart")  # img would hide its links
