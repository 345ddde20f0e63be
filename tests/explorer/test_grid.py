"""The first page: the grid, its filters, the search box, and a selection's two sides."""

from __future__ import annotations

import html
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import vector_corpus
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.explorer import listing as searching
from tuwen.selections.ledger import Ledger

ICON = "75ca77781f54bbf0061b53c0adde029a"  # one of four that look alike
PICTURE = "06d74199153db3826f45323a454f4cc5"


def shown(text: str, unit: str = "image") -> list[str]:
    """Ids of the cards of a page."""
    return re.findall(rf'href="/{unit}/([0-9a-f]{{32}})[^"]*" data-card', text)


def every(pages: TestClient, **parameters: str) -> list[str]:
    """Ids of all cards, page by page."""
    found: list[str] = []
    url = str(pages.get("/", params=parameters).request.url)
    while True:
        text = pages.get(url).text
        found += shown(text, parameters.get("unit", "image"))
        following = re.search(r'<a href="([^"]+)" rel="next"', text)
        if not following:
            return found
        url = html.unescape(following[1])


def test_paging_shows_every_row_once(pages: TestClient, demo: Corpus) -> None:
    assert every(pages) == demo.table("images", ["image_id"])["image_id"].to_pylist()


@pytest.mark.parametrize(("where", "column"), [("width >= 200", "width"), ("format = 'gif'", "format")])
def test_a_rule_filters(pages: TestClient, demo: Corpus, where: str, column: str) -> None:
    table = demo.table("images", ["image_id", column]).to_pylist()
    keep = {"width": lambda row: row["width"] >= 200, "format": lambda row: row["format"] == "gif"}[column]
    wanted = [row["image_id"] for row in table if keep(row)]
    assert 0 < len(wanted) < len(table)
    assert every(pages, where=where) == wanted
    assert pages.get("/count", params={"where": where}).text.split() == [str(len(wanted)), "images"]


def test_sorted_pages_go_on_where_they_ended(pages: TestClient, demo: Corpus) -> None:
    widths = dict(zip(*[each.to_pylist() for each in demo.table("images", ["image_id", "width"]).columns], strict=True))
    found = [widths[id_] for id_ in every(pages, sort="width desc")]
    assert found == sorted(widths.values(), reverse=True)


def test_a_selection_has_two_sides(pages: TestClient, demo: Corpus) -> None:
    ledger = Ledger.open_or_judge(demo, "figures")
    kept = set(ledger.kept().read_all()["id"].to_pylist())
    assert set(every(pages, **{"is": "figures"})) == kept
    assert len(every(pages, **{"is": "!figures"})) == ledger.num_rows - len(kept)
    both = pages.get("/", params={"split": "figures"}).text
    assert "Kept" in both and "Refused" in both
    assert {id_ in kept for id_ in shown(both)} == {True, False}


def test_an_id_leads_to_its_page(pages: TestClient) -> None:
    answer = pages.get("/", params={"q": PICTURE[:8]}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/image/{PICTURE}"


def test_words_are_found_in_any_language(pages: TestClient) -> None:
    text = pages.get("/", params={"q": "按钮"}).text
    assert shown(text)
    assert "按钮" in text


def test_a_picture_that_is_dropped_finds_itself_and_its_like(pages: TestClient, demo: Corpus) -> None:
    (data,) = demo.images([PICTURE])
    files = {"picture": ("mine.png", data or b"", "image/png")}
    answer = pages.post("/dropped", files=files, headers={"origin": "http://127.0.0.1"})
    assert answer.status_code == 200
    assert f"image={PICTURE}" in str(answer.request.url)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_a_broken_picture_is_told(pages: TestClient, data: bytes) -> None:
    files = {"picture": ("mine.png", data, "image/png")}
    answer = pages.post("/dropped", files=files, headers={"origin": "http://127.0.0.1"})
    assert answer.status_code in (200, 400)
    assert "Traceback" not in answer.text
    assert "could not be decoded" in answer.text or "empty" in answer.text


def test_a_range_and_a_rule_of_ones_own(pages: TestClient) -> None:
    answer = pages.get("/narrow", params={"unit": "image", "column": "width", "low": "100", "high": "200"})
    assert "width &gt;= 100" in answer.text or "width >= 100" in answer.text
    refused = pages.get("/narrow", params={"unit": "image", "rule": "width >= (select 1)"})
    assert refused.status_code == 400
    assert "subquery" in refused.text


def test_facets_count_what_the_other_filters_leave(pages: TestClient, demo: Corpus) -> None:
    languages = demo.table("pairs", ["language", "text_source"]).to_pylist()
    number = sum(row["language"] == "zh" and row["text_source"] == "alt" for row in languages)
    parameters = {"unit": "pair", "where": "text_source = 'alt' and language = 'en'", "column": "language"}
    part = pages.get("/facet", params=parameters).text
    assert re.search(rf'zh</bdi></span>\s*<meter[^>]*value="{number}"', part)


def test_a_cache_that_cannot_be_written_costs_time_only(
    own_corpus: Path, explore: Callable[[Path], TestClient]
) -> None:
    shutil.rmtree(own_corpus / "cache", ignore_errors=True)
    (own_corpus / "cache").mkdir()
    (own_corpus / "cache" / "explorer").write_text("a file where the folder should be")
    client = explore(own_corpus)
    assert client.get("/", params={"unit": "pair"}).status_code == 200
    assert client.get(f"/picture/{PICTURE}").status_code == 200


def test_a_search_counts_at_least_what_it_looked_at(pages: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts are asked of the best hits alone: what they leave is not all that there is."""
    monkeypatch.setattr(searching, "SEARCHED", 10)
    found = {
        name: pages.get("/count", params={"unit": "pair", "q": "the a of", **more}).text.split()
        for name, more in {"all": {}, "kept": {"is": "strong"}}.items()
    }
    assert found["all"][0] == "≥" and found["kept"][0] == "≥", found
    plain = pages.get("/count", params={"unit": "pair", "q": "red bicycle"})
    quoted = pages.get("/count", params={"unit": "pair", "q": '"red bicycle"'})
    assert quoted.status_code == 200 and quoted.text == plain.text
    assert pages.get("/count", params={"unit": "pair", "q": "xylophonic"}).text.split() == ["0", "pairs"]


@pytest.mark.parametrize("unit", ["pair", "image"])
def test_facets_of_a_search_count_its_hits(pages: TestClient, demo: Corpus, unit: str) -> None:
    asked = {"unit": unit, "q": "按钮"}
    ids = every(pages, **asked)
    column, key = {"pair": ("text_source", "pair_id"), "image": ("format", "image_id")}[unit]
    table = demo.table(f"{unit}s", [key, column]).to_pylist()
    truth = Counter(row[column] for row in table if row[key] in ids)
    part = pages.get("/facet", params={**asked, "column": column}).text
    counts = re.findall(r"<bdi[^>]*>([^<]*)</bdi></span>\s*<meter[^>]*value=\"(\d+)\"", part)
    assert {label: int(number) for label, number in counts} == {label: n for label, n in truth.items() if label}
    assert 0 < len(ids) < len(table) and f"among the {len(ids)} best hits" in part


def test_facets_of_what_is_like_a_picture_count_what_is_shown(pages: TestClient) -> None:
    ids = every(pages, like=ICON)
    part = pages.get("/facet", params={"like": ICON, "column": "width"}).text
    assert sum(map(int, re.findall(r"<meter[^>]*value=\"(\d+)\"", part))) == len(ids) > 0


def test_facets_of_a_search_without_hits_count_nothing(pages: TestClient) -> None:
    for column in ("language", "num_characters"):
        part = pages.get("/facet", params={"unit": "pair", "q": "xylophonic", "column": column}).text
        assert "<meter" not in part and "Nothing fits" in part


@pytest.mark.parametrize(
    ("rule", "told"),
    [("widht >= 200", "did you mean"), ("width >=", "cannot read"), ("width >= (select 1)", "subquery")],
)
def test_a_rule_with_a_mistake_loses_nothing(pages: TestClient, rule: str, told: str) -> None:
    """Typed, or in the address: the page stays, with the rule to be corrected."""
    kept = {"unit": "image", "where": "height >= 100", "q": "按钮"}
    typed = pages.get("/narrow", params={**kept, "rule": rule})
    linked = pages.get("/", params={**kept, "where": f"height >= 100 and {rule}"})
    plain = pages.get("/", params=kept)
    for answer in (typed, linked) if told == "did you mean" else (typed,):
        assert answer.status_code == 400 and told in answer.text
        assert f'value="{html.escape(rule, quote=True)}"' in answer.text.replace("&#39;", "&#x27;")
        assert shown(answer.text) == shown(plain.text) != []
        assert "height &gt;= 100" in answer.text and 'value="按钮"' in answer.text
    assert "width" in typed.text


def test_errors_in_english_have_a_chinese_lead(pages: TestClient) -> None:
    for url in ("/?where=widht+>+3", "/duplicates?column=nope", "/compare?a=nix&b=weak"):
        own, other = (pages.get(url, headers={"accept-language": each}).text for each in ("zh", "en"))
        assert "无法完成，原因如下（英文）：" in own and "in English" not in other


def test_a_search_by_meaning_without_vectors_keeps_the_page(pages: TestClient) -> None:
    answer = pages.get("/", params={"q": "face", "by": "meaning", "where": "height >= 100"})
    assert answer.status_code == 400 and "image.embedding" in answer.text
    assert 'value="face"' in answer.text and "height &gt;= 100" in answer.text and 'class="filters"' in answer.text
    assert re.search(r'<option value="meaning"[^>]* disabled title="No model', answer.text)


def test_without_vectors_a_card_offers_what_hashes_can_find(pages: TestClient, demo: Corpus) -> None:
    text = pages.get("/").text
    assert "near-duplicates</a>" in text and "more like this" not in text
    assert re.search(r'<a class="more" href="/duplicates\?of=[0-9a-f]{32}">', text) and "?like=" not in text
    alone = demo.table("images", ["image_id"], "image_cluster_size = 1")["image_id"].to_pylist()
    empty = next(answer for id_ in alone if not shown(answer := pages.get("/", params={"like": id_}).text))
    assert "near this one by its perceptual hash" in empty and "image.embedding" in empty
    assert "Take away a filter" not in empty


def test_with_vectors_a_card_offers_more_like_it(tmp_path: Path, explore: Callable[[Path], TestClient]) -> None:
    vector_corpus.small_corpus(tmp_path / "corpus")
    client = explore(tmp_path / "corpus")
    text = client.get("/").text
    assert "more like this</a>" in text and 'value="meaning">' in text


def test_one_hit_is_no_hits(pages: TestClient) -> None:
    asked = {
        "unit": "pair",
        "q": "按钮",
        "where": f"pair_id = '{shown(pages.get('/?unit=pair&q=按钮').text, 'pair')[0]}'",
    }
    part = pages.get("/facet", params={**asked, "column": "language"}).text
    assert "of the only hit" in part and "best hits" not in part


def test_one_image_is_no_images(pages: TestClient) -> None:
    where = f"image_id = '{PICTURE}'"
    assert pages.get("/count", params={"where": where}).text.split() == ["1", "image"]


@pytest.mark.parametrize("url", ["/", "/?split=strong&unit=pair", "/duplicates", f"/duplicates?of={ICON}"])
def test_blurred_pictures_can_be_shown_before_the_filters(pages: TestClient, url: str) -> None:
    text = pages.get(url).text
    assert 0 < text.index("data-unscored") < text.index("data-card")
    assert text.index("data-unscored") < text.find('class="filters"') % len(text)
