"""The map: alike lies together, always in the same places, and what is drawn around is what the grid shows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import vector_corpus
from browsing import chromium, needs_chromium, served
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.explorer import projection
from tuwen.explorer.app import make_app
from tuwen.explorer.projection import SIDE, cells_of, in_polygon, inside, laid_out, map_of
from tuwen.explorer.snapshot import Explored
from tuwen.explorer.view import View

HOSTILE = "<script>alert(1)</script>\u202e' onmouseover='x"


def clusters(number: int) -> np.ndarray:
    """`number` vectors of each of three kinds."""
    noise = 0.05 * vector_corpus.vectors(3 * number, seed=3)
    found = np.repeat(np.eye(8)[:3], number, axis=0) + noise
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of three kinds, one of which cannot be decoded, with hostile captions."""
    path = tmp_path_factory.mktemp("map") / "corpus"
    corpus = Corpus.create(path)
    given = [*clusters(20), None]
    vector_corpus.add_images(corpus, range(61), given, brightness=[float(number) for number in range(61)])
    words = ["red bicycle", "一棵大树", HOSTILE]
    rows = [(f"p{number}", f"{words[number // 20 % 3]} {number}", number, "en") for number in range(61)]
    vector_corpus.add_pairs(corpus, rows)
    return path


@pytest.mark.parametrize("method", ["PCA", "t-SNE"])
def test_what_is_alike_lies_together(method: str) -> None:
    points = laid_out(clusters(20).astype(np.float32), method)
    assert points.shape == (60, 2) and points.min() >= 0 and points.max() == SIDE
    kinds = np.repeat(range(3), 20)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (kinds[distances.argmin(axis=1)] == kinds).mean() > 0.95


@pytest.mark.parametrize("method", ["PCA", "t-SNE"])
def test_the_same_vectors_lie_in_the_same_places(method: str) -> None:
    vectors = clusters(10).astype(np.float32)
    assert np.array_equal(laid_out(vectors, method), laid_out(vectors.copy(), method))


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_few_vectors_have_a_map_too(number: int) -> None:
    points = laid_out(clusters(20)[:number].astype(np.float32), "t-SNE")
    assert points.shape == (number, 2) and np.isfinite(points).all()
    assert np.isfinite(laid_out(np.ones((4, 1), np.float32), "PCA")).all()


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=30))
def test_a_square_holds_what_lies_between_its_sides(places: list[tuple[int, int]]) -> None:
    points = np.array(places, np.float32)
    square = ((10.5, 20.5), (60.5, 20.5), (60.5, 80.5), (10.5, 80.5))
    expected = [10.5 < x < 60.5 and 20.5 < y < 80.5 for x, y in places]
    assert in_polygon(points, square).tolist() == expected
    assert in_polygon(points, square[::-1]).tolist() == expected


def test_a_lasso_is_a_filter_of_images_and_of_their_pairs(clustered: Path, look: Callable[[Path], Explored]) -> None:
    snapshot = look(clustered).snapshot()
    drawn = map_of(snapshot)
    assert drawn.unit == "image" and len(drawn.rows) == 60  # the one without a vector is not on it
    everywhere = ((-1.0, -1.0), (101.0, -1.0), (101.0, 101.0), (-1.0, 101.0))
    assert inside(snapshot, View(lasso=everywhere)).sum() == 60
    assert inside(snapshot, View(unit="pair", lasso=everywhere)).sum() == 60
    with pytest.raises(UsageError, match="look at images"):
        inside(snapshot, View(unit="document", lasso=everywhere))


def test_squares_hold_every_point_once(clustered: Path, look: Callable[[Path], Explored]) -> None:
    snapshot = look(clustered).snapshot()
    total = np.zeros(61, int)
    for cell in cells_of(snapshot, map_of(snapshot)):
        view = View.from_query([*View(lasso=cell.lasso).parameters()])
        told = View.from_query([(n, v) for n, v in view.parameters()])
        chosen = inside(snapshot, told)
        assert chosen.sum() == cell.count
        total += chosen
    assert total.max() == 1 and total.sum() == 60


def test_it_is_kept_and_made_anew_when_vectors_change(
    clustered: Path, look: Callable[[Path], Explored], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = map_of(look(clustered).snapshot())
    monkeypatch.setattr(projection, "laid_out", lambda *_: pytest.fail("made again"))
    again = map_of(look(clustered).snapshot())
    assert np.array_equal(first.points, again.points) and np.array_equal(first.rows, again.rows)
    (file,) = (clustered / "cache" / "explorer").glob("map-*.npz")
    file.write_bytes(b"cut off")
    monkeypatch.undo()
    assert np.array_equal(map_of(look(clustered).snapshot()).points, first.points)


def page(client: TestClient, url: str) -> str:
    for _ in range(100):
        answer = client.get(url)
        if answer.status_code != 202:
            break
        time.sleep(0.2)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_page_has_squares_for_whoever_has_no_mouse(clustered: Path) -> None:
    with TestClient(make_app(clustered), "http://127.0.0.1") as client:
        text = page(client, "/map?color=pair.language")
        assert HOSTILE not in text and "<script>alert" not in text and "\u202e" not in text
        links = [unescape(each) for each in re.findall(r'<li class="card"><a href="([^"]*lasso[^"]*)"', text)]
        assert links
        told = [
            int(client.get(link.replace("/?", "/count?"), headers={"X-Part": "1"}).text.split()[0]) for link in links
        ]
        assert sum(told) == 60
        points = client.get("/map/points?color=brightness").json()
        assert len(points["x"]) == len(points["rows"]) == len(points["values"]) == 60
        assert set(client.get("/map/points?color=pair.text_source").json()["labels"]) == {"alt"}
        card = client.get("/map/card?row=41")
        assert card.status_code == 200 and "<script" not in card.text and "&lt;script" in card.text
        assert (
            client.get("/map/go?row=3", follow_redirects=False).headers["location"] == f"/image/{vector_corpus.key(3)}"
        )
        for bad in ("/map/card?row=-1", "/map/card?row=999", "/map/go?row=x", "/map/points?color=text"):
            assert client.get(bad).status_code == 400


def test_without_vectors_it_says_what_to_add(pages: TestClient) -> None:
    text = pages.get("/map").text
    assert "image.embedding" in text and "tuwen join" in text


@needs_chromium
def test_a_mouse_draws_round_points_and_the_grid_shows_them(clustered: Path) -> None:
    with served(clustered) as address, chromium() as browser:
        page = browser.new_page()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/map")
        page.locator("#plot[data-state=here]").wait_for(timeout=60_000)
        box = page.locator("#plot .nsewdrag").bounding_box()
        left, top = box["x"] + 2, box["y"] + 2
        right, middle, bottom = left + box["width"] - 4, left + box["width"] / 2, top + box["height"] - 4
        page.mouse.move(left, top)
        page.mouse.down()
        for x, y in ((right, top), (right, bottom), (middle, bottom), (left, bottom), (left, top + 4)):
            page.mouse.move(x, y, steps=8)
        page.mouse.up()
        link = page.locator("#drawn a.primary")
        link.wait_for()
        assert "60" in link.text_content()
        assert "lasso=" in page.url  # what is drawn can be sent to somebody
        link.click()
        page.locator("main .card").first.wait_for(timeout=60_000)
        assert page.locator("main .card").count() == 60
        page.go_back()
        page.locator("#plot[data-state=here]").wait_for(timeout=60_000)
        assert page.locator("#plot .shapelayer path").count() == 1
        assert said == []
