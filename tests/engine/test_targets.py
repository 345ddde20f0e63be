"""Which URLs are asked for and which are searched for in archives: by hand-made attempts, and against a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hostile_server import HostileServer, image_bytes
from warc_records import http, record

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import digest, source_schema
from tuwen.corpus.units import SealedUnit, UnitAppender
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe
from tuwen.engine.targets import count_targets, failed_targets, read_targets, write_targets
from tuwen.fetching.settings import Fetch

URL = "http://a.test/1.jpg"
SETTINGS = Fetch(contact="mailto:tests@example.org")
ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "abc")
MD5 = "md5:" + "d" * 32


def attempt(error: str | None, came: str | None = None, url: str = URL, at: int = 0) -> dict[str, Any]:
    return {
        "fetch_id": digest(url, at, error),
        "url": url,
        "captured_at": datetime(2026, 3, 1, at, tzinfo=UTC),
        "error": error,
        "sha256": came and came.removeprefix("sha256:"),
        "image_id": "f" * 32 if error is None else None,
    }


def pair(number: int, expected: str | None = None, url: str = URL) -> dict[str, Any]:
    return {"pair_id": digest(number), "image_ref": url, "text_source": "given", "expected_hash": expected}


def make(path: Path, pairs: Sequence[dict[str, Any]], fetches: Sequence[dict[str, Any]] = ()) -> Corpus:
    corpus = Corpus.create(path)
    rows = {
        name: pa.RecordBatch.from_pylist(list(found), schema=source_schema(name))
        for name, found in (("pairs", pairs), ("fetches", fetches))
        if found
    }
    with corpus.writing():
        unit = SealedUnit("fetch", "1", "", "[]", 0, 0, None, None)
        UnitAppender(corpus).append(unit, {name: lambda batch=batch: iter([batch]) for name, batch in rows.items()})
    return Corpus.open(path)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([None], ()),
        ([ONE], (ONE,)),
        ([ONE, ONE.upper().replace("SHA", "sha"), ONE], (ONE,)),
        ([TWO, MD5, ONE, TWO], (MD5, ONE, TWO)),
        ([TWO, None, ONE], ()),
    ],
)
def test_one_of_all_expected_hashes_has_to_match(
    tmp_path: Path, expected: list[str | None], found: tuple[str, ...]
) -> None:
    corpus = make(tmp_path / "c", [pair(number, one) for number, one in enumerate(expected)])
    assert count_targets(corpus, SETTINGS) == write_targets(corpus, SETTINGS, None, tmp_path / "targets") == 1
    (target,) = read_targets(tmp_path / "targets")
    assert (target.url, target.expected) == (URL, found)


@pytest.mark.parametrize(
    ("came", "expected", "is_pending"),
    [
        ([ONE], [TWO], False),
        ([ONE], [TWO, MD5], False),
        ([ONE], [TWO, ONE], True),
        ([ONE], [TWO, ONE[: len("sha256:") + 32]], True),
        ([ONE], [TWO, None], True),
        ([ONE, THREE], [TWO, ONE], False),  # what came last decides
        ([THREE, ONE], [TWO, ONE], True),
    ],
)
def test_a_mismatch_is_tried_again_when_that_is_what_is_expected(
    tmp_path: Path, came: list[str], expected: list[str | None], is_pending: bool
) -> None:
    fetches = [attempt("hash_mismatch", one, at=number) for number, one in enumerate(came)]
    corpus = make(tmp_path / "c", [pair(number, one) for number, one in enumerate(expected)], fetches)
    assert count_targets(corpus, SETTINGS) == is_pending
    assert count_targets(corpus, Fetch(contact="x@y.org", retry=("hash_mismatch",))) == 1


def test_an_image_settles_a_url_whatever_else_came(tmp_path: Path) -> None:
    fetches = [attempt(None, THREE), attempt("hash_mismatch", ONE, at=1)]
    corpus = make(tmp_path / "c", [pair(0, ONE), pair(1)], fetches)
    assert count_targets(corpus, SETTINGS) == 0 and failed_targets(corpus, SETTINGS, None) == {}


def test_archives_are_searched_for_what_failed_for_good_and_was_not_refused(tmp_path: Path) -> None:
    lasting = ["http_404", "dns_not_found", "tls", "not_an_image", "hash_mismatch", "http_400"]
    passing = ["timeout", "http_503", "http_429", "robots_unreachable", "dns_failure", "host_down"]
    refused = ["http_401", "http_403", "http_451", "http_999", "opted_out", "robots_disallowed", "blocklisted"]
    fetches = [attempt(error, ONE, url=f"http://a.test/{error}") for error in [*lasting, *passing, *refused]]
    urls = [row["url"] for row in fetches]
    pairs = [pair(number, TWO if "4" in url else None, url) for number, url in enumerate([*urls, URL])]
    corpus = make(tmp_path / "c", pairs, fetches)
    found = failed_targets(corpus, SETTINGS, None)
    assert found == {f"http://a.test/{error}": (TWO,) if "4" in error else () for error in lasting}


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(unknown_names="127.0.0.1") as running:
        yield running


def fetching(server: HostileServer, *sources: dict[str, Any]) -> Recipe:
    reachable = {name: list(value) for name, value in server.reachable.items()}
    fetch = {"contact": "mailto:tests@example.org", "host_requests_per_s": 1000.0, **reachable}
    return Recipe.from_mapping({"sources": list(sources), "fetch": fetch, "stages": ["pair.resolve"]})


def listed(path: Path, rows: Sequence[tuple[str, bytes | None]]) -> dict[str, Any]:
    """A list of URLs, each with the bytes that it promises."""
    lines = [
        {"url": url, "text": f"{path.stem} {number}", "sha256": data and sha256(data).hexdigest()}
        for number, (url, data) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "url_list": {"paths": [str(path)], "columns": {"url": "url", "text": "text", "sha256": "sha256"}},
        "as": path.stem,
    }


def resolved(corpus: Path) -> dict[str, str]:
    rows = Corpus.open(corpus).table("pairs", ["text", "image_id", "fetch_error"]).to_pylist()
    return {row["text"]: row["fetch_error"] or row["image_id"] for row in rows}


def test_lists_that_expect_different_bytes_of_a_url(server: HostileServer, tmp_path: Path) -> None:
    """Also of URLs that had been asked for when the second list came."""
    urls = [server.url(f"/ok/{number}.jpg", host="a.test") for number in range(3)]
    bodies = [image_bytes(f"/ok/{number}.jpg") for number in range(3)]
    good = [digest(body) for body in bodies]
    first = listed(tmp_path / "first.jsonl", [(urls[0], b"other"), (urls[1], None), (urls[2], b"other")])
    build(fetching(server, first), tmp_path / "c", quiet=True)
    assert resolved(tmp_path / "c") == {"first 0": "hash_mismatch", "first 1": good[1], "first 2": "hash_mismatch"}
    second = listed(tmp_path / "second.jsonl", [(urls[0], bodies[0]), (urls[1], b"other"), (urls[2], None)])
    built = build(fetching(server, first, second), tmp_path / "c", quiet=True)
    assert built.fetched is not None and built.fetched.outcomes == {"ok": 2}
    assert resolved(tmp_path / "c") == {
        "first 0": "hash_mismatch",
        "first 1": good[1],
        "first 2": "hash_mismatch",
        "second 0": good[0],
        "second 1": "hash_mismatch",
        "second 2": good[2],
    }
    assert build(fetching(server, first, second), tmp_path / "c", quiet=True).did_nothing
    both = build(fetching(server, second, first), tmp_path / "at once", quiet=True)
    assert both.fetched is not None and both.fetched.outcomes == {"ok": 3}
    assert resolved(tmp_path / "at once") == resolved(tmp_path / "c")


def test_a_page_that_names_us_is_obeyed(server: HostileServer, tmp_path: Path) -> None:
    shown = {name: server.url(f"/ok/{name}.jpg", host="a.test") for name in ("tuwen", "timpibot", "googlebot")}
    pages = [
        f'<html><head><meta name="{name}" content="noindex"></head><body><img src="{url}" alt="of {name}">'
        for name, url in shown.items()
    ]
    records = [
        record("response", f"http://page{n}.test/", http(page.encode(), "text/html")) for n, page in enumerate(pages)
    ]
    (tmp_path / "pages.warc").write_bytes(b"".join(records))
    build(fetching(server, {"warc": {"paths": [str(tmp_path / "pages.warc")]}}), tmp_path / "c", quiet=True)
    rows = Corpus.open(tmp_path / "c").table("fetches", ["url", "error"], where="source = 'fetch'").to_pylist()
    errors = {row["url"]: row["error"] for row in rows}
    assert errors == {shown["tuwen"]: "opted_out", shown["timpibot"]: "opted_out", shown["googlebot"]: None}
