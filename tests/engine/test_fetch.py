"""Fetching in a build: against a server that does everything wrong, resumed, killed, shuffled, from archives."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_server import HostileServer, image_bytes
from warc_records import http, record

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import digest
from tuwen.corpus.units import append_rows
from tuwen.engine.build import Built, build, plan
from tuwen.engine.recipe import Recipe
from tuwen.errors import UsageError
from tuwen.releases.release import release

FAST = {"timeout_s": 1.0, "connect_timeout_s": 0.5, "read_timeout_s": 0.5, "dns_timeout_s": 0.5, "backoff_s": 0.05}
SCRIPT = Path(__file__).parents[1] / "support" / "killed_fetch.py"


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(unknown_names="127.0.0.1") as running:
        yield running


def recipe_for(server: HostileServer, urls: Path, **more: Any) -> Recipe:
    return Recipe.from_mapping(mapping_for(server, urls, **more))


def mapping_for(server: HostileServer, urls: Path, **fetch: Any) -> dict[str, Any]:
    reachable = {name: list(value) for name, value in server.reachable.items()}
    polite = {"contact": "mailto:tests@example.org", "host_requests_per_s": 1000.0, "host_failures": 50, **reachable}
    return {
        "name": "fetched",
        "sources": [
            {"url_list": {"paths": [str(urls)], "columns": {"url": "url", "text": "text", "sha256": "sha256"}}}
        ],
        "fetch": {**polite, **FAST, **fetch},
        "stages": ["pair.resolve", "text.properties"],
        "selections": {
            "all": {"unit": "pair", "steps": [{"rule": {"where": "fetch_error is null"}}]},
            "long": {"unit": "pair", "steps": [{"rule": {"where": "num_characters >= 10"}}]},
        },
    }


def write_list(path: Path, urls: Iterable[str], **more: Iterable[str | None]) -> Path:
    rows = [{"url": url, "text": f"picture {number}", "sha256": None} for number, url in enumerate(urls)]
    for name, values in more.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_warc(path: Path, records: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(records))
    return path


def classes(corpus: Path) -> dict[str, str]:
    """URL → class of its latest attempt."""
    rows = Corpus.open(corpus).table("fetches", ["url", "error", "captured_at"]).to_pylist()
    return {row["url"]: row["error"] or "ok" for row in sorted(rows, key=lambda row: row["captured_at"])}


def resolved(corpus: Path) -> dict[str, tuple[str | None, str | None]]:
    rows = Corpus.open(corpus).table("pairs", ["image_ref", "image_id", "fetch_error"]).to_pylist()
    return {row["image_ref"]: (row["image_id"], row["fetch_error"]) for row in rows}


def fetched(built: Built) -> dict[str, int]:
    assert built.fetched is not None
    return built.fetched.outcomes


EXPECTED = {
    "/ok/1.jpg": "ok",
    "/ok/2.png": "ok",
    "/wrong-type/1": "ok",
    "/redirect?to=/ok/3.jpg": "ok",
    "/storm/1?n=1": "ok",
    "/status/403": "http_403",
    "/status/404": "http_404",
    "/status/410": "http_410",
    "/status/500": "http_500",
    "/html/1": "not_an_image",
    "/sorry/1": "not_an_image",
    "/svg/1": "vector_image",
    "/empty/1": "empty_body",
    "/loop/1": "too_many_redirects",
    "/slow/1": "timeout",
    "/drip/1": "timeout",
    "/stall/1": "timeout",
    "/endless/chunked": "too_large",
    "/endless/close": "too_large",
    "/bomb/pixels": "too_many_pixels",
    "/cut/1": "truncated_body",
    "/bomb/1": "too_large",
    "/garbage/1": "bad_http",
    "/tagged/1.jpg?X-Robots-Tag=noai": "opted_out",
    "/tagged/2.jpg?TDM-Reservation=1": "opted_out",
    "/tagged/3.jpg?X-Robots-Tag=noarchive": "ok",
    "/redirect?to=http://10.0.0.1/x.jpg": "blocked_address",
}


def test_every_url_ends_in_its_class_and_is_resolved(server: HostileServer, tmp_path: Path) -> None:
    urls = {server.url(path, host="shop.test"): outcome for path, outcome in EXPECTED.items()}
    server.names["gone.test"] = "NXDOMAIN"
    server.names["lame.test"] = "SERVFAIL"
    server.names["inside.test"] = "192.168.0.1"
    urls["http://gone.test/1.jpg"] = "dns_not_found"
    urls["http://lame.test/1.jpg"] = "dns_failure"
    urls["http://inside.test/1.jpg"] = "blocked_address"
    urls["http://169.254.169.254/latest/meta-data"] = "blocked_address"
    listed = write_list(tmp_path / "urls.jsonl", urls)
    recipe = recipe_for(server, listed, max_bytes=1 << 20, retries=1)
    built = build(recipe, tmp_path / "corpus", quiet=True)
    assert classes(tmp_path / "corpus") == urls
    assert fetched(built) == Counter(urls.values())
    found = resolved(tmp_path / "corpus")
    for url, outcome in urls.items():
        image_id, error = found[url]
        assert (error or "ok") == outcome
        assert (image_id is not None) == (outcome == "ok")
    good = server.url("/ok/1.jpg", host="shop.test")
    assert Corpus.open(tmp_path / "corpus").images([found[good][0] or ""]) == [image_bytes("/ok/1.jpg")]


def test_a_rerun_asks_only_for_what_may_have_passed(server: HostileServer, tmp_path: Path) -> None:
    paths = ("/ok/1.jpg", "/status/404", "/status/500", "/slow/1", "/html/1")
    listed = write_list(tmp_path / "urls.jsonl", [server.url(path, host="a.test") for path in paths])
    recipe = recipe_for(server, listed, retries=0)
    build(recipe, tmp_path / "corpus", quiet=True)
    server.log.clear()
    again = build(recipe, tmp_path / "corpus", quiet=True)
    assert fetched(again) == {"http_500": 1, "timeout": 1}
    assert {line.path for line in server.requests("a.test")} == {"/status/500", "/slow/1"}  # no site files again
    server.log.clear()
    insisting = build(recipe.retrying(["http_404"]), tmp_path / "corpus", quiet=True)
    assert fetched(insisting)["http_404"] == 1
    server.behaviours["/slow"] = server.behaviours["/ok"]
    mended = build(recipe, tmp_path / "corpus", quiet=True)
    assert fetched(mended) == {"http_500": 1, "ok": 1}
    assert resolved(tmp_path / "corpus")[server.url("/slow/1", host="a.test")][0] is not None


def test_settled_corpus_has_nothing_to_do(server: HostileServer, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "urls.jsonl", [server.url("/ok/1.jpg"), server.url("/status/404")])
    recipe = recipe_for(server, listed)
    assert build(recipe, tmp_path / "corpus", quiet=True, offline=True).fetched is None
    assert plan(recipe, tmp_path / "corpus").num_urls == 2
    build(recipe, tmp_path / "corpus", quiet=True)
    assert plan(recipe, tmp_path / "corpus").nothing_to_do
    assert build(recipe, tmp_path / "corpus", quiet=True).did_nothing


def test_pages_without_their_images_and_pages_that_refuse(server: HostileServer, tmp_path: Path) -> None:
    server.site_files["refusing.test", "/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /ok/", 0.0)
    shown = server.url("/ok/1.jpg", host="a.test")
    bare = server.url("/ok/without-text.jpg", host="a.test")
    refused = server.url("/ok/2.jpg", host="a.test")
    forbidden = server.url("/ok/3.jpg", host="refusing.test")
    page = (
        f'<html><body><p>text</p><img src="{shown}" alt="a picture"><img src="{bare}"><img src="{forbidden}" alt="b">'
    )
    noai = f'<html><head><meta name="robots" content="noimageai"></head><body><img src="{refused}" alt="mine">'
    records = [
        record("response", url, http(body.encode(), "text/html"))
        for url, body in (("http://a.test/", page), ("http://b.test/", noai))
    ]
    mapping = mapping_for(server, tmp_path)
    mapping["sources"] = [{"warc": {"paths": [str(write_warc(tmp_path / "pages.warc", records))]}}]
    built = build(Recipe.from_mapping(mapping), tmp_path / "corpus", quiet=True)
    assert fetched(built) == {"ok": 2, "opted_out": 1, "robots_disallowed": 1}
    asked = {line.path for line in server.log}
    assert "/ok/2.jpg" not in asked and "/ok/3.jpg" not in asked
    rows = Corpus.open(tmp_path / "corpus").table("fetches", ["url", "rights"]).to_pylist()
    rights = {row["url"]: {(item["kind"], item["value"]) for item in row["rights"] or []} for row in rows}
    assert ("meta_robots", "noimageai") in rights[refused]
    assert ("robots_txt", "disallowed") in rights[forbidden]
    assert ("robots_txt", "none") in rights[shown]
    mapping["fetch"]["obey"] = []
    indifferent = build(Recipe.from_mapping(mapping).retrying(["opted_out", "robots_disallowed"]), tmp_path / "corpus")
    assert fetched(indifferent) == {"ok": 2}


def test_what_was_taken_down_is_not_asked_for(server: HostileServer, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "urls.jsonl", [server.url(f"/ok/{n}.jpg", host=f"h{n}.test") for n in range(4)])
    recipe = recipe_for(server, listed)
    build(recipe, tmp_path / "corpus", quiet=True, offline=True)
    corpus = Corpus.open(tmp_path / "corpus")
    stones = [
        {"kind": "domain", "value": "h1.test", "reason": "asked to", "at": None},
        {"kind": "url", "value": server.url("/ok/2.jpg", host="h2.test"), "reason": "asked to", "at": None},
    ]
    import pyarrow as pa

    append_rows(corpus, "tombstones", [pa.RecordBatch.from_pylist(stones, schema=corpus.schema("tombstones"))])
    assert fetched(build(recipe, tmp_path / "corpus", quiet=True)) == {"ok": 2, "taken_down": 2}
    assert {line.host for line in server.log} == {"h0.test", "h3.test"}


def test_only_what_a_selection_keeps_is_fetched(server: HostileServer, tmp_path: Path) -> None:
    urls = [server.url(f"/ok/{n}.jpg") for n in range(3)]
    listed = write_list(tmp_path / "urls.jsonl", urls, text=["short", "long enough for it", None])
    mapping = mapping_for(server, listed, select="long")
    build(Recipe.from_mapping(mapping), tmp_path / "corpus", quiet=True)
    assert classes(tmp_path / "corpus") == {urls[1]: "ok"}
    mapping["fetch"]["select"] = "all"
    with pytest.raises(UsageError, match=r"fetch\.select: .*pair\.resolve.*before fetching"):
        build(Recipe.from_mapping(mapping), tmp_path / "other", quiet=True)


def test_hashes_are_held_against_the_list_and_archives_stand_in(server: HostileServer, tmp_path: Path) -> None:
    from hashlib import sha256

    paths = ("/ok/1.jpg", "/ok/2.jpg", "/status/404", "/status/410")
    urls = [server.url(path, host="a.test") for path in paths]
    old, other = image_bytes("/old.jpg"), image_bytes("/other.jpg")
    expected = [sha256(data).hexdigest() for data in (image_bytes("/ok/1.jpg"), old, old, old)]
    archive = write_warc(
        tmp_path / "old.warc",
        [
            record("response", url, http(body, "image/jpeg"))
            for url, body in ((urls[1], old), (urls[2], old), (urls[3], other))
        ],
    )
    listed = write_list(tmp_path / "urls.jsonl", urls, sha256=expected)
    recipe = recipe_for(server, listed, fallback=[str(archive)])
    built = build(recipe, tmp_path / "corpus", quiet=True)
    assert fetched(built) == {"ok": 1, "hash_mismatch": 1, "http_404": 1, "http_410": 1}
    found = resolved(tmp_path / "corpus")
    assert [found[url][0] for url in urls] == [digest(image_bytes("/ok/1.jpg")), digest(old), digest(old), None]
    assert build(recipe, tmp_path / "corpus", quiet=True).did_nothing


def test_placeholders_can_be_asked_for_again(server: HostileServer, tmp_path: Path) -> None:
    urls = [server.url(f"/removed/{number}", host=f"h{number % 3}.test") for number in range(25)]
    listed = write_list(tmp_path / "urls.jsonl", [*urls, server.url("/ok/1.jpg")])
    mapping = mapping_for(server, listed)
    with pytest.raises(UsageError, match=r"told by the stage fetch\.outcome"):
        build(Recipe.from_mapping(mapping).retrying(["placeholder"]), tmp_path / "corpus", quiet=True)
    mapping["stages"] += ["image.properties", "image.urls", "fetch.outcome"]
    recipe = Recipe.from_mapping(mapping)
    assert fetched(build(recipe, tmp_path / "corpus", quiet=True)) == {"ok": 26}
    outcomes = Corpus.open(tmp_path / "corpus").table("fetches", ["outcome"])["outcome"].to_pylist()
    assert Counter(outcomes) == {"placeholder": 25, "ok": 1}
    server.behaviours["/removed"] = server.behaviours["/ok"]  # the pictures are back
    assert fetched(build(recipe.retrying(["placeholder"]), tmp_path / "corpus", quiet=True)) == {"ok": 25}
    assert build(recipe, tmp_path / "corpus", quiet=True).did_nothing


def test_archives_are_held_to_what_holds_for_the_web(server: HostileServer, tmp_path: Path) -> None:
    from hashlib import md5

    urls = [server.url(f"/status/404?{number}", host="a.test") for number in range(3)]
    listed, refused, good = (image_bytes(f"/{name}.jpg", 300) for name in ("listed", "refused", "good"))
    answers = [http(listed, "image/jpeg"), http(refused, "image/jpeg", headers=["X-Robots-Tag: noai"])]
    answers.append(http(good, "image/jpeg"))
    archive = write_warc(
        tmp_path / "old.warc", [record("response", url, body) for url, body in zip(urls, answers, strict=True)]
    )
    blocked = tmp_path / "blocked.txt"
    blocked.write_text(md5(listed, usedforsecurity=False).hexdigest() + "\n")
    smaller = {"short_side": 100, "format": "png"}
    more = {"fallback": [str(archive)], "blocklists": [str(blocked)], "reencode": smaller}
    recipe = recipe_for(server, write_list(tmp_path / "urls.jsonl", urls), **more)
    build(recipe, tmp_path / "corpus", quiet=True)
    found = resolved(tmp_path / "corpus")
    assert [found[url][1] for url in urls] == ["http_404", "http_404", None]
    (stored,) = Corpus.open(tmp_path / "corpus").images([found[urls[2]][0] or ""])
    assert stored is not None and stored.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["fallback", "blocklists"])
def test_files_that_are_not_there_are_told_before_anything_is_fetched(
    name: str, server: HostileServer, tmp_path: Path
) -> None:
    listed = write_list(tmp_path / "urls.jsonl", [server.url("/ok/1.jpg")])
    recipe = recipe_for(server, listed, **{name: [str(tmp_path / "nowhere.warc")]})
    with pytest.raises(UsageError, match="nowhere"):
        build(recipe, tmp_path / "corpus", quiet=True)
    assert not server.log and not (tmp_path / "corpus").exists()


def test_the_plan_counts_what_a_build_would_ask_for(server: HostileServer, tmp_path: Path) -> None:
    urls = [server.url(f"/ok/{n}.jpg") for n in range(3)]
    listed = write_list(tmp_path / "urls.jsonl", urls, text=["short", "long enough for it", None])
    recipe = recipe_for(server, listed, select="long")
    build(recipe, tmp_path / "corpus", quiet=True)
    assert plan(recipe, tmp_path / "corpus").nothing_to_do
    everything = recipe_for(server, listed)
    assert plan(everything, tmp_path / "corpus").num_urls == 2
    assert plan(everything, tmp_path / "corpus", offline=True).num_urls == 0


def test_a_deadline_leaves_the_rest_pending(server: HostileServer, tmp_path: Path) -> None:
    urls = [server.url(f"/ok/{number}.jpg", host="one.test") for number in range(60)]
    listed = write_list(tmp_path / "urls.jsonl", urls)
    slow = recipe_for(server, listed, deadline_s=1.5, host_requests_per_s=10.0)
    started = time.monotonic()
    built = build(slow, tmp_path / "corpus", quiet=True)
    assert time.monotonic() - started < 8
    assert built.fetched is not None
    assert 0 < built.fetched.num_attempts < 40
    assert built.fetched.num_pending == 60 - built.fetched.num_attempts
    rest = build(recipe_for(server, listed), tmp_path / "corpus", quiet=True)
    assert fetched(rest) == {"ok": built.fetched.num_pending}


def crowd(server: HostileServer, number: int) -> list[str]:
    kinds = ["/ok/{}.jpg"] * 7 + ["/status/404?{}", "/html/{}", "/removed/{}"]
    return [server.url(kinds[n % 10].format(n), host=f"h{n % 13}.test") for n in range(number)]


def test_the_same_corpus_whatever_the_order_and_the_workers(server: HostileServer, tmp_path: Path) -> None:
    urls = crowd(server, 200)
    releases = []
    for name, workers in (("a", 1), ("b", 2)):
        order = list(enumerate(urls))
        random.Random(name).shuffle(order)
        listed = tmp_path / f"{name}.jsonl"
        listed.write_text("".join(json.dumps({"url": url, "text": f"picture {n}"}) + "\n" for n, url in order))
        mapping = mapping_for(server, listed, concurrency=3 if name == "a" else 50)
        mapping["sources"][0]["url_list"]["columns"].pop("sha256")
        build(Recipe.from_mapping(mapping), tmp_path / name, workers=workers, quiet=True)
        release(Corpus.open(tmp_path / name), "all", tmp_path / f"release-{name}")
        out = tmp_path / f"release-{name}"
        told = [out / page for page in ("README.md", "datasheet.md")]  # recipe.json names the list by its bytes
        releases.append({path.name: path.read_bytes() for path in (*(out / "data").iterdir(), *told)})
    assert classes(tmp_path / "a") == classes(tmp_path / "b")
    assert resolved(tmp_path / "a") == resolved(tmp_path / "b")
    assert releases[0] == releases[1]


def test_killed_at_random_nothing_is_lost_or_asked_for_again(server: HostileServer, tmp_path: Path) -> None:
    urls = crowd(server, 400)
    listed = write_list(tmp_path / "urls.jsonl", urls)
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(mapping_for(server, listed, host_requests_per_s=25.0, concurrency=20)))
    chance = random.Random(1)
    for _ in range(3):
        running = subprocess.Popen([sys.executable, SCRIPT, file, tmp_path / "corpus", "1"], stderr=subprocess.PIPE)
        seen = len(server.log)
        while len(server.log) < seen + chance.randrange(40, 90) and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.communicate()
    mapping = json.loads(file.read_text())
    built = build(Recipe.from_mapping(mapping), tmp_path / "corpus", quiet=True)
    assert built.fetched is not None and built.fetched.num_recovered > 0
    rows = Corpus.open(tmp_path / "corpus").table("fetches", ["url"])["url"].to_pylist()
    assert sorted(rows) == sorted(urls)  # one attempt each, over all four runs
    asked = Counter(line.path for line in server.log if not line.path.endswith(".txt"))
    repeated = sum(count - 1 for path, count in asked.items() if "/.well-known" not in path)
    assert repeated <= 3 * 20  # at most what was in flight at each kill


def test_interrupted_it_finishes_what_is_in_flight_and_keeps_it(server: HostileServer, tmp_path: Path) -> None:
    listed = write_list(tmp_path / "urls.jsonl", crowd(server, 300))
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(mapping_for(server, listed, host_requests_per_s=10.0)))
    hears = ["env", "--default-signal=INT"]  # where the tests run in the background, Ctrl-C is ignored
    command = [*hears, sys.executable, SCRIPT, file, tmp_path / "corpus", "1"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    while len(server.log) < 80 and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    kept = Corpus.open(tmp_path / "corpus").count("fetches")
    assert kept >= 30
    assert not list((tmp_path / "corpus" / "fetching" / "spool").iterdir())


@pytest.mark.parametrize(
    ("fetch", "message"),
    [
        ({"contact": "a\nb"}, "contact is part of a header"),
        ({"contact": "x", "concurrency": 0}, "concurrency must be at least 1"),
        ({"contact": "x", "rate": 3}, "unknown parameter 'rate'"),
        ({"contact": "x", "allow_addresses": ["10.0.0.0/40"]}, "allow_addresses"),
        ({"contact": "x", "select": "none"}, "no selection 'none'"),
        ({"contact": "x", "reencode": {"quality": 0}}, "quality"),
        ({"deadline_s": -5}, "deadline_s must be a positive number"),
        ({"backoff_s": float("nan")}, "backoff_s must be 0 or more"),
        ({"max_wait_s": float("inf")}, "max_wait_s"),
        ({"retry": ["htp_403"]}, r"fetch\.retry: no class 'htp_403'; did you mean 'http_403'"),
        ({"retry": ["ok"]}, "no class 'ok'"),
        ({"blocklist_distance": 64}, "would match half of all pictures"),
        ({"product": "ünï"}, "product must be one word"),
        ({"nameservers": ["dns.google"]}, r"nameservers: 'dns\.google'"),
        ({"nameservers": ["9.9.9.9:99999"]}, "port 99999"),
    ],
)
def test_wrong_settings_are_refused(fetch: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.from_mapping({"fetch": fetch})


def test_nothing_is_fetched_anonymously(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUWEN_CONTACT", raising=False)
    recipe = Recipe.from_mapping({"fetch": {}})
    with pytest.raises(UsageError, match=r"contact is ''.*TUWEN_CONTACT"):
        build(recipe, tmp_path / "corpus", quiet=True)
    assert not (tmp_path / "corpus").exists()
    build(recipe, tmp_path / "corpus", quiet=True, offline=True)
    monkeypatch.setenv("TUWEN_CONTACT", "nobody")
    with pytest.raises(UsageError, match="contact is 'nobody'"):
        build(recipe, tmp_path / "corpus", quiet=True)
    monkeypatch.setenv("TUWEN_CONTACT", "mailto:me@example.org")
    build(recipe, tmp_path / "corpus", quiet=True)


def test_what_retry_refuses() -> None:
    with pytest.raises(UsageError, match="no section `fetch`"):
        Recipe.from_mapping({}).retrying(["timeout"])
    with pytest.raises(UsageError, match="did you mean 'timeout'"):
        Recipe.from_mapping({"fetch": {"contact": "x"}}).retrying(["timeouts"])
    with pytest.raises(UsageError, match="'fetch' is the name of what the fetcher brings"):
        Recipe.from_mapping({"sources": [{"warc": {"paths": ["x"]}, "as": "fetch"}]})
