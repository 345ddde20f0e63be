"""Releases cut from the page: the form, the work in progress, what was made, and what no page reads."""

from __future__ import annotations

import hashlib
import html
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest
import vector_corpus
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.errors import UsageError
from tuwen.explorer.app import make_app
from tuwen.explorer.cutting import CANCELLED, FAILED, Cutting, Made, Order
from tuwen.explorer.markdown import rendered
from tuwen.releases.manifest import FORMAT, FORMAT_VERSION, canonical_json
from tuwen.releases.verify import verify
from tuwen.selections.saved import save
from tuwen.selections.selection import Selection

ADDRESS = "http://127.0.0.1"
ORIGIN = {"Origin": ADDRESS}


@pytest.fixture(scope="module")
def here(demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path]]:
    """Pages over the demo's corpus, started in an empty folder."""
    folder = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        app = make_app(demo_corpus)
        with TestClient(app, ADDRESS) as pages:
            yield pages, folder


def wait(pages: TestClient) -> str:
    for _ in range(600):
        answer = pages.get("/releases/progress", headers={"X-Part": "1"})
        if answer.status_code == 200:
            return answer.text
        time.sleep(0.1)
    raise AssertionError("it does not end")


def settled(pages: TestClient, url: str, **query: str) -> str:
    for _ in range(100):
        answer = pages.get(url, params=query)
        if answer.status_code != 202:
            return answer.text
        time.sleep(0.1)
    raise AssertionError("it does not end")


def test_a_release_is_cut_verified_and_listed(here: tuple[TestClient, Path]) -> None:
    pages, folder = here
    form = {"selection": "strong", "format": "parquet", "to": "给别人", "image_format": "jpeg", "short_side": "48"}
    preview = settled(pages, "/releases/preview", **form)
    assert "--format=parquet" in preview and "reencode.short_side=48" in preview and "1,326" in preview
    answer = pages.post("/releases", data=form, headers=ORIGIN, follow_redirects=False)
    assert answer.status_code == 303
    twice = pages.post("/releases", data=form | {"to": "other"}, headers=ORIGIN)
    assert twice.status_code == 400 and "is being cut" in twice.text
    assert "Done and checked" in wait(pages)
    made = folder / "给别人"
    assert verify(made) == []
    assert "给别人" in pages.get("/releases").text
    page = pages.get("/release", params={"path": str(made)})
    assert page.status_code == 200 and "verified" in page.text and "Load it</h3>" in page.text
    tiles = re.findall(r"<dt>(.*?)</dt>", pages.get("/release", params={"path": str(made), "lang": "zh"}).text)
    pages.cookies.clear()
    assert tiles and not re.search("[a-z]", re.sub("<.*?>", "", "".join(tiles)))
    report = pages.get("/release/report", params={"path": str(made)})
    assert (
        report.headers["content-security-policy"].startswith("sandbox;")
        and "script" not in report.headers["content-security-policy"]
    )
    again = pages.post("/releases", data=form, headers=ORIGIN)
    assert again.status_code == 400 and again.text.count("exists already") == 1
    assert re.search(r'role="alert" tabindex="-1" autofocus', again.text)
    assert "Done and checked" not in again.text  # that was an earlier one
    asked = re.search(r'data-part="/releases/preview\?([^"]+)"', again.text)
    assert asked and "exists already" not in settled(pages, f"/releases/preview?{asked[1].replace('&amp;', '&')}")


def test_the_form_keeps_what_was_entered(here: tuple[TestClient, Path]) -> None:
    pages, folder = here
    form = {"selection": "strong", "format": "index", "to": "kept here", "more": "samples_per_shard=500"}
    answer = pages.post("/releases", data=form, headers=ORIGIN, follow_redirects=False)
    while_cut = pages.get(answer.headers["location"]).text
    assert 'value="samples_per_shard=500"' in while_cut and 'value="kept here"' in while_cut
    assert "exists already" not in settled(
        pages, answer.headers["location"].replace("/releases?", "/releases/preview?")
    )
    wait(pages)
    after = pages.get(answer.headers["location"]).text
    assert 'value="samples_per_shard=500"' in after and 'value="strong-index' in after
    assert (folder / "kept here").is_dir()


def test_what_nobody_looked_for_is_left_open(here: tuple[TestClient, Path]) -> None:
    pages, _ = here
    told = settled(pages, "/releases/preview", selection="strong", format="parquet")
    assert "no evidence for 37 of 37 pages" in told and "no evidence of their servers for 248 of 248 images" in told


def test_bytes_that_stay_have_no_side_to_limit(here: tuple[TestClient, Path]) -> None:
    pages, _ = here
    form = {"selection": "strong", "format": "webdataset", "to": "any", "image_format": "", "short_side": "wide"}
    told = settled(pages, "/releases/preview", **form)
    assert "--to=any" in told and "short_side" not in told
    assert pages.get("/releases/preview", params=form | {"image_format": "jpeg"}).status_code == 400


def test_cancelling_leaves_nothing(here: tuple[TestClient, Path]) -> None:
    pages, folder = here
    form = {"selection": "weak", "format": "webdataset", "to": "never", "image_format": "png", "short_side": "4000"}
    pages.post("/releases", data=form, headers=ORIGIN)
    pages.post("/releases/cancel", headers=ORIGIN)
    assert "Cancelled" in wait(pages)
    again = pages.get("/releases", params={"selection": "weak", "format": "webdataset"}).text
    assert 'name="to" value="weak-webdataset"' in again  # nothing has the name, whatever was cancelled
    assert not [each for each in folder.iterdir() if "never" in each.name]


def test_a_cancelled_cut_can_be_begun_again(own_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    form = {"selection": "weak", "format": "webdataset", "to": "weak-webdataset", "image_format": "png"}
    with TestClient(make_app(own_corpus), ADDRESS) as pages:
        pages.post("/releases", data=form | {"short_side": "4000"}, headers=ORIGIN)
        page = pages.post("/releases/cancel", headers=ORIGIN).text
        assert 'name="to" value="weak-webdataset"' in page and 'value="weak" selected' in page
        assert "Cancelled" in wait(pages)
        assert 'name="to" value="weak-webdataset"' in pages.get("/releases?selection=weak&format=webdataset").text


def test_a_check_says_that_it_was_one(own_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what came of it is a panel beside its own selection, one line beside any other."""
    (own_corpus / "cache" / "explorer" / "releases.json").unlink(missing_ok=True)  # what other tests have cut
    monkeypatch.chdir(tmp_path)
    with TestClient(make_app(own_corpus), ADDRESS) as pages:
        for selection, to in (("strong", "one"), ("strong", "two"), ("weak", "three")):
            pages.post("/releases", data={"selection": selection, "format": "index", "to": to}, headers=ORIGIN)
            assert "Done and checked" in wait(pages)
        page = pages.get("/releases").text
        newest = re.search(r'href="/compare\?a=([^"&]*)&amp;b=([^"]*)">Compare the two newest of strong<', page)
        assert newest and [unquote(each) for each in newest.groups()] == [str(tmp_path / to) for to in ("one", "two")]
        asked = pages.post("/releases/check", data={"path": str(tmp_path / "three")}, headers=ORIGIN)
        told = wait(pages)
        assert "Checked, every byte is as it should be: three" in told and "Done" not in told
        own, other = pages.get(asked.url).text, pages.get("/releases?selection=strong").text
        assert "See its card" in own and 'class="panel work"' in own
        assert "every byte is as it should be: three" in other and 'class="panel work"' not in other


def test_a_server_that_ends_cuts_no_further(own_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "started").mkdir()
    monkeypatch.chdir(tmp_path / "started")
    app = make_app(own_corpus)
    form = {"selection": "weak", "format": "webdataset", "to": "never", "image_format": "png", "short_side": "4000"}
    with TestClient(app, ADDRESS) as pages:
        pages.post("/releases", data=form, headers=ORIGIN)
        work = app.state.explorer.cutting.work
    for _ in range(100):
        if not work.is_running:
            break
        time.sleep(0.1)
    assert work.state == CANCELLED
    assert not list((tmp_path / "started").iterdir())


def test_errors_are_told_in_words(here: tuple[TestClient, Path]) -> None:
    pages, _ = here
    wrong = {"selection": "strong", "format": "webdataset", "to": "x", "more": "blur=faces"}
    answer = pages.post("/releases", data=wrong, headers=ORIGIN)
    assert answer.status_code == 400 and "re-encoded" in answer.text
    form = {"selection": "strong", "format": "webdataset", "to": "x", "clean": "yes"}
    pages.post("/releases", data=form, headers=ORIGIN)
    told = wait(pages)
    assert "This did not work" in told and "overlap" in told


@pytest.mark.parametrize("to", ["", "../x", "a/../../x", "\0", "~/x", "x" * 5000, "/" + "y" * 300])
def test_folders_that_are_refused(to: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Cutting(tmp_path / "corpus").target(to)


def test_no_release_in_the_corpus_or_over_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "file").write_bytes(b"")
    cutting = Cutting(tmp_path / "corpus")
    for to in ("corpus", "corpus/x", str(tmp_path / "corpus" / "x"), "file", "file/x"):
        with pytest.raises(UsageError):
            cutting.target(to)
    assert cutting.target("new") == tmp_path / "new"


def test_the_command_is_one_for_a_shell() -> None:
    order = Order(Path("a b"), "图文", "parquet", "it's", ("x=1",))
    assert order.command == "tuwen release 'a b' '--selection=图文' '--to=it'\"'\"'s' --format=parquet --set x=1"


def test_the_folder_of_a_stranger_is_quoted(here: tuple[TestClient, Path]) -> None:
    pages, folder = here
    for name in ("a", "b; echo pwned"):
        pages.post("/releases", data={"selection": "strong", "format": "index", "to": name}, headers=ORIGIN)
        wait(pages)
    text = settled(pages, "/compare", a=str(folder / "a"), b=str(folder / "b; echo pwned"))
    assert f"tuwen diff {folder / 'a'} &#39;{folder}/b; echo pwned&#39;" in text
    assert "These are the same" in text and "byte for byte" in text


@pytest.mark.parametrize("path", ["/etc", "/", "../../..", "/etc/passwd"])
def test_no_page_reads_a_folder_that_is_not_listed(path: str, here: tuple[TestClient, Path]) -> None:
    pages, _ = here
    for url in ("/release", "/release/report", "/compare"):
        assert pages.get(url, params={"path": path, "a": path, "b": "strong"}).status_code == 400


def test_cards_show_themselves() -> None:
    text = rendered(
        "---\nlicense: x\n---\n# T\n<script>alert(1)</script>\n\n[a](javascript:alert(1)) [b](data:text/html,x) "
        '[c](https://c.example/"onmouseover=x) ![i](https://i.example/i.png)\n\n<details><summary><code>data/</code>: '
        "3 columns</summary>\n\n| a | b |\n|---|---|\n| <img src=x onerror=alert(1)> | 2 |\n\n</details>\n"
    )
    assert not re.search(r"<(script|img|details)", text) and 'href="javascript' not in text and 'href="data' not in text
    assert "<h2>T</h2>" in text and "<td>2</td>" in text and "license: x" in text and "data/: 3 columns" in text


def test_comparing_two_releases(here: tuple[TestClient, Path]) -> None:
    pages, folder = here
    for name in ("strong", "weak"):
        pages.post("/releases", data={"selection": name, "format": "index", "to": f"{name}-index"}, headers=ORIGIN)
        wait(pages)
    one, two = (str(folder / f"{name}-index") for name in ("strong", "weak"))
    text = settled(pages, "/compare", a=one, b=two)
    assert "1,322" in text and "1,255" in text and f"tuwen diff {one} {two}" in text


def chosen(text: str) -> list[str]:
    """What the two lists of the page to compare have chosen."""
    return [html.unescape(each) for each in re.findall(r'<option value="([^"]*)" selected>', text)][-2:]


def test_a_release_beside_a_selection_brings_another_release(
    tmp_path: Path, own_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And from releases a selection brings another selection; where there is no other one, the lists stay."""
    (own_corpus / "cache" / "explorer" / "releases.json").unlink(missing_ok=True)  # what other tests have cut
    monkeypatch.chdir(tmp_path)
    app = make_app(own_corpus)
    one, two = (str(tmp_path / name) for name in ("one", "two"))
    with TestClient(app, ADDRESS) as pages:
        form = {"selection": "strong", "format": "index"}
        pages.post("/releases", data=form | {"to": one}, headers=ORIGIN)
        wait(pages)
        alone = pages.get("/compare", params={"a": one, "b": "weak"})
        assert alone.status_code == 400 and "there is no other one" in alone.text
        assert chosen(alone.text) == [one, "weak"] and "This does not work" not in alone.text
        pages.post("/releases", data=form | {"to": two}, headers=ORIGIN)
        wait(pages)
        assert chosen(settled(pages, "/compare", a=one, b="weak", shown="selections")) == [one, two]
        other = str(tmp_path / "of documents")
        form = {"selection": "interleaved", "format": "documents", "to": other}
        pages.post("/releases", data=form, headers=ORIGIN)
        wait(pages)
        assert chosen(settled(pages, "/compare", a=one, b="weak")) == [one, two]  # not the newest: it has other rows
        wrong = settled(pages, "/compare", a=one, b=other)
        assert chosen(wrong) == [one, other] and "compare what has one key" in wrong
        assert chosen(settled(pages, "/compare", a="weak", b=two)) == [one, two]
        assert chosen(settled(pages, "/compare", a="weak", b=two, shown="releases")) == ["weak", "strong"]


def test_work_ends_whatever_happens(tmp_path: Path) -> None:
    """The folder is gone before its check is written down: nothing else could be cut for ever."""
    cutting = Cutting(tmp_path / "corpus")
    work = cutting.check(tmp_path / "gone", Made(str(tmp_path / "gone")))
    for _ in range(600):
        if not work.is_running:
            break
        time.sleep(0.1)
    assert work.state == FAILED and work.told


def test_a_check_that_is_cancelled_leaves_the_release(here: tuple[TestClient, Path]) -> None:
    pages, folder = here
    pages.post("/releases", data={"selection": "strong", "format": "index", "to": "stays"}, headers=ORIGIN)
    assert "Done and checked" in wait(pages)
    pages.post("/releases/check", data={"path": str(folder / "stays")}, headers=ORIGIN)
    pages.post("/releases/cancel", headers=ORIGIN)
    told = wait(pages)
    assert "stays as it is" in told and "nothing of it stays" not in told
    assert (folder / "stays" / "manifest.json").is_file()


def test_the_card_of_a_stranger_is_a_file_of_its_own(here: tuple[TestClient, Path], tmp_path: Path) -> None:
    pages, folder = here
    pages.post("/releases", data={"selection": "strong", "format": "index", "to": "linked"}, headers=ORIGIN)
    wait(pages)
    (tmp_path / "secret").write_text("a private key", encoding="utf-8")
    (folder / "linked" / "README.md").unlink()
    (folder / "linked" / "README.md").symlink_to(tmp_path / "secret")
    page = pages.get("/release", params={"path": str(folder / "linked")})
    assert page.status_code == 200 and "a private key" not in page.text


@pytest.mark.parametrize(
    "wrong", [{"selection": []}, {"counts": "many"}, {"files": {"a": {"num_bytes": "x", "sha256": ""}}}]
)
def test_a_strange_release_nearby_stops_nothing(wrong: dict[str, object], here: tuple[TestClient, Path]) -> None:
    """Its manifest is sealed as it should be, and says nonsense."""
    pages, folder = here
    content: dict[str, object] = {
        "tuwen_version": "1", "writer": {}, "selection": {}, "counts": {}, "corpus": {}, "decisions": {}, "files": {},
        "format": FORMAT, "format_version": FORMAT_VERSION,
    }  # fmt: skip
    content |= wrong
    seal = hashlib.sha256(canonical_json(content)).hexdigest()
    (folder / "strange").mkdir(exist_ok=True)
    (folder / "strange" / "manifest.json").write_bytes(canonical_json(content | {"seal": seal}, indent=1))
    for url in ("/releases", "/compare"):
        answer = settled(pages, url)
        assert "strange" not in answer and "This does not work" not in answer
    assert pages.get("/release", params={"path": str(folder / "strange")}).status_code == 400


def test_numbers_have_their_measure_words_in_chinese(here: tuple[TestClient, Path]) -> None:
    pages, _ = here
    told = settled(pages, "/releases/preview", selection="strong", format="parquet", lang="zh")
    assert "<dt>图像</dt><dd>248</dd>" in told and "248 张图像" in told and "张图像</dt>" not in told
    page = pages.get("/thresholds", params={"selection": "strong", "step": "5", "at": "0", "lang": "zh"}).text
    assert re.search(r"strong 的第 5 步：.*。\s+本步判断 [\d,]+ 个图文对。", page)
    pages.cookies.clear()


def test_a_preview_counts_the_hosts_that_are_not_shown_and_knows_its_columns(tmp_path: Path) -> None:
    """Of hosts only the commonest are measured; this corpus has widths and heights, and no formats."""
    corpus = Corpus.create(tmp_path / "corpus")
    names = [f"i{n}" for n in range(30)]
    sides = [float(100 + n) for n in range(30)]
    vector_corpus.add_images(corpus, names, vector_corpus.vectors(30), width=sides, height=sides)
    keys = [vector_corpus.key(name) for name in names]
    rows = [
        {"pair_id": key, "text": "x", "text_source": "alt", "source": "s", "image_ref": f"http://{name}.test/x"}
        for key, name in zip(keys, names, strict=True)
    ]
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    resolved = {key: {"image_id": key, "language": "en"} for key in keys}
    vector_corpus.write_columns(corpus, "pairs", "pair.resolve", vector_corpus.RESOLVED, resolved)
    save(corpus, Selection.from_mapping("all", {"unit": "pair"}), {})
    with TestClient(make_app(corpus.path), ADDRESS) as pages:
        told = settled(pages, "/releases/preview", selection="all", format="parquet")
    assert "and 24 more" in told and "Formats of the pictures are not known" in told
    assert "image.properties" not in told and "Sizes of the pictures" not in told
