"""Charts: values in, well-formed SVG out, and the marks are where the values say."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.releases.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    bar,
    compact,
    heat,
    histogram,
    ranks,
    shade_keys,
    shade_of,
    two_bars,
)

counts = st.integers(1, 10**12)


def marks(chart: Element, tag: str, name: str) -> list[Element]:
    return [each for each in read(chart).iter(tag) if each.get("class") == name]


def read(chart: Element) -> Element:
    """What an XML parser makes of it."""
    return fromstring(tostring(chart, encoding="unicode"))


def inside(chart: Element) -> bool:
    """Nothing lies outside the picture, and no label outside its margin."""
    for each in read(chart).iter():
        if each.tag == "rect" and each.get("class") == "after":
            x, y = float(each.get("x", "0")), float(each.get("y", "0"))
            width, height = float(each.get("width", "0")), float(each.get("height", "0"))
            if not (
                x >= LEFT - 1 and x + width <= WIDTH - RIGHT + 1 and y >= TOP - 1 and y + height <= HEIGHT - BOTTOM + 1
            ):
                return False
        if each.tag == "text" and each.get("text-anchor") == "end" and len(each.text or "") > 6:
            return False
    return True


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (950, "950"), (1_024, "1,024"), (9_999, "9,999"), (10_000, "10k"), (34_500, "34k"), (5_600_000, "5.6M"),
     (20_000_000, "20M"), (7_800_000_000, "7.8G")],
)  # fmt: skip
def test_numbers_in_few_characters(number, words):
    assert compact(number) == words


@pytest.mark.parametrize(("share", "width"), [(0.0, 0.0), (0.25, 25.0), (1.0, 100.0), (1e-9, 0.4), (3.0, 100.0)])
def test_a_bar_is_as_long_as_its_share_and_never_hides_what_is_there(share, width):
    (mark,) = marks(bar(share), "rect", "after")
    assert float(mark.get("width")) == width


def test_a_bar_shows_what_was_lost_behind_what_is_left():
    chart = bar(0.25, 0.75, tooltip="3 judged <of> 4 & more")
    assert [float(m.get("width")) for m in read(chart).iter("rect")] == [75.0, 25.0]
    assert [float(m.get("width")) for m in read(bar(0.25, 1.0)).iter("rect")] == [100.0, 25.0]
    assert len(list(read(bar(0.25)).iter("rect"))) == 1
    assert read(chart).find("title").text == "3 judged <of> 4 & more"
    assert [m.get("class") for m in read(two_bars(0.5, 0.1)).iter("rect")] == ["before", "after"]


def test_a_histogram_by_hand():
    chart = histogram([(2, 5), (4, 10)], "characters")
    low, high = marks(chart, "rect", "after")
    assert float(high.get("height")) == pytest.approx(2 * float(low.get("height")), abs=0.02)
    assert float(low.get("x")) == pytest.approx(LEFT + 0.5)  # the axis begins with the first value that occurs
    assert [m.find("title").text for m in (low, high)] == ["4 to 7 characters: 5", "16 to 31 characters: 10"]
    labels = [text.text for text in read(chart).iter("text")]
    assert {"0", "4", "8", "16", "32"} <= set(labels)  # from zero, and every edge has its place


@given(st.dictionaries(st.integers(0, 40), counts, min_size=1))
def test_any_histogram_is_well_formed_and_stays_inside(found):
    chart = histogram(sorted(found.items()), "characters")
    assert len(marks(chart, "rect", "after")) == len(found) and inside(chart)


@given(st.dictionaries(st.tuples(st.integers(0, 34), st.integers(0, 34)), counts, min_size=1))
def test_any_heat_map_is_well_formed_and_stays_inside(found):
    chart = heat([(i, j, count) for (i, j), count in found.items()], "width", "height")
    assert len(marks(chart, "rect", "after")) == len(found) and inside(chart)


def test_a_heat_map_by_hand():
    chart = heat([(12, 13, 1), (13, 12, 100)], "width", "height")
    titles = [m.find("title").text for m in marks(chart, "rect", "after")]
    assert titles == ["width 64 to 90, height 91 to 127: 1", "width 91 to 127, height 64 to 90: 100"]
    assert [m.get("fill-opacity") for m in marks(chart, "rect", "after")] == ["0.2", "1"]


@given(counts, st.data())
def test_shades_say_what_their_key_says(most, data):
    count = data.draw(st.integers(1, most))
    assert 1 <= shade_of(count, most) <= shade_of(most, most) == 5
    assert shade_of(count, most) <= shade_of(min(count + 1, most), most)
    assert 1 <= len(shade_keys(most)) <= 5


def test_the_key_of_shades_is_without_gaps():
    assert [text for _, text in shade_keys(181)] == ["1-2", "3-7", "8-22", "23-63", "64-181"]
    for count in range(1, 182):
        assert shade_of(count, 181) == next(k for k, high in enumerate((2, 7, 22, 63, 181), 1) if count <= high)


def test_curves_on_logarithmic_axes():
    chart = ranks([("before", [(1, 1000), (10, 100), (100, 10)]), ("after", [(1, 10), (100, 1)])], "rank", "pairs")
    (line,) = marks(chart, "polyline", "curve of-before")
    (a, b, c) = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert a[0] == LEFT and a[1] == TOP and c[0] == WIDTH - RIGHT
    assert b[0] - a[0] == pytest.approx(c[0] - b[0], abs=0.2) and b[1] - a[1] == pytest.approx(c[1] - b[1], abs=0.2)


@given(st.lists(st.tuples(st.integers(1, 10**6), counts), min_size=1, max_size=30))
def test_any_curve_is_well_formed_and_stays_inside(points):
    chart = ranks([("after", points)], "rank", "pairs")
    (line,) = marks(chart, "polyline", "curve of-after")
    for point in line.get("points").split():
        x, y = map(float, point.split(","))
        assert LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM
