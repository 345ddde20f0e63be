"""What only a browser shows of selections: a threshold moved with keys and with the mouse, and a release cut."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import chromium, needs_chromium

pytestmark = needs_chromium
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def address(demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of a corpus of its own, since selections are saved; started in an empty folder."""
    program = "from tuwen.cli import script; script()"
    corpus = shutil.copytree(demo_corpus, tmp_path_factory.mktemp("own") / "corpus")
    server = subprocess.Popen(
        [sys.executable, "-c", program, "explore", str(corpus), "--no-browser"],
        cwd=tmp_path_factory.mktemp("served"), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    yield server.stdout.readline().split(" at ")[1].split(" ")[0]
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as started:
        yield started


@pytest.fixture
def said() -> list[str]:
    """Errors that the browser told of."""
    return []


@pytest.fixture
def page(browser, address, said) -> Iterator[object]:
    context = browser.new_context(base_url=address, locale="en-US")
    opened = context.new_page()
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []  # the policy was not broken, no script failed


def test_a_threshold_moves_by_keys(page) -> None:
    page.goto("/thresholds?selection=weak&step=5&at=0")
    page.locator("input[type=range]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    value = page.locator("input[name=value]").input_value()
    assert float(value) > 5
    assert "more are refused" in page.locator("[data-live]").inner_text()  # at once
    page.wait_for_selector("[data-crossing] [data-card]", timeout=WAIT_MS)
    refused = page.locator("[data-crossing] h3.refused b").inner_text()
    assert page.locator("[data-live]").inner_text() == f"{refused} more are refused"  # counted: no estimate any more
    page.wait_for_selector(".two .here .refused", timeout=WAIT_MS)
    assert f"value={value}" in page.url and f"value={value}" in page.locator("[data-save]").get_attribute("href")


def test_a_threshold_moves_by_the_mouse(page) -> None:
    page.goto("/thresholds?selection=weak&step=5&at=0")
    box = page.locator(".chart svg").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50, steps=4)
    page.mouse.up()
    assert float(page.locator("input[name=value]").input_value()) > 50
    assert page.locator("rect.passes").count() < page.locator("rect.fails").count() * 2
    page.wait_for_selector("[data-crossing] [data-card]", timeout=WAIT_MS)


def test_a_wrong_value_is_told_beside_its_field(page) -> None:
    page.goto("/thresholds?selection=weak&step=5&at=0&value=20")
    page.wait_for_selector(".two .here .refused", timeout=WAIT_MS)
    before = page.url, page.locator("[data-crossing]").inner_text()
    page.fill("input[name=value]", "abc")
    page.click("text=Try it")
    assert page.locator("#problem").inner_text() == "This takes a number, such as 5."
    assert page.locator("input[name=value]").get_attribute("aria-invalid") == "true"
    page.wait_for_timeout(500)  # longer than an answer is waited with
    assert (page.url, page.locator("[data-crossing]").inner_text()) == before
    assert page.locator(".big output").inner_text() == "20"
    page.fill("input[name=value]", "30")
    page.wait_for_url("**value=30", timeout=WAIT_MS)
    assert page.locator("#problem").inner_text() == "" and page.locator(".big output").inner_text() == "30"


def test_what_a_step_cannot_be_is_told_and_the_address_stays(page, said) -> None:
    page.goto("/thresholds?selection=strong&step=8&at=0")
    page.fill("input[name=value]", "2")
    page.wait_for_selector(".two .here .kept", timeout=WAIT_MS)
    page.fill("input[name=value]", "1.5")
    page.wait_for_selector("#problem >> text=whole number", timeout=WAIT_MS)
    assert page.url.endswith("value=2") and page.locator(".big output").inner_text() == "2"
    page.wait_for_load_state("networkidle")
    assert page.locator("main .error").count() == 1
    assert all("400" in each for each in said)  # the browser's own words
    said.clear()


def test_a_funnel_of_another_value_is_not_left_standing(page) -> None:
    page.goto("/thresholds?selection=weak&step=5&at=0&value=20")
    page.wait_for_selector(".two .here .refused", timeout=WAIT_MS)
    page.route("**/thresholds/funnel?**", lambda route: None)  # never answered
    page.fill("input[name=value]", "30")
    page.wait_for_selector("text=judging anew…", timeout=WAIT_MS)
    assert page.locator(".two").count() == 0
    page.unroute_all(behavior="ignoreErrors")


def test_what_is_being_prepared_is_asked_for_again(page) -> None:
    asked = []

    def answer(route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=202, body="<p>Preparing</p>")
        else:
            route.fallback()

    page.goto("/thresholds?selection=weak&step=5&at=0")
    page.route("**/thresholds/crossing?*value=30", answer)
    page.fill("input[name=value]", "30")
    page.wait_for_selector("[data-crossing] [data-card]", timeout=WAIT_MS)
    assert len(asked) == 2


def test_what_the_page_asked_for_first_gives_way(page) -> None:
    """Else its answer, which may take long, would come after that of the value that stands there now."""
    held = []
    page.route("**/thresholds/funnel?*value=20", lambda route: held.append(route))
    page.goto("/thresholds?selection=weak&step=5&at=0&value=20")
    with page.expect_event("requestfailed", lambda request: "value=20" in request.url):
        page.fill("input[name=value]", "30")
    page.wait_for_selector(".two .here .refused", timeout=WAIT_MS)
    assert len(held) == 1


def focused(page) -> str:
    return page.evaluate("document.activeElement.name || document.activeElement.id || document.activeElement.tagName")


@pytest.mark.parametrize(
    ("url", "name"), [("/compare?a=strong&b=weak", "a"), ("/?unit=pair", "is"), ("/releases", "selection")]
)
def test_keys_choose_in_a_list_without_haste(url, name, page) -> None:
    page.goto(url)
    before = page.url
    field = page.locator(f"select[name={name}]")
    field.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(1500)
    assert page.url == before and focused(page) == name  # still on the way, however slowly
    chosen = field.input_value()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before, timeout=WAIT_MS)
    assert page.locator(f"select[name={name}]").input_value() == chosen
    assert focused(page) == name
    there = page.url
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")  # goes on
    page.wait_for_url(lambda url: url != there, timeout=WAIT_MS)


def test_the_mouse_chooses_at_once(page) -> None:
    page.goto("/compare?a=strong&b=weak")
    with page.expect_request("**b=figures", timeout=1000):
        page.select_option("select[name=b]", "figures")


def test_a_release_is_cut_by_keys(page) -> None:
    page.goto("/releases?selection=strong&format=index")
    assert page.locator("[name=short_side]").count() == 0
    page.fill("[name=to]", "by-keys")
    page.locator("[data-cut]").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/releases?**#work", timeout=WAIT_MS)
    assert focused(page) == "work"
    page.wait_for_selector("text=See its card", timeout=WAIT_MS)
    assert page.locator("[name=format]").input_value() == "index"
    assert page.locator("[name=to]").input_value() != "by-keys"  # which is taken now


def test_a_side_is_limited_only_of_pictures_made_anew(page) -> None:
    page.goto("/releases?selection=strong&format=webdataset")
    assert page.locator("[name=short_side]").is_disabled()
    page.select_option("[name=image_format]", "jpeg")
    assert page.locator("[name=short_side]").is_enabled()


def test_a_release_is_cut_in_three_clicks(page) -> None:
    page.goto("/")
    page.click("nav.pages >> text=Releases")
    page.wait_for_selector(".preview .figures", timeout=WAIT_MS)
    page.click("text=Cut the release")
    page.wait_for_selector("text=See its card", timeout=WAIT_MS)
    page.click("text=See its card")
    assert "verified" in page.locator(".heading").inner_text()


def test_a_selection_is_saved_and_deleted(page) -> None:
    page.goto("/save?unit=pair&where=num_characters<40")
    page.fill("input[name=name]", "短文本")
    page.click("main button.primary")
    page.wait_for_url("**/funnel?selection=**", timeout=WAIT_MS)
    assert page.locator("h1").inner_text() == "短文本"
    page.click("text=Delete it")
    page.wait_for_url("**/funnel", timeout=WAIT_MS)
    assert page.locator("text=短文本").count() == 0


@pytest.mark.parametrize("url", ["/funnel", "/funnel?selection=strong", "/thresholds", "/compare", "/releases"])
def test_nothing_is_wider_than_a_phone(url, page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(url)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_phone_shows_what_bars_mean_and_the_whole_slider(page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/thresholds?selection=weak&step=5&at=0")
    assert page.locator("text=(their square root)").is_visible()
    main, slider = (page.locator(each).bounding_box() for each in (".turned", "input[type=range]"))
    assert main["x"] <= slider["x"] and slider["x"] + slider["width"] <= main["x"] + main["width"]
    chart = page.locator(".chart svg").bounding_box()
    assert slider["x"] < chart["x"] and chart["x"] + chart["width"] < slider["x"] + slider["width"]  # half a handle
