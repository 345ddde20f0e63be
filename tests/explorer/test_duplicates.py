"""Groups of near-duplicates, and what is near one image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.explorer.duplicates import cluster_columns, cosine, groups, page_of, shares
from tuwen.explorer.snapshot import Explored

HEART = 64  # bits of a perceptual hash


@pytest.mark.parametrize("name", ["image_cluster", "text_cluster"])
def test_groups_are_what_the_stage_wrote(name: str, demo_corpus: Path, demo: Corpus) -> None:
    snapshot = Explored(demo_corpus).snapshot()
    (column,) = [each for each in cluster_columns(snapshot) if each.name == name]
    table = f"{column.unit}s"
    rows = demo.table(table, [TABLES[table].key, name]).to_pylist()
    wanted = {cluster: size for cluster, size in Counter(row[name] for row in rows).items() if size > 1}
    found = groups(snapshot, column)
    sizes = [len(found.rows(number)) for number in range(len(found))]
    assert sizes == sorted(wanted.values(), reverse=True)
    assert found.num_rows == sum(sizes)
    for number in range(len(found)):
        members = [rows[row] for row in found.rows(number)]
        assert {member[name] for member in members} == {members[0][TABLES[table].key]}


def test_a_page_of_groups(pages: TestClient, demo: Corpus) -> None:
    text = pages.get("/duplicates").text
    assert "8 groups of 19 images" in text
    assert text.index("4 images") < text.index("3 images") < text.index("2 images")
    assert re.search(r"\d of 64 bits differ", text) and "same hash" in text


def test_pages_of_groups_hold_each_once(pages: TestClient) -> None:
    url, seen = "/duplicates?column=text_cluster", []
    while url:
        text = pages.get(url).text
        seen += re.findall(r"text_cluster\+%3D\+%27([0-9a-f]{32})%27[^>]*>all in the grid", text)
        found = re.search(r'href="([^"]+)" rel="next"', text)
        url = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 341


def test_a_group_leads_to_its_rows_in_the_grid(pages: TestClient) -> None:
    text = pages.get("/duplicates?column=text_cluster").text
    number, url = re.search(r'<h2>(\d+) pairs <a class="soft" href="([^"]+)">all in the grid', text).groups()  # type: ignore[union-attr]
    count = pages.get(url.replace("&amp;", "&").replace("/?", "/count?")).text
    assert count.split() == [number, "pairs"]


def test_what_is_near_one_image(pages: TestClient, demo: Corpus) -> None:
    rows = demo.table("images", ["image_id", "perceptual_hash", "image_cluster_size"]).to_pylist()
    asked = next(row for row in rows if row["image_cluster_size"] == 4)
    distances = {row["image_id"]: (row["perceptual_hash"] ^ asked["perceptual_hash"]).bit_count()
                 for row in rows if row["perceptual_hash"] is not None}  # fmt: skip
    text = pages.get(f"/duplicates?of={asked['image_id']}").text
    shown = re.findall(r'<a href="/image/([0-9a-f]{32})" data-card', text)
    assert shown[0] == asked["image_id"]
    assert set(shown) == {key for key, bits in distances.items() if bits <= 12}
    assert [distances[key] for key in shown] == sorted(distances[key] for key in shown)


def test_two_clicks_from_an_image_to_its_near_duplicates(pages: TestClient) -> None:
    home = pages.get("/").text
    image = re.search(r'href="(/image/[0-9a-f]{32})"', home)
    assert image is not None
    assert re.search(r'href="/duplicates\?of=[0-9a-f]{32}"', pages.get(image[1]).text)


def test_what_was_taken_down_is_in_no_group(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    client = explore(own_corpus)
    before = client.get("/duplicates").text
    first = re.search(r'<a href="/image/([0-9a-f]{32})" data-card', before)
    assert first is not None
    row = {"kind": "image", "value": first[1], "reason": None}
    corpus = Corpus.open(own_corpus)
    with corpus.writing():
        append_rows(corpus, "tombstones", [pa.RecordBatch.from_pylist([row], schema=TABLES["tombstones"].schema)])
    after = explore(own_corpus).get("/duplicates").text
    assert "8 groups of 18 images" in after and first[1] not in re.findall("/image/([0-9a-f]{32})", after)
    assert explore(own_corpus).get(f"/duplicates?of={first[1]}").status_code == 400


def test_without_columns_it_says_what_to_add(tmp_path: Path, explore: Callable[[Path], TestClient]) -> None:
    Corpus.create(tmp_path / "corpus")
    text = explore(tmp_path / "corpus").get("/duplicates").text
    assert "dedup.images" in text and "image.perceptual_hash" in text and "tuwen build" in text


def test_a_column_that_is_not_there(pages: TestClient) -> None:
    answer = pages.get("/duplicates?column=nope")
    assert answer.status_code == 400 and "image_cluster" in answer.text


def test_a_member_beyond_the_page(demo_corpus: Path) -> None:
    snapshot = Explored(demo_corpus).snapshot()
    column = next(each for each in cluster_columns(snapshot) if each.name == "text_cluster")
    group = page_of(snapshot, column, 0)[0]
    assert group.size == 128 and len(group.members) == 8


def test_distances() -> None:
    assert shares(pa.array(["a b c d", "A, b c d!", "a b c x", "", None])) == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert cosine([1.0, 0.0], [0.0, 2.0]) == pytest.approx(0.0)
    assert cosine([1.0, 1.0], [2.0, 2.0]) == pytest.approx(1.0)
    assert cosine(None, [1.0]) is None
