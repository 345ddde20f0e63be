from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hostile_crawl import HOST, File
from hostile_images import images, jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from warc_records import http, member, record

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.sources import Report
from tuwen.sources.warc import Warc, microseconds, target_url

Rows = dict[str, list[dict[str, Any]]]


def read(source: Warc, report: Report | None = None) -> Rows:
    rows: Rows = {"fetches": [], "images": [], "documents": [], "pairs": []}
    for unit in source.units():
        for table, batch in source.read(unit, report or Report()):
            rows[table] += batch.to_pylist()
    return rows


def one(tmp_path: Path, block: bytes, *, kind: str = "response", url: str = f"{HOST}/x", **options: Any) -> Rows:
    path = tmp_path / "one.warc"
    path.write_bytes(record(kind, url, block, **options))
    return read(Warc([str(path)]))


def moment(date: str) -> datetime | None:
    return None if date == "yesterday" else datetime.fromisoformat(date)


@pytest.fixture(scope="module", params=[0, 1, 2])
def hostile(request: pytest.FixtureRequest, hostile_warc: Any) -> Iterator[tuple[File, Rows, Report]]:
    """Each file of the hostile crawl: its truth, and what was read."""
    report = Report()
    rows = read(Warc([hostile_warc.paths[request.param]]), report)
    yield hostile_warc.files[request.param], rows, report


def test_every_capture_is_a_fetch(hostile: tuple[File, Rows, Report]) -> None:
    truth, rows, _ = hostile
    expected = Counter((c.url, moment(c.date), c.status, c.error, c.image_id, c.redirect_url) for c in truth.captured)
    names = ("url", "captured_at", "status", "error", "image_id", "redirect_url")
    assert Counter(tuple(row[name] for name in names) for row in rows["fetches"]) == expected


def test_pages_and_images_are_what_the_truth_says(hostile: tuple[File, Rows, Report]) -> None:
    truth, rows, _ = hostile
    expected = Counter((c.url, moment(c.date)) for c in truth.captured if c.kind == "page")
    assert Counter((row["url"], row["captured_at"]) for row in rows["documents"]) == expected
    embedded = {digest(images()["pixel.png"])} if truth.name == "hostile-1.warc.gz" else set()
    found = [row["image_id"] for row in rows["images"]]
    assert sorted(found) == sorted({c.image_id for c in truth.captured if c.kind == "image"} | embedded)
    assert all(digest(row["bytes"]) == row["image_id"] for row in rows["images"])


def test_reports_say_what_was_wrong(hostile: tuple[File, Rows, Report]) -> None:
    truth, _, report = hostile
    assert (report.num_records, report.num_bad_records, report.error) == (
        truth.num_records,
        truth.num_bad_records,
        truth.error,
    )
    assert bool(report.messages) == bool(truth.num_bad_records)


def test_shipped_crawl(demo_crawl: Path) -> None:
    report = Report()
    rows = read(Warc([str(demo_crawl)]), report)
    assert (report.num_records, report.num_bad_records, report.error) == (1145, 0, None)
    assert len({row["url"] for row in rows["documents"]}) == len(rows["documents"]) == 40
    assert len({row["url"] for row in rows["fetches"] if row["image_id"]}) == 378
    assert len(rows["images"]) == 328
    assert Counter(row["error"] for row in rows["fetches"]).keys() == {None, "http_404"}


def test_a_crawl_in_parts_is_the_same_crawl(demo_crawl: Path, split_crawl: Callable[[int], list[Path]]) -> None:
    parts = split_crawl(12)
    whole, pieces = read(Warc([str(demo_crawl)])), read(Warc([str(parts[0].parent)]))
    for table, key in (("fetches", "fetch_id"), ("images", "image_id"), ("documents", "document_id")):
        assert {row[key] for row in pieces[table]} == {row[key] for row in whole[table]}
    # The order of rows is that of the records, once repetitions are left out.
    assert list(dict.fromkeys(row["fetch_id"] for row in pieces["fetches"])) == [
        r["fetch_id"] for r in whole["fetches"]
    ]


def test_page_evidence_reaches_the_document(hostile_warc: Any) -> None:
    rows = read(Warc([hostile_warc.paths[0]]))
    documents = {row["url"].removeprefix(HOST): row for row in rows["documents"]}
    charsets = {path: documents[f"/{path}.html"]["charset"] for path in ("gb18030", "big5", "windows-1251")}
    assert charsets == {"gb18030": "gb18030", "big5": "big5", "windows-1251": "windows-1251"}
    assert any("noimageai" in item["value"] for item in documents["/noai.html"]["rights"])
    fetch = next(row for row in rows["fetches"] if row["url"] == f"{HOST}/noai.html")
    assert {"kind": "x_robots_tag", "value": "noai, noimageai"} in fetch["rights"]
    pairs = {(row["document_id"], row["image_ref"]) for row in rows["pairs"] if row["text"] == "deep inside"}
    assert pairs == {(documents["/nested.html"]["document_id"], f"{HOST}/photo.jpg")}


def test_limits(tmp_path: Path) -> None:
    image, page = jpeg(1), b"<html>" + b"<p>text" * 200
    path = tmp_path / "x.warc"
    path.write_bytes(
        record("response", f"{HOST}/i", http(image, "image/jpeg"))
        + record("response", f"{HOST}/p", http(page, "text/html"))
    )

    def errors(**limits: int) -> list[str | None]:
        return [row["error"] for row in read(Warc([str(path)], **limits))["fetches"]]

    assert errors(max_image_bytes=len(image), max_page_bytes=len(page)) == [None, None]
    assert errors(max_image_bytes=len(image) - 1, max_page_bytes=len(page)) == ["too_large", None]
    assert errors(max_image_bytes=len(image), max_page_bytes=len(page) - 1) == [None, "too_large"]
    # So large that the record is not even held.
    path.write_bytes(record("response", f"{HOST}/i", http(image + bytes(1 << 17), "image/jpeg")))
    rows = read(Warc([str(path)], max_image_bytes=9_000, max_page_bytes=9_000))
    assert [(row["error"], row["num_bytes"], row["status"]) for row in rows["fetches"]] == [("too_large", None, 200)]
    assert rows["images"] == []


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.warc.gz", "a.warc", "deep/er/c.warc.gz", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(record("response", f"{HOST}/{name}", b""))
    (tmp_path / "copy.warc").write_bytes((tmp_path / "a.warc").read_bytes())

    def names(*paths: str) -> list[str]:
        return [Path(unit.location).name for unit in Warc([*paths]).units()]

    folder = str(tmp_path)
    assert names(folder) == ["a.warc", "b.warc.gz", "copy.warc", "c.warc.gz"]
    assert names(f"{folder}/b.warc.gz", f"{folder}/*.warc*") == ["a.warc", "b.warc.gz", "copy.warc"]
    assert names(f"{folder}/**/c*.gz") == ["c.warc.gz"]
    monkeypatch.chdir(tmp_path)
    assert names("a.warc") == ["a.warc"]


def test_a_second_copy_of_a_file_is_left_out(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.warc").write_bytes(record("response", HOST, b""))
    assert len(Warc([str(tmp_path)]).units()) == 1


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "paths is empty"),
        (["*.warc.gz"], "'*.warc.gz' matches no file"),
        (["missing.warc"], "'missing.warc' does not exist"),
        (["."], "the folder '.' holds no .warc"),
    ],
)
def test_paths_that_name_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        Warc(paths).units()
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-11-20T18:13:17Z", "2026-11-20T18:13:17+00:00"),
        ("2026-11-20T18:13:17.123456789Z", "2026-11-20T18:13:17.123456+00:00"),
        ("2026-11-20T18:13:17.5Z", "2026-11-20T18:13:17.5+00:00"),
        ("2026-11-20T18:13Z", "2026-11-20T18:13+00:00"),
        ("2026-11", "2026-11-01+00:00"),
        ("2026", "2026-01-01+00:00"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5+00:00"),
    ],
)
def test_dates(date: str, expected: str) -> None:
    day, _, rest = expected.partition("T")
    moment = datetime.fromisoformat(expected) if rest else datetime.fromisoformat(day[:10]).replace(tzinfo=UTC)
    assert microseconds(date) == round(moment.timestamp() * 1_000_000)


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "2026-13-01T00:00:00Z", "2026-11-20T25:00:00Z", "0000", "٢٠٢٦"]
)
def test_broken_dates(date: str | None) -> None:
    assert microseconds(date) is None


@given(st.text(max_size=30))
def test_any_date_and_target(text: str) -> None:
    microseconds(text)
    assert target_url(text) != ""


def test_targets() -> None:
    assert target_url("<http://a.test/b>") == target_url(" http://A.test:80/b ") == "http://a.test/b"
    assert target_url("http://a.test/图") == "http://a.test/%E5%9B%BE"
    assert target_url("dns:a.test") == "dns:a.test"
    assert target_url("<>") is None


def test_records_that_are_not_http(tmp_path: Path) -> None:
    rows = one(tmp_path, b"20261120\na.test. 300 IN A 192.0.2.1", url="dns:a.test", more=["Content-Type: text/dns"])
    assert [(row["url"], row["error"], row["content_type"]) for row in rows["fetches"]] == [
        ("dns:a.test", None, "text/dns")
    ]
    assert one(tmp_path, b"", kind="continuation")["fetches"] == []


def test_revisit_keeps_status_and_target(tmp_path: Path) -> None:
    block = http(b"", "image/png", status=304)
    (row,) = one(tmp_path, block, kind="revisit", more=["WARC-Refers-To-Target-URI: <http://a.test/first>"])["fetches"]
    assert (row["error"], row["redirect_url"], row["status"]) == ("revisit", "http://a.test/first", 304)


def test_the_same_capture_again_is_the_same_rows(hostile_warc: Any) -> None:
    first, second = (read(Warc([path])) for path in hostile_warc.paths[:2])
    shared = {row["fetch_id"] for row in first["fetches"]} & {row["fetch_id"] for row in second["fetches"]}
    assert len(shared) == 2
    assert (
        len({row["document_id"] for row in first["documents"]} & {row["document_id"] for row in second["documents"]})
        == 1
    )
    ids = {
        rows["documents"][0]["document_id"] for rows in (second,) if rows["documents"][0]["url"].endswith("data.html")
    }
    assert ids.isdisjoint(row["document_id"] for row in first["documents"])


def test_compression_and_version_change_no_row(tmp_path: Path) -> None:
    block = http(jpeg(1), "image/jpeg")
    rows = []
    for version in ("1.0", "1.1"):
        for pack in (bytes, member):
            path = tmp_path / "x.warc"
            path.write_bytes(pack(record("response", f"{HOST}/x", block, version=version)))
            rows.append(read(Warc([str(path)])))
    assert all(each == rows[0] for each in rows)


HEADERS = ["Content-Type: text/html", "Content-Type: image/png; charset=\x00", "Location: //[", "Content-Encoding: br"]
MORE = ["WARC-Truncated: length", "Content-Type: application/http", "WARC-Refers-To-Target-URI: <", "WARC-Date: 1"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["response", "resource", "revisit", "response "]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=20),
    st.sampled_from([200, 301, 404, "", "999"]),
    st.lists(st.sampled_from(HEADERS)),
    st.lists(st.sampled_from(MORE), unique=True),
    st.one_of(st.binary(max_size=200), st.sampled_from([jpeg(1), b"<html><img src=x>", b"<svg >", b"%PDF-"])),
)
def test_any_record_is_read(
    tmp_path_factory: pytest.TempPathFactory, kind: str, target: str, status: Any, headers: Any, more: Any, body: bytes
) -> None:
    blocks = [body, http(body, None, status=status, headers=headers)]
    path = tmp_path_factory.getbasetemp() / "any.warc"
    path.write_bytes(b"".join(record(kind, target, block, more=more) for block in blocks))
    report = Report()
    rows = read(Warc([str(path)]), report)
    assert (report.num_records, report.error) == (2, None)
    assert len(rows["fetches"]) + report.num_bad_records <= 2
