"""Pages of one row: the answer people came for, everything behind it, and nothing that a text could do."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.units import append_rows
from tuwen.explorer.reading import reading
from tuwen.explorer.snapshot import Explored
from tuwen.explorer.visit import is_web_address
from tuwen.selections.ledger import Ledger
from tuwen.selections.why import why

STRIP = "5a6e72925862e795f3eda62efd48515d"  # 330 x 35
ICON = "75ca77781f54bbf0061b53c0adde029a"  # one of four that look alike
HOSTILE = [
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>',
    "\u202eevil\u202c \u2066isolated",
    "quotes \" and ' and ` and &lt;b&gt;",
    "javascript:alert(1)",
    "long " * 20_000,
    "شكل ١: قطة على حصيرة",
    "图一：一只猫",
]


def plain(text: str) -> str:
    """What people read of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def refused_by(corpus: Corpus, name: str, step: int) -> str:
    """A row that a selection refuses at a step."""
    ledger = pq.read_table(Ledger.open_or_judge(corpus, name).path, filters=[("step", "=", step)])
    return str(ledger["id"][0])


def test_an_image_says_what_refused_it_in_words(pages: TestClient) -> None:
    text = plain(pages.get(f"/image/{STRIP}").text)
    assert "at step 2 of 5, large enough : height is 35 and must be at least 64" in text
    assert "strong ✕ keeps 0 of 5 pairs" in text or "keeps 0 of 5 pairs" in text
    assert "gerbview_top_layer_png" in text


def test_the_first_sight_is_the_verdict(pages: TestClient) -> None:
    text = pages.get(f"/image/{STRIP}").text
    assert text.index("must be at least") < text.index("Its texts") < text.index("Every rule")


def test_every_rule_has_its_outcome(pages: TestClient, demo: Corpus) -> None:
    text = pages.get(f"/image/{STRIP}").text
    rows = re.findall(r'<tr class="(passed|refused|not-asked)">(.*?)</tr>', text, re.S)
    outcomes = [outcome for outcome, _ in rows]
    assert outcomes == ["passed", "passed", "refused", "not-asked", "not-asked", "not-asked"]
    assert "height" in plain(rows[2][1]) and "35" in plain(rows[2][1])


def test_a_reason_behind_a_reason(pages: TestClient, demo: Corpus) -> None:
    life = why(demo, refused_by(demo, "weak", 2))
    text = plain(pages.get(f"/pair/{life.id}").text)
    because = next(each.because for each in life.verdicts if each.because)
    assert because is not None
    assert f"because its image was refused by figures {because.id[:8]} at step {because.step} of 5," in text


@pytest.mark.parametrize("unit", ["image", "pair", "document"])
def test_json_is_what_the_command_prints(unit: str, pages: TestClient, demo: Corpus) -> None:
    row_id = demo.table(f"{unit}s", [f"{unit}_id"])[f"{unit}_id"][7].as_py()
    assert pages.get(f"/{unit}/{row_id}?format=json").json() == why(demo, row_id).to_json()


@pytest.mark.parametrize("unit", ["image", "pair", "document"])
def test_every_column_stands_on_the_page(unit: str, pages: TestClient, demo: Corpus) -> None:
    row_id = demo.table(f"{unit}s", [f"{unit}_id"])[f"{unit}_id"][3].as_py()
    text = plain(pages.get(f"/{unit}/{row_id}").text)
    for name, stage in demo.columns(f"{unit}s").items():
        assert name in text or name in ("nodes", "image_ids", "text"), name
        assert stage is None or stage in text or name == "image_ids", stage


def test_a_document_reads_in_order_with_the_image_marked(pages: TestClient, demo: Corpus) -> None:
    (document,) = [row for row in demo.table("documents").to_pylist() if row["image_ids"] and STRIP in row["image_ids"]]
    text = pages.get(f"/document/{document['document_id']}?at={STRIP}").text
    assert text.count('id="here"') == 1
    shown = plain(text[text.index('class="reading"') :])
    texts = [" ".join(node["text"].split()) for node in document["nodes"] if node["kind"] == "heading"]
    places = [shown.index(each) for each in texts if each]
    assert len(places) > 3 and places == sorted(places)
    assert re.search(rf'id="here".{{0,400}}/image/{STRIP}', text, re.S)


def test_a_long_document_has_pages(demo_corpus: Path) -> None:
    snapshot = Explored(demo_corpus).snapshot()
    node = {"kind": "text", "text": "x", "level": None, "region": None, "image_ref": None}
    row = {"nodes": [node] * 1000, "image_ids": [*[None] * 900, STRIP, *[None] * 99]}
    first, second, at = reading(snapshot, row), reading(snapshot, row, first=400), reading(snapshot, row, at=STRIP)
    assert (first.first, first.before, first.after) == (0, None, 400)
    assert (second.first, second.before, second.after) == (400, 0, 800)
    assert (at.first, at.at, at.after) == (800, 900, None)


@pytest.mark.parametrize("unit", ["image", "pair", "document"])
@pytest.mark.parametrize("row_id", ["0" * 32, "nonsense", "%3Cscript%3E", "x" * 300])
def test_an_unknown_id_is_told(unit: str, row_id: str, pages: TestClient) -> None:
    answer = pages.get(f"/{unit}/{row_id}")
    assert answer.status_code == 404
    assert f"There is no such {unit}" in answer.text
    assert "<script>" not in answer.text.replace('<script type="module"', "")
    assert pages.get(f"/{unit}/{row_id}?format=json").status_code == 404


def test_an_id_of_another_unit_or_the_start_of_one_leads_there(pages: TestClient) -> None:
    for asked in (f"/pair/{STRIP}", f"/image/{STRIP[:12]}", f"/document/{STRIP.upper()}"):
        answer = pages.get(asked, follow_redirects=False)
        assert answer.headers["location"] == f"/image/{STRIP}", asked


def take_down(corpus: Corpus, kind: str, value: str) -> None:
    row = {"kind": kind, "value": value, "reason": "their photographer asked"}
    with corpus.writing():
        append_rows(corpus, "tombstones", [pa.RecordBatch.from_pylist([row], schema=TABLES["tombstones"].schema)])


def hash_of(corpus: Corpus, row_id: str) -> str:
    (row,) = corpus.table("images", ["perceptual_hash"], f"image_id = '{row_id}'").to_pylist()
    return f"{row['perceptual_hash']:016x}/0"


@pytest.mark.parametrize("kind", ["image", "near", "url", "domain"])
def test_a_row_that_was_taken_down_shows_nothing(
    kind: str, own_corpus: Path, explore: Callable[[Path], TestClient]
) -> None:
    corpus = Corpus.open(own_corpus)
    (pair, *_) = corpus.table("pairs", ["pair_id", "text", "document_id"], f"image_id = '{STRIP}'").to_pylist()
    (fetch,) = corpus.table("fetches", ["url"], f"image_id = '{STRIP}'").to_pylist()
    value = {"image": STRIP, "near": hash_of(corpus, STRIP), "url": fetch["url"], "domain": "kicad-en.test"}[kind]
    take_down(corpus, kind, value)
    client = explore(own_corpus)
    gone = {f"/image/{STRIP}": "image", f"/pair/{pair['pair_id']}": "pair"}
    for page, unit in gone.items():
        answer = client.get(page)
        assert answer.status_code == 410
        assert f"This {unit} was taken down" in answer.text and "their photographer asked" in answer.text
        assert pair["text"] not in answer.text and "/picture/" not in answer.text
        assert set(client.get(page + "?format=json").json()) == {"kind", "id", "taken_down"}
    answer = client.get(f"/document/{pair['document_id']}?at={STRIP}")
    assert answer.status_code == (410 if kind == "domain" else 200)
    assert f"/picture/{STRIP}" not in answer.text


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, demo_crawl: Path) -> tuple[Path, Mapping[str, Any]]:
    """A corpus whose texts, titles and addresses do what they can."""
    corpus = Corpus.create(tmp_path_factory.mktemp("hostile") / "corpus")
    image = b"no picture"
    rows: dict[str, list[dict[str, Any]]] = {
        "images": [{"image_id": digest(image), "bytes": image}],
        "pairs": [],
        "documents": [],
    }
    for number, text in enumerate(HOSTILE):
        document = digest("document", number)
        nodes = [
            {"kind": kind, "text": text, "level": 1, "region": "main"}
            for kind in ("heading", "text", "list", "table", "code", "quote", "caption", "transcript", "unheard of")
        ]
        nodes.append({"kind": "image", "text": None, "region": text[:50], "image_ref": "javascript:alert(1)"})
        rows["documents"].append(
            {"document_id": document, "url": "javascript:alert(1)", "title": text, "nodes": nodes, "license": text}
        )
        rows["pairs"].append(
            {"pair_id": digest("pair", number), "document_id": document, "image_ref": text, "text": text,
             "text_source": "alt", "position": 0}
        )  # fmt: skip
    with corpus.writing():
        for table, listed in rows.items():
            own = [{**row, "source": "<b>", "source_unit": "u"} for row in listed]
            append_rows(corpus, table, [pa.RecordBatch.from_pylist(own, schema=TABLES[table].schema)])
    return corpus.path, rows


@pytest.mark.parametrize("number", range(len(HOSTILE)))
@pytest.mark.parametrize("unit", ["pair", "document"])
def test_hostile_texts_show_themselves_and_do_nothing(
    unit: str, number: int, hostile: tuple[Path, Mapping[str, Any]], explore: Callable[[Path], TestClient]
) -> None:
    answer = explore(hostile[0]).get(f"/{unit}/{digest(unit, number)}")
    assert answer.status_code == 200
    assert len(answer.text) < 260_000
    assert "alert(1)</script>" not in answer.text and "<img src=x" not in answer.text
    assert not re.search(r'(href|src)="\s*javascript:', answer.text)
    assert not set("\u202e\u202c\u2066") & set(answer.text)
    assert " ".join(HOSTILE[number][:30].split())[:5].strip("\u202e") in html.unescape(answer.text)


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://example.org/a.png", True),
        ("HTTP://EXAMPLE.ORG", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        (" https://example.org\n", False),
        ("http://[half", False),
        ("//example.org", False),
        (None, False),
    ],
)
def test_only_addresses_of_the_web_are_links(url: str | None, is_one: bool) -> None:
    assert is_web_address(url) is is_one


def test_links_out_tell_nothing_of_us(pages: TestClient) -> None:
    links = re.findall(r"<a[^>]*http://[^>]*>", pages.get(f"/image/{STRIP}").text)
    assert links and all('rel="noreferrer noopener nofollow"' in link for link in links)


def test_a_corpus_without_selections(
    hostile: tuple[Path, Mapping[str, Any]], explore: Callable[[Path], TestClient]
) -> None:
    answer = explore(hostile[0]).get(f"/pair/{digest('pair', 6)}")
    assert "no selections yet" in answer.text


def test_a_page_without_pairs_keeps_and_refuses_none(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    node = {"kind": "text", "text": "alone", "level": None, "region": None, "image_ref": None}
    row = {"document_id": digest("document", 1), "url": "http://alone.test/", "nodes": [node], "source": "s"}
    corpus = Corpus.open(own_corpus)
    with corpus.writing():
        append_rows(corpus, "documents", [pa.RecordBatch.from_pylist([row], schema=TABLES["documents"].schema)])
    text = plain(explore(own_corpus).get(f"/document/{row['document_id']}").text)
    assert "strong there are no pairs here" in text and "0 of 0" not in text
    assert "1 part" in text and "1 parts" not in text


def test_the_page_in_chinese(pages: TestClient) -> None:
    text = plain(pages.get(f"/image/{STRIP}", headers={"accept-language": "zh"}).text)
    assert "第2步（共5步）largeenough：height为35，应不小于64" in text.replace(" ", "")


def steps(text: str) -> dict[str, str]:
    """Where Previous, Next and the way back lead."""
    found = {name: html.unescape(url) for url, name in re.findall(r'<a href="([^"]+)" rel="(prev|next)"', text)}
    back = re.search(r'<nav class="around"[^>]*>\s*<a href="([^"]+)"', text)
    return found | ({"back": html.unescape(back[1])} if back else {})


LISTS = [{"sort": "width desc"}, {"is": "!figures"}, {"where": "height >= 100", "q": "按钮"}, {"like": ICON}]


@pytest.mark.parametrize("asked", LISTS, ids=lambda asked: "+".join(asked))
def test_next_and_previous_walk_the_list_one_came_from(asked: dict[str, str], pages: TestClient) -> None:
    cards = re.findall(r'href="(/image/[^"]+)" data-card', pages.get("/", params=asked).text)
    urls = [html.unescape(each) for each in cards[:4]]
    texts = [pages.get(url).text for url in urls]
    assert len(urls) > 1
    for here, following in zip(texts, urls[1:], strict=False):
        assert steps(here)["next"] == following
    for before, here in zip(urls, texts[1:], strict=False):
        assert steps(here)["prev"] == before
    assert "prev" not in steps(texts[0]) and "first of the list" in texts[0]
    back = pages.get(steps(texts[1])["back"]).text
    assert re.findall(r'href="(/image/[^"]+)" data-card', back) == cards


def test_a_list_goes_on_behind_its_page_and_says_where_it_ends(pages: TestClient, demo: Corpus) -> None:
    asked = {"sort": "width", "where": "width > 200"}
    url = html.unescape(re.findall(r'href="(/image/[^"]+)" data-card', pages.get("/", params=asked).text)[-1])
    seen = set()
    while True:
        text = pages.get(url).text
        seen.add(url.split("?")[0])
        if "after=" in url and "prev" not in steps(text):
            assert "first of this page" in text
        if "next" not in steps(text):
            break
        url = steps(text)["next"]
    assert "last of the list" in text
    wide = demo.scan("images", ["image_id"], "width > 200").read_all()
    assert len(seen) == wide.num_rows - 59  # all behind the first page, and the last one of it


@pytest.mark.parametrize(
    "query",
    [
        "where=(((", "where=widht+>+3", "sort=nix", "sort=width&after=x", "like=zz", "like=" + "0" * 32, "unit=evil",
        "unit=pair&sort=num_characters", "q=face&by=meaning", "lasso=1,2", "is=nix", "is=%22%3E%3Cscript%3E",
        "unit=//evil.example&where=javascript:alert(1)", "after=-1",
        "where=" + "width+>+3+and+" * 300 + "width+>+3", "is=!figures",
    ],
)  # fmt: skip
def test_a_list_that_nobody_came_from_breaks_nothing(query: str, pages: TestClient) -> None:
    answer = pages.get(f"/image/{STRIP}?{query}")
    assert answer.status_code == 200
    assert "must be at least" in answer.text and "<script>" not in answer.text
    assert all(re.match(r"/(image/[0-9a-f]{32})?(\?|$)", url) for url in steps(answer.text).values())


def test_all_rows_have_the_neighbours_that_are_stored(pages: TestClient, demo: Corpus) -> None:
    ids = demo.table("images", ["image_id"])["image_id"].to_pylist()
    text = pages.get(f"/image/{ids[1]}").text
    assert steps(text) == {"prev": f"/image/{ids[0]}", "next": f"/image/{ids[2]}", "back": "/?unit=image"}


def test_commands_work_where_the_explorer_was_started(
    demo_corpus: Path,
    tmp_path: Path,
    explore: Callable[[Path], TestClient],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path("it's mine/corpus")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_corpus, path)
    text = html.unescape(explore(path).get(f"/image/{STRIP}").text)
    words = shlex.split(next(each for each in re.findall("<code>(.*?)</code>", text) if each.startswith("tuwen why")))
    assert words[2] == str(path) and main(words[1:]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == STRIP
    Corpus.create("an empty one")
    for url in ("/map", "/duplicates"):
        assert "tuwen build recipe.yaml --corpus 'an empty one'" in html.unescape(
            explore(Path("an empty one")).get(url).text
        )


def test_a_selection_that_cannot_be_judged_stops_no_page(
    own_corpus: Path, explore: Callable[[Path], TestClient]
) -> None:
    (own_corpus / "selections").mkdir(exist_ok=True)
    text = "selections: {gone: {unit: image, steps: [{rule: nosuch > 3}]}}\n"
    (own_corpus / "selections" / "gone.yaml").write_text(text, encoding="utf-8")
    with explore(own_corpus) as pages:
        image_id = str(Corpus.open(own_corpus).table("images", ["image_id"])["image_id"][0])
        answer = pages.get(f"/image/{image_id}")
        assert answer.status_code == 200
        assert "gone cannot be judged" in answer.text and "nosuch" in answer.text
        assert "figures" in answer.text
        assert "无法判定 gone" in pages.get(f"/image/{image_id}?lang=zh").text
