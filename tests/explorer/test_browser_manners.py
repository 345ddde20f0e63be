"""What only a browser shows: keys, focus, blur, narrow screens, and what axe-core says of every page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, needs_chromium, served

from tuwen.corpus.corpus import Corpus

pytestmark = needs_chromium
ICON = "75ca77781f54bbf0061b53c0adde029a"  # one of four that look alike
PAGES = {
    "grid": "/",
    "pairs": "/?unit=pair&q=wave",
    "sides": "/?unit=pair&split=strong",
    "documents": "/?unit=document&where=language+%3D+'ar'",
    "image": f"/image/{ICON}",
    "pair": "/pair/{pair}",
    "document": "/document/{document}?at={image}",
    "unknown": f"/image/{'0' * 32}",
    "error": "/?where=nope+>+3",
    "groups": "/duplicates",
    "groups of texts": "/duplicates?column=text_cluster",
    "near": f"/duplicates?of={ICON}",
    "funnel": "/funnel",
    "thresholds": "/thresholds",
    "distributions": "/distributions",
    "map": "/map",
    "compare": "/compare",
    "releases": "/releases",
}
OFTEN = ("grid", "image", "thresholds", "compare")  # of these the rest is made


OUTLINED = """(element => [element, element.labels?.[0] ?? element, element.parentElement].some(each => {
    const style = getComputedStyle(each);
    return parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none";
}))(document.activeElement)"""


@pytest.fixture(scope="module")
def address(demo_corpus: Path) -> Iterator[str]:
    with served(demo_corpus) as url:
        yield url


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    # Python 3.11 cannot parse source among Playwright's greenlets, which other styles of tracebacks ask for.
    style, request.config.option.tbstyle = request.config.option.tbstyle, "native"
    with chromium() as browser:
        yield browser
    request.config.option.tbstyle = style


@pytest.fixture(scope="module")
def urls(address: str, demo: Corpus) -> dict[str, str]:
    pair = demo.table("pairs", ["pair_id", "document_id", "image_id"], "language = 'ar'").to_pylist()[0]
    ids = {"pair": pair["pair_id"], "document": pair["document_id"], "image": pair["image_id"]}
    return {name: address + path.format(**ids) for name, path in PAGES.items()}


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


def settled(page: Any, url: str) -> None:
    """Go there and wait until all parts have come."""
    page.goto(url)
    until(page, "document.querySelectorAll('[data-state=loading], meta[http-equiv=refresh]').length === 0")


def until(page: Any, expression: str, seconds: float = 20) -> None:
    """Wait for something to be true. Asked from here: in the page, its policy forbids to evaluate texts."""
    from playwright.sync_api import Error

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Error):  # a page that loads itself anew just then
            if page.evaluate(expression):
                return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('href') ?? document.activeElement.tagName"))


def blur_of(page: Any, selector: str) -> str:
    return str(page.locator(selector).first.evaluate("element => getComputedStyle(element).filter"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in PAGES]
)
def test_axe_finds_nothing_serious(name: str, urls: dict[str, str], page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    settled(page, urls[name])
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = [each for each in Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
        told = [(scheme, each["id"], [node["html"][:200] for node in each["nodes"][:4]]) for each in found]
        assert not told


@pytest.mark.parametrize("language", ["en-US", pytest.param("zh-CN", marks=pytest.mark.slow)])
def test_nothing_is_wider_than_a_phone(language: str, urls: dict[str, str], browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale=language)
    page = context.new_page()
    wide = {}
    for name, url in urls.items():
        settled(page, url)
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 390:
            wide[name] = width
    context.close()
    assert not wide


def test_keys_on_the_grid(urls: dict[str, str], page: Any) -> None:
    settled(page, urls["grid"])
    cards = page.locator("[data-card]").evaluate_all("all => all.map(each => each.getAttribute('href'))")
    page.keyboard.press("ArrowRight")
    assert focused(page) == cards[0]
    page.keyboard.press("ArrowRight")
    assert focused(page) == cards[1]
    page.keyboard.press("ArrowDown")
    below = focused(page)
    assert below in cards[2:]
    page.keyboard.press("ArrowUp")
    assert focused(page) == cards[1]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{cards[1]}")
    page.keyboard.press("p")  # the row before
    page.wait_for_url(f"**{cards[0]}")
    page.keyboard.press("n")
    page.wait_for_url(f"**{cards[1]}")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("wave b n ?")  # letters are letters in a box
    assert page.locator("input[name=q]").input_value() == "wave b n ?"


def test_pages_turn_by_key(urls: dict[str, str], page: Any) -> None:
    settled(page, urls["grid"])
    page.keyboard.press("n")
    page.wait_for_url("**after=*")
    page.keyboard.press("p")
    page.wait_for_url(lambda url: "after=" not in url)


def test_help_opens_and_closes(urls: dict[str, str], page: Any) -> None:
    for name in ("grid", "image", "groups"):
        settled(page, urls[name])
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("Escape")
        assert page.locator("#help").is_hidden()


def test_one_picture_is_shown_by_click_and_by_key(urls: dict[str, str], page: Any) -> None:
    settled(page, urls["grid"])
    picture = page.locator(".card .picture").first
    assert "blur" in blur_of(page, ".card .picture img")
    picture.click()
    assert page.url == urls["grid"]  # the first click shows, the second one follows the link
    assert blur_of(page, ".card .picture img") == "none"
    page.reload()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("v")
    assert blur_of(page, ".card .picture img") == "none"
    page.keyboard.press("v")
    assert "blur" in blur_of(page, ".card .picture img")
    page.keyboard.press("Enter")
    page.wait_for_url("**/image/*")
    assert "blur" in blur_of(page, ".picture.large img")
    page.keyboard.press("v")
    assert blur_of(page, ".picture.large img") == "none"


def test_b_is_for_blur_and_stays(urls: dict[str, str], page: Any) -> None:
    settled(page, urls["image"])
    page.keyboard.press("b")
    assert blur_of(page, ".picture.large img") == "none"
    settled(page, urls["grid"])
    assert blur_of(page, ".card .picture img") == "none"
    page.keyboard.press("b")
    assert "blur" in blur_of(page, ".card .picture img")


def test_the_first_tab_skips_to_the_content(urls: dict[str, str], page: Any) -> None:
    settled(page, urls["grid"])
    page.keyboard.press("Tab")
    assert focused(page) == "#main"
    box = page.locator(".skip").bounding_box()
    assert box["width"] > 50 and box["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_what_has_the_focus_is_seen(urls: dict[str, str], page: Any) -> None:
    for name in ("grid", "image", "groups"):
        settled(page, urls[name])
        for _ in range(25):
            page.keyboard.press("Tab")
            outlined = page.evaluate(OUTLINED)
            assert outlined, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")


def test_without_javascript(urls: dict[str, str], browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    page.goto(urls["grid"])
    assert page.locator("[data-card]").count() > 20
    with page.expect_navigation():
        page.locator("[data-part] a").first.click()  # parts are links
    assert "328" in page.content()
    page.goto(urls["image"])
    assert "must be at least" in page.content()
    assert "blur" in page.locator(".picture.large img").evaluate("element => getComputedStyle(element).filter")
    page.locator("[data-reveal]").focus()
    page.keyboard.press("Space")
    assert page.locator(".picture.large img").evaluate("element => getComputedStyle(element).filter") == "none"
    with page.expect_navigation():
        page.locator("noscript a").first.click()
    assert "unblurred" in page.locator("body").get_attribute("class")
    context.close()


def test_a_near_duplicate_is_two_clicks_away(urls: dict[str, str], page: Any) -> None:
    settled(page, f"{urls['grid'].rstrip('/')}/?where=image_cluster_size+%3D+4")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/image/*")
    page.get_by_role("link", name="Find near-duplicates").click()
    page.wait_for_url("**/duplicates?of=*")
    assert page.locator("[data-card]").count() >= 4
    assert "of 64 bits differ" in page.content()


def test_a_phone_shows_which_page_is_open_and_that_there_are_more(urls: dict[str, str], page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    settled(page, urls["releases"])
    tab = page.locator("nav.pages [aria-current]").bounding_box()
    assert tab["x"] >= 0 and tab["x"] + tab["width"] <= 390
    page.wait_for_selector("nav.pages.more-before")
    settled(page, urls["grid"])
    page.wait_for_selector("nav.pages.more-behind:not(.more-before)")
    placeholder = """box => {
        const pen = document.createElement("canvas").getContext("2d"), style = getComputedStyle(box);
        pen.font = style.font;
        return box.clientWidth - parseFloat(style.paddingLeft) * 2 - pen.measureText(box.placeholder).width;
    }"""
    assert page.locator("input[name=q]").evaluate(placeholder) >= 0


def test_the_blur_button_says_its_state(urls: dict[str, str], page: Any) -> None:
    settled(page, urls["grid"])
    button = page.locator("header [data-blur]")
    assert button.inner_text() == "Blur: on" and button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.inner_text() == "Blur: off" and button.get_attribute("aria-pressed") == "false"
