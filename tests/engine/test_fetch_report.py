"""What became of URLs, counted by hand: latest attempts, pages in archives, runs, pending URLs, survivorship."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import digest, source_schema
from tuwen.corpus.units import SealedUnit, UnitAppender
from tuwen.engine.build import build
from tuwen.engine.fetch_report import fetch_report
from tuwen.engine.recipe import Recipe
from tuwen.engine.survivorship import survivorship
from tuwen.errors import UsageError
from tuwen.fetching.attempt import Attempt
from tuwen.fetching.spool import Spool

T0 = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
PICTURE = b"P6 2 2 255 " + bytes(12)  # a portable pixmap: two by two pixels, black
Rows = list[dict[str, Any]]


def attempt(url: str, error: str | None = None, hours: float | None = 0, image: str | None = None) -> dict[str, Any]:
    at = None if hours is None else T0 + timedelta(hours=hours)
    image = image if error else image or url
    return {
        "fetch_id": digest(url, str(at), error),
        "url": url,
        "captured_at": at,
        "error": error,
        "image_id": digest(image.encode()) if image else None,
    }


def pair(number: int, ref: str | None, text: str = "", document: str | None = None) -> dict[str, Any]:
    return {
        "pair_id": digest("pair", number),
        "document_id": document,
        "image_ref": ref,
        "text": text,
        "text_source": "given",
    }


def make(path: Path, stages: list[str], documents: Rows = [], archive: Rows = [], **rows: Rows) -> Path:  # noqa: B006
    """A corpus with these rows; `archive` are fetches of a WARC, `fetches` the fetcher's own."""
    corpus = Corpus.create(path)
    images = {row["image_id"]: PICTURE for row in [*archive, *rows.get("fetches", [])] if row["image_id"]}
    parts: list[tuple[str, dict[str, Rows]]] = [
        ("warc", {"fetches": archive}),
        ("fetch", {"images": [{"image_id": key, "bytes": data} for key, data in images.items()], **rows}),
        ("list", {"documents": documents}),
    ]
    with corpus.writing():
        appender = UnitAppender(corpus)
        for source, tables in parts:
            appender.append(
                SealedUnit(source, "1", "", "[]", 0, 0, None, None),
                {k: batches(k, v) for k, v in tables.items()},
                whole_documents=False,
            )
    build(Recipe.from_mapping({"name": "t", "sources": [], "stages": stages}), path, quiet=True)
    return path


def batches(table: str, rows: Rows) -> Any:
    return lambda: iter([pa.RecordBatch.from_pylist(rows, schema=source_schema(table))] if rows else [])


def classes(found: dict[str, Any]) -> dict[str, int]:
    return {row["class"]: row["num_urls"] for row in found["classes"]}


def test_one_class_per_url(tmp_path: Path) -> None:
    fetches = [
        attempt("http://a.test/kept"),
        attempt("http://a.test/kept", "http_404", 5),  # an image stays an image
        attempt("http://a.test/late", "http_500", None),
        attempt("http://a.test/late", "timeout", 1),
        attempt("http://a.test/late", "http_404", 2),
        attempt("http://a.test/cut", "truncated_body", image="half"),
        attempt("http://b.test/never", "dns_failure"),
        attempt("http://b.test/page", "not_an_image"),
    ]
    pages = [attempt("http://b.test/", "not_an_image"), attempt("http://b.test/shown", "not_an_image")]
    refs = ["http://a.test/kept", "http://new.test/1", "http://new.test/1", "data:sha256,0", "ftp://x.test/", None]
    pairs = [pair(number, ref) for number, ref in enumerate([*refs, "http://b.test/shown"])]
    found = fetch_report(make(tmp_path / "c", ["pair.resolve"], fetches=fetches, archive=pages, pairs=pairs))
    assert classes(found) == {"ok": 2, "not_an_image": 2, "http_404": 1, "dns_failure": 1}
    assert (found["num_urls"], found["num_attempts"], found["num_pending"], found["num_transient"]) == (6, 10, 1, 1)
    assert found["hosts"] == [
        {"name": "b.test", "num_urls": 3, "num_ok": 0, "class": "not_an_image"},
        {"name": "a.test", "num_urls": 3, "num_ok": 2, "class": "http_404"},
    ]
    assert found["tlds"] == [{"name": "test", "num_urls": 6, "num_ok": 2, "class": "not_an_image"}]
    families = {row["class"]: (row["family"], row["transient"]) for row in found["classes"]}
    assert families["dns_failure"] == ("resolver", True) and families["http_404"] == ("rot", False)


def test_an_empty_corpus_has_an_empty_report(tmp_path: Path) -> None:
    found = fetch_report(make(tmp_path / "c", ["pair.resolve"]), by=["host", "year", "text_source"])
    assert (found["num_urls"], found["classes"], found["findings"]) == (0, [], [])
    assert [(part["num_pairs"], part["rows"], part["other"]) for part in found["survivorship"]] == 3 * [(0, [], None)]


def test_stand_ins_are_named_once_the_stage_has_run(tmp_path: Path) -> None:
    fetches = [attempt(f"http://a.test/{number}", image="gone") for number in range(25)]
    fetches += [attempt(f"http://b.test/{number}") for number in range(25)]
    stages = ["image.properties", "image.urls", {"fetch.outcome": {"min_urls": 20}}]
    without = fetch_report(make(tmp_path / "a", ["pair.resolve"], fetches=fetches))
    assert classes(without) == {"ok": 50}
    corpus = make(tmp_path / "b", stages, fetches=fetches)  # type: ignore[arg-type]
    images = Corpus.open(corpus).table("images", ["num_urls", "num_url_hosts"]).to_pylist()
    assert sorted(row["num_urls"] for row in images) == [1] * 25 + [25]
    outcomes = Corpus.open(corpus).table("fetches", ["outcome"])["outcome"].to_pylist()
    assert (outcomes.count("ok"), outcomes.count("placeholder")) == (25, 25)
    found = fetch_report(corpus)
    assert classes(found) == {"ok": 25, "placeholder": 25}
    assert [finding["cause"] for finding in found["findings"]] == ["placeholder"]


def test_findings_are_about_the_last_run(tmp_path: Path) -> None:
    """Hosts answered a year and a half ago and do not exist now: rot. A week ago: the resolver lies."""
    hosts = [f"http://site{number}.{('com', 'org', 'net', 'de')[number % 4]}" for number in range(60)]
    before = [attempt(f"{host}/1") for host in hosts]

    def causes(name: str, days: int) -> set[str]:
        now = [attempt(f"{host}/2", None if n % 2 else "dns_not_found", 24 * days) for n, host in enumerate(hosts)]
        found = fetch_report(make(tmp_path / name, ["pair.resolve"], fetches=[*before, *now]))
        return {finding["cause"] for finding in found["findings"]}

    assert causes("old", 550) == {"rot"}
    assert causes("new", 7) == {"resolver"}


def test_dead_names_that_are_tried_again_do_not_accuse_the_resolver(tmp_path: Path) -> None:
    names = [f"http://site{number}.{('com', 'org', 'net', 'de')[number % 4]}/1" for number in range(100)]
    first = [attempt(name, "dns_not_found") for name in names]
    alive = [attempt(f"http://alive{number}.com/1") for number in range(100)]
    again = [attempt(name, "dns_not_found", 24) for name in names]
    found = fetch_report(make(tmp_path / "c", ["pair.resolve"], fetches=[*first, *alive, *again]))
    assert [finding["cause"] for finding in found["findings"]] == ["rot"]
    without = fetch_report(make(tmp_path / "d", ["pair.resolve"], fetches=[*alive, *again]))
    assert [finding["cause"] for finding in without["findings"]] == ["resolver"]


def test_order_within_a_host_tells_blocking_from_private_files(tmp_path: Path) -> None:
    def causes(name: str, refused: Any) -> set[str]:
        fetches = [attempt(f"http://big.test/{n}", "http_403" if refused(n) else None, n / 1000) for n in range(300)]
        found = fetch_report(make(tmp_path / name, ["pair.resolve"], fetches=fetches))
        return {finding["cause"] for finding in found["findings"]}

    assert causes("blocked", lambda n: n >= 150) == {"blocking"}
    assert causes("private", lambda n: n % 2) == {"rot"}


def test_archives_alone_have_no_findings(tmp_path: Path) -> None:
    archive = [attempt(f"http://a.test/{number}", "http_404") for number in range(9)]
    found = fetch_report(make(tmp_path / "c", ["pair.resolve"], archive=archive))
    assert classes(found) == {"http_404": 9} and found["findings"] == []


@pytest.fixture
def mixed(tmp_path: Path) -> Corpus:
    """25 hosts; a.test has six pairs of which four survived, each other host one, every second of which survived."""
    documents = [
        {
            "document_id": digest("d", year),
            "url": f"http://{year}.test",
            "captured_at": datetime(year, 1, 1, tzinfo=UTC),
        }
        for year in (2015, 2016)
    ]
    urls = [f"http://a.test/{n}" for n in range(6)] + [f"https://host{n:02}.test/x" for n in range(24)]
    pairs = [
        pair(n, url, "x" * n, str(documents[n % 3]["document_id"]) if n % 3 < 2 else None) for n, url in enumerate(urls)
    ]
    pairs.append(pair(99, None))
    fetches = [attempt(url, None if n < 4 or (n > 5 and n % 2) else "http_404") for n, url in enumerate(urls)]
    return Corpus.open(make(tmp_path / "c", ["pair.resolve"], documents, fetches=fetches, pairs=pairs))


def table(found: dict[str, Any]) -> list[tuple[Any, int, int]]:
    return [(row["value"], row["num_pairs"], row["num_obtained"]) for row in found["rows"]]


def test_survivorship_by_host_with_others_and_null(mixed: Corpus) -> None:
    found = survivorship(mixed, "host")
    assert (found["num_pairs"], found["num_obtained"]) == (31, 16)
    rows = table(found)
    assert rows[0] == ("a.test", 6, 4) and rows[1:3] == [("host00.test", 1, 0), ("host01.test", 1, 1)]
    assert len(rows) == 21 and rows[-1] == (None, 1, 0)
    assert found["other"] == {"num_values": 5, "num_pairs": 5, "num_obtained": 3, "share": 0.6}
    assert found["rows"][0]["share"] == pytest.approx(4 / 6)


def test_survivorship_by_year_column_and_expression(mixed: Corpus) -> None:
    assert [(value, n) for value, n, _ in table(survivorship(mixed, "year"))] == [
        ("2015", 10),
        ("2016", 10),
        (None, 11),
    ]
    assert table(survivorship(mixed, "document.url"))[0][:2] == ("http://2015.test", 10)
    assert table(survivorship(mixed, "text_source")) == [("given", 31, 16)]
    longer = {value: n for value, n, _ in table(survivorship(mixed, "strlen(text) >= 10 and host = 'host05.test'"))}
    assert longer == {"false": 30, "true": 1}
    assert table(survivorship(mixed, "position")) == [(None, 31, 16)]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("text_surce", "did you mean 'text_source'"),
        ("document.titel", "did you mean 'document.title'"),
        ("image.width", "reads columns of pairs"),
        ("language", "text.language"),
        ("count(*)", "not among the functions"),
        ("read_text('/etc/passwd')", "not among the functions"),
        ("host; drop table pairs", "syntax error"),
    ],
)
def test_what_cannot_be_asked_is_refused(mixed: Corpus, by: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        survivorship(mixed, by)


def test_without_resolved_pairs_survivorship_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pair\.resolve"):
        survivorship(Corpus.open(make(tmp_path / "c", ["text.properties"])), "host")


def test_hosts_that_are_addresses_of_version_6(tmp_path: Path) -> None:
    fetches = [attempt(f"http://[2001:db8::{n}]:8080/x", "timeout") for n in (1, 2, 2)]
    pairs = [pair(n, row["url"]) for n, row in enumerate(fetches)]
    found = fetch_report(make(tmp_path / "c", ["pair.resolve"], fetches=fetches, pairs=pairs), by=["host"])
    assert [(row["name"], row["num_urls"]) for row in found["hosts"]] == [("[2001:db8::1]", 1), ("[2001:db8::2]", 1)]
    assert [row["name"] for row in found["tlds"]] == ["(address)"]
    assert table(found["survivorship"][0]) == [("[2001:db8::2]", 2, 0), ("[2001:db8::1]", 1, 0)]


def test_what_the_classes_do_not_count_is_told(tmp_path: Path) -> None:
    listed = tmp_path / "urls.csv"
    listed.write_text(
        "url,text\nhttp://a.test/1,a\nftp://a.test/2,b\n//a.test/3,c\nhttp://a.test/" + "x" * 9999 + ",d\n"
    )
    recipe = Recipe.from_mapping({"sources": [{"url_list": {"paths": [str(listed)]}}]})
    build(recipe, tmp_path / "c", quiet=True)
    found = fetch_report(tmp_path / "c")
    assert (found["num_pending"], found["num_bad_records"], found["num_unfinished_files"]) == (1, 3, 0)
    (tmp_path / "c" / "fetching" / "spool").mkdir(parents=True)
    with Spool(tmp_path / "c" / "fetching" / "spool") as spool:
        spool.add(Attempt("http://a.test/1", 0, error="timeout"))
        assert fetch_report(tmp_path / "c")["num_unfinished_files"] == 1
