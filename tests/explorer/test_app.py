"""The frame of all pages: who may ask, what they may load, pictures, languages, errors in words."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus, write_json
from tuwen.errors import UsageError
from tuwen.explorer.scan import Scan, Stop
from tuwen.explorer.similar import MAX_UPLOADS, keep_upload
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.explorer.visit import LIGHT, Explorer, Visit, answered, endpoint

PICTURE = "06d74199153db3826f45323a454f4cc5"
PAGES = ("/", "/funnel", "/thresholds", "/distributions", "/map", "/duplicates", "/compare", "/releases")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80", "[::2]"])
def test_a_name_that_points_here_is_not_answered(pages: TestClient, host: str) -> None:
    assert pages.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:8000", "localhost:1", "[::1]:8000"])
def test_this_machine_is_answered(pages: TestClient, host: str) -> None:
    assert pages.get("/count", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://[", "null", "https://127.0.0.1", "http://127.0.0.1:9", ""]
)
def test_only_our_own_pages_change_anything(pages: TestClient, origin: str) -> None:
    files = {"picture": ("a.png", b"x", "image/png")}
    assert pages.post("/dropped", files=files, headers={"origin": origin}).status_code == 403


def test_another_site_can_link_here_and_load_nothing(pages: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert pages.get("/count", headers=link).status_code == 200
    load = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert pages.get(f"/picture/{PICTURE}", headers=load).status_code == 403


def test_no_page_may_load_or_run_anything_of_others(pages: TestClient) -> None:
    policy = pages.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert pages.get("/").headers["x-content-type-options"] == "nosniff"
    assert pages.get(f"/picture/{PICTURE}").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("size", ["256", "1024", "", "x", "-1", "99999999999999999999"])
def test_pictures_have_one_of_two_sizes(pages: TestClient, size: str) -> None:
    answer = pages.get(f"/picture/{PICTURE}", params={"size": size})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=600"


@pytest.mark.parametrize("id_", ["0" * 32, "..x", "%2e%2e%2fcorpus.json", "x" * 400, PICTURE.upper(), PICTURE[:8]])
def test_what_is_no_picture_is_not_found(pages: TestClient, id_: str) -> None:
    assert pages.get(f"/picture/{id_}").status_code == 404


def test_a_picture_that_was_taken_down_is_gone(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    client = explore(own_corpus)
    assert client.get(f"/picture/{PICTURE}").status_code == 200
    corpus = Corpus.open(own_corpus)
    schema = corpus.schema("tombstones")
    row = {"kind": "image", "value": PICTURE, "reason": "asked for"}
    batch = pa.RecordBatch.from_pylist([{name: row.get(name) for name in schema.names}], schema=schema)
    with corpus.writing():
        from tuwen.corpus.units import append_rows

        append_rows(corpus, "tombstones", [batch])
    client.app.state.explorer.explored.renew()  # type: ignore[attr-defined]
    assert client.get(f"/picture/{PICTURE}").status_code == 410
    assert client.get("/count").text.split()[0] == "327"


def test_chinese_and_english(pages: TestClient) -> None:
    assert '<html lang="zh">' in pages.get("/", headers={"accept-language": "zh-CN,zh;q=0.9"}).text
    assert '<html lang="en">' in pages.get("/", headers={"accept-language": "de"}).text
    chosen = pages.get("/?lang=zh")
    assert "浏览" in chosen.text
    assert chosen.cookies["tuwen_lang"] == "zh"
    pages.cookies.clear()


@pytest.mark.parametrize(
    "url", ["/nowhere", "/?unit=planet", "/count?where=1+%2B", "/map?where=width+%3E%3D+(select+1)"]
)
def test_errors_are_pages_for_people(pages: TestClient, url: str) -> None:
    answer = pages.get(url)
    assert answer.status_code in (400, 404)
    assert "This does not work" in answer.text
    assert "Traceback" not in answer.text


def test_an_empty_corpus_has_pages_too(tmp_path: Path, explore: Callable[[Path], TestClient]) -> None:
    Corpus.create(tmp_path / "corpus")
    client = explore(tmp_path / "corpus")
    for page in PAGES:
        assert client.get(page).status_code == 200, page
    assert "Nothing fits" in client.get("/").text


def test_no_link_of_ours_leads_to_another_host(pages: TestClient) -> None:
    answer = pages.get("http://127.0.0.1//evil.example/x")
    assert answer.status_code == 404
    assert 'href="//' not in answer.text


def test_quick_requests_wait_for_no_long_ones(demo_corpus: Path) -> None:
    """Two funnels of a minute and all pictures of a page that is being prepared: the next page comes at once."""
    explorer, go = Explorer(demo_corpus), threading.Event()

    def waiting(visit: Visit) -> Response:
        go.wait(20)
        return Response("late")

    app = Starlette(
        routes=[
            Route("/long", endpoint(waiting, 60.0)),
            Route("/picture", endpoint(waiting, 30.0, light=True)),
            Route("/quick", endpoint(lambda visit: Response("here"), 2.5)),
        ]
    )
    app.state.explorer = explorer
    with TestClient(app, "http://127.0.0.1") as client, ThreadPoolExecutor(64) as pool:
        late = [pool.submit(client.get, url) for url in ("/long", "/picture") for _ in range(20)]
        time.sleep(1)
        assert pool.submit(client.get, "/quick").result(10).text == "here"
        go.set()
        assert {each.result(30).text for each in late} == {"late"}


def test_pictures_that_wait_do_not_add_up(demo_corpus: Path) -> None:
    def waiting(visit: Visit) -> Response:
        while not visit.stop:
            time.sleep(0.01)
        return Response("late")

    app = Starlette(routes=[Route("/picture", endpoint(waiting, 1.0, light=True))])
    app.state.explorer = Explorer(demo_corpus)
    with TestClient(app, "http://127.0.0.1") as client, ThreadPoolExecutor(LIGHT * 4) as pool:
        answers = list(pool.map(client.get, ["/picture"] * LIGHT * 4))
    assert max(each.elapsed.total_seconds() for each in answers) < 3.5


def test_a_corpus_that_is_gone_is_told(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    client = explore(own_corpus)
    assert client.get("/").status_code == 200
    shutil.rmtree(own_corpus)
    client.app.state.explorer.explored._looked = 0.0  # type: ignore[attr-defined]
    answer = client.get("/")
    assert answer.status_code == 503 and "cannot be read" in answer.text


@pytest.mark.parametrize("number", ["1" * 5000, "²", "-1", "٣" * 5000])
def test_numbers_of_strangers_are_no_accidents(pages: TestClient, number: str) -> None:
    for url, name in (
        ("/thresholds/crossing?selection=strong&at=0", "step"),
        ("/funnel/examples?selection=strong", "step"),
        ("/duplicates", "first"),
    ):
        answer = pages.get(url, params=dict(parse_qsl(urlsplit(url).query)) | {name: number})
        assert answer.status_code in (200, 202, 400), url


def test_only_the_last_dropped_pictures_are_kept(tmp_path: Path) -> None:
    names = [keep_upload(tmp_path, bytes([number])) for number in range(MAX_UPLOADS + 5)]
    assert {each.name for each in tmp_path.iterdir()} == set(names[5:])


def test_a_link_of_another_site_does_not_take_the_blur_away(pages: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    answer = pages.get("/?blur=off", headers=link)
    assert "tuwen_blur" not in answer.cookies and '<body class="blurred">' in answer.text
    assert '<body class="unblurred">' in pages.get("/?blur=off").text
    pages.cookies.clear()


@pytest.mark.parametrize(("length", "status"), [("999999999999", 413), ("x", 411)])
def test_nobody_reads_what_no_page_of_ours_sends(pages: TestClient, length: str, status: int) -> None:
    headers = {"origin": "http://127.0.0.1", "content-length": length}
    assert pages.post("/dropped", content=b"x", headers=headers).status_code == status


SLOW = " or ".join(f"regexp_matches(text, '(a|b|c|d|e).{{0,900}}{n}.{{0,900}}x')" for n in range(33))


def test_a_rule_that_takes_long_is_stopped_in_the_middle(looked: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuwen.explorer.scan.GRACE_S", 0.1)
    with pytest.raises(UsageError, match="takes too long"):
        list(Scan(looked, View(unit="pair", where=SLOW), stop=Stop(0.1)))


def test_a_filter_is_no_book(pages: TestClient) -> None:
    answer = pages.get("/", params={"unit": "pair", "where": " or ".join(["width > 1"] * 500)})
    assert "at most 2,000 characters" in answer.text


def test_whoever_leaves_stops_a_rule_in_the_middle(looked: Snapshot) -> None:
    stop = Stop(60)
    threading.Timer(0.3, stop.cancel).start()
    started = time.monotonic()
    scan = Scan(looked, View(unit="pair", where=SLOW), stop=stop)
    assert list(scan) == [] and not scan.finished
    assert time.monotonic() - started < 5


def test_files_that_are_gone_are_looked_for_in_the_corpus_as_it_is_now(
    own_corpus: Path, explore: Callable[[Path], TestClient]
) -> None:
    """A purge may take away what an old snapshot reads."""
    with explore(own_corpus) as pages:
        explored = pages.app.state.explorer.explored  # type: ignore[attr-defined]
        explored.EVERY_S = 3_600.0
        assert pages.get("/?unit=document").status_code == 200
        documents = Corpus.open(own_corpus).dataset("documents")
        documents.delete("document_id < '8'")
        documents.optimize.compact_files(materialize_deletions_threshold=0.0)
        for tag in documents.tags.list():  # what has one stays
            documents.tags.delete(tag)
        documents.cleanup_old_versions(timedelta(0), delete_unverified=True)
        assert pages.get("/?unit=document&where=url is not null").status_code == 200


def test_a_corpus_that_changes_again_and_again(
    own_corpus: Path, explore: Callable[[Path], TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    """As during a purge: nobody sees an error, and none is logged."""
    calls = []

    def handler(visit: Visit) -> Response:
        calls.append(visit.snapshot)
        if len(calls) < 4:
            write_json(own_corpus / "recipe.json", {"name": str(len(calls))})
            raise OSError("a file is gone")
        return Response("read")

    with explore(own_corpus) as pages:
        explorer = pages.app.state.explorer  # type: ignore[attr-defined]
        request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
        assert answered(handler, explorer, request, Stop(60), None).body == b"read"
    assert len({id(snapshot) for snapshot in calls}) == 4 and not caplog.records


def test_a_corpus_that_is_gone_is_told_every_time(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    with explore(own_corpus) as pages:
        explored = pages.app.state.explorer.explored  # type: ignore[attr-defined]
        explored.EVERY_S, explored._looked = 60.0, 0.0  # it looks once a minute, and now
        own_corpus.rename(own_corpus.with_name("elsewhere"))
        assert [pages.get("/?unit=pair").status_code for _ in range(3)] == [503] * 3
