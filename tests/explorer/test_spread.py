"""The page of distributions: its figures are those of GROUP BY, and its links lead to the rows that it counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import vector_corpus
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, host_sql
from tuwen.corpus.units import append_rows
from tuwen.errors import UsageError
from tuwen.explorer.app import make_app
from tuwen.explorer.facets import count
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.spread import answer, cell_rule
from tuwen.explorer.spread_blocks import Block, sections
from tuwen.explorer.view import Term, View

PAIRS = View(unit="pair")


def blocks(snapshot: Snapshot, view: View) -> list[Block]:
    return [block for each in sections(snapshot, view).values() for block in each]


@pytest.mark.parametrize(
    "view", [View(), View(unit="pair", terms=(Term("strong"),)), View(where="width < 200")], ids=str
)
def test_every_block_is_answered_and_its_rules_ask_for_what_was_counted(looked: Snapshot, view: View) -> None:
    asked = 0
    for block in blocks(looked, view):
        found = answer(looked, block.view, block.kind, block.names, Stop(60))
        assert found.exact and found.read == found.total, block
        for value in [value for facet in found.facets for value in facet.values[:3] if value.rule]:
            if block.kind == "fetches":  # counts attempts, and leads to the pairs that had none better
                continue
            rows = count(looked, block.view.with_rule(value.rule), Stop(60)).count
            assert rows == value.count, (block.title, value)
            asked += 1
    assert asked > 20


@pytest.mark.parametrize(
    ("unit", "table", "column"), [("document", "documents", "url"), ("pair", "pairs", "image_ref")]
)
def test_hosts_are_those_of_the_one_place_that_knows(looked: Snapshot, unit: str, table: str, column: str) -> None:
    stored = looked.corpus.table(table, [column])
    truth = duckdb.from_arrow(stored).query("t", f"SELECT {host_sql(column)}, count(*) FROM t GROUP BY 1").fetchall()
    (found,) = answer(looked, View(unit=unit), "hosts", [column], Stop(60)).facets
    assert {value.label: value.count for value in found.values} == {name: number for name, number in truth if name}


def test_hosts_of_odd_urls(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    urls = [
        "http://A.test:80/x", "https://u:p@a.test", "http://a.test?q=/x", "http:/b.test/c",
        "data:image/png;base64,AA//BB",
        "//a.test/x", "http://[::1]:8/x", "", None, "javascript://a.test/%0aalert(1)", "nonsense",
    ]  # fmt: skip
    corpus = Corpus.create(tmp_path / "corpus")
    rows = [{"document_id": vector_corpus.key(number), "url": url} for number, url in enumerate(urls)]
    append_rows(corpus, "documents", [pa.RecordBatch.from_pylist(rows, schema=TABLES["documents"].schema)])
    stored = pa.table({"url": pa.array(urls)})
    truth = duckdb.from_arrow(stored).query("t", f"SELECT {host_sql('url')}, count(*) FROM t GROUP BY 1").fetchall()
    snapshot = look(tmp_path / "corpus").snapshot()
    (found,) = answer(snapshot, View(unit="document"), "hosts", ["url"], Stop(60)).facets
    assert {value.label: value.count for value in found.values} == {name: number for name, number in truth if name}
    for value in found.values:
        assert count(snapshot, View(unit="document").with_rule(value.rule), Stop(60)).count == value.count
    assert found.num_null == sum(number for name, number in truth if not name)


def test_cells_of_sizes_hold_their_images(looked: Snapshot) -> None:
    found = answer(looked, View(), "sizes", ["width", "height"], Stop(60))
    assert found.num_rows + found.facets[0].num_null == looked.num_rows("image")
    for cell in found.cells[::5]:
        assert count(looked, View(where=cell_rule(["width", "height"], cell)), Stop(60)).count == cell[2]


def test_head_and_tail_of_concepts(tmp_path: Path, look: Callable[[Path], Explored]) -> None:
    corpus = vector_corpus.small_corpus(tmp_path / "corpus")
    lists = [["bike", "wall"], ["bike"], ["tree"], None, ["cat", "bike"], [], ["<script>alert(1)</script>"]]
    rows = {vector_corpus.key(f"p{number}"): {"concepts": each} for number, each in enumerate(lists, start=1)}
    schema = pa.schema([("concepts", pa.list_(pa.string()))])
    vector_corpus.write_columns(corpus, "pairs", "concepts.match", schema, rows)
    snapshot = look(tmp_path / "corpus").snapshot()
    (block,) = sections(snapshot, View())["concepts"]
    found = answer(snapshot, block.view, block.kind, block.names, Stop(60))
    assert [(value.label, value.count) for value in found.facets[0].values][:1] == [("bike", 3)]
    assert found.ranks[0] == (1, 3) and found.tail == ((1, 1, 4), (2, 3, 1)) and found.facets[0].num_null == 1
    with TestClient(make_app(tmp_path / "corpus"), "http://127.0.0.1") as client:
        text = client.get(block.url, headers={"X-Part": "1"}).text
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_what_was_not_read_in_time_is_said_and_can_be_read_in_full(
    looked: Snapshot, pages: TestClient, stopped: Stop
) -> None:
    late = answer(looked, PAIRS, "hosts", ["image_ref"], stopped)
    assert not late.exact and late.read == 0
    whole = pages.get(PAIRS.url("/spread", kind="hosts", columns="image_ref", all=1), headers={"X-Part": "1"})
    assert whole.status_code in (200, 202)


@pytest.mark.parametrize(
    ("kind", "names"),
    [("magic", ["text"]), ("values", []), ("numbers", ["text"]), ("sizes", ["position"]), ("hosts", ["position"]),
     ("rights", ["text"]), ("concepts", ["text"]), ("values", ["colour"])],
)  # fmt: skip
def test_what_cannot_be_asked_is_told(looked: Snapshot, kind: str, names: list[str]) -> None:
    with pytest.raises(UsageError):
        answer(looked, PAIRS, kind, names, Stop(60))


@pytest.mark.parametrize("query", ["", "?is=strong", "?is=!figures", "?unit=pair&where=num_words+%3E+3", "?lang=zh"])
def test_the_page_and_all_its_parts_are_there(pages: TestClient, query: str) -> None:
    page = pages.get(f"/distributions{query}")
    assert page.status_code == 200
    parts = [unescape(each) for each in re.findall(r'data-part="(/spread[^"]*)"', page.text)]
    assert len(parts) > 8
    for part in parts:
        answered = pages.get(part, headers={"X-Part": "1"})
        assert answered.status_code == 200 and "style=" not in answered.text, part


def test_links_lead_to_as_many_rows(pages: TestClient) -> None:
    text = pages.get("/spread?unit=pair&kind=values&columns=language", headers={"X-Part": "1"}).text
    url = re.findall(r'<a href="([^"]*)"><bdi dir="auto">zh', text)[0]
    number = re.findall(
        r'zh</bdi></a></th>.*?<td class="number">[^<]*</td><td class="number">([\d,]+)<', text, re.DOTALL
    )[0]
    told = pages.get(unescape(url).replace("/?", "/count?"), headers={"X-Part": "1"}).text
    assert told.split()[0] == number
