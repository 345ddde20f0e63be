"""The cache of site files: shared, short-lived, and never in the way."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuwen.fetching.site_cache import LONGEST_REST_S, RETRY_S, VALID_S, SiteCache, SiteFile

ORIGIN = "https://a.test:443"


def final(body: bytes = b"User-agent: *", age_s: float = 0.0) -> SiteFile:
    return SiteFile(200, None, body, time.time() - age_s, True)


def failed(age_s: float = 0.0) -> SiteFile:
    return SiteFile(None, "robots_unreachable", b"", time.time() - age_s, False)


def test_answers_are_kept_for_a_day(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sites.sqlite"
    first = SiteCache(path)
    fresh, stale = final(b"x" * 100_000, VALID_S - 60), final(age_s=VALID_S + 1)
    first.put(ORIGIN, "/robots.txt", fresh)
    first.put(ORIGIN, "/ai.txt", stale)
    assert first.get(ORIGIN, "/robots.txt") == fresh
    assert first.get(ORIGIN, "/ai.txt") is None
    assert first.get("http://b.test:80", "/robots.txt") is None
    second = SiteCache(path)  # at the same time
    assert second.get(ORIGIN, "/robots.txt") == fresh
    first.close()
    second.close()
    assert path.stat().st_size < 50_000
    with sqlite3.connect(path) as database:  # what is too old is gone
        assert database.execute("select path from site_files").fetchall() == [("/robots.txt",)]


def test_failures_are_kept_for_minutes_and_for_the_run(tmp_path: Path) -> None:
    path = tmp_path / "sites.sqlite"
    run, other = SiteCache(path), SiteCache(path)
    run.put(ORIGIN, "/robots.txt", failed(RETRY_S - 5))
    run.put(ORIGIN, "/ai.txt", failed(RETRY_S + 5))
    assert run.get(ORIGIN, "/robots.txt") is not None
    assert run.get(ORIGIN, "/ai.txt") is None
    assert other.get(ORIGIN, "/robots.txt") is None


def test_a_clock_that_was_ahead_keeps_nothing_forever(tmp_path: Path) -> None:
    cache = SiteCache(tmp_path / "sites.sqlite")
    cache.put(ORIGIN, "/robots.txt", final(age_s=-10 * VALID_S))
    assert cache.get(ORIGIN, "/robots.txt") is None


def test_rests_are_kept_until_they_are_over(tmp_path: Path) -> None:
    path = tmp_path / "sites.sqlite"
    cache = SiteCache(path)
    cache.put_rest(ORIGIN, 10)
    cache.put_rest(ORIGIN, 500)
    cache.put_rest("http://over.test:80", 0)
    cache.put_rest("http://long.test:80", 1e12)
    cache.close()
    cache = SiteCache(path)
    rests = cache.rests()
    assert 490 < rests.pop(ORIGIN) <= 500
    assert 0 < rests.pop("http://long.test:80") <= LONGEST_REST_S and rests == {}
    with sqlite3.connect(path) as database:  # by a clock that was ahead
        database.execute("update rests set until = until + 1e9")
    assert cache.rests() == {}


def test_without_a_file() -> None:
    cache = SiteCache(None)
    cache.put(ORIGIN, "/robots.txt", kept := final())
    assert cache.get(ORIGIN, "/robots.txt") == kept
    cache.close()
    assert cache.get(ORIGIN, "/robots.txt") is None


@pytest.mark.parametrize("garbage", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 4096])
def test_a_broken_file_is_made_anew(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "sites.sqlite"
    path.write_bytes(garbage)
    cache = SiteCache(path)
    cache.put(ORIGIN, "/robots.txt", kept := final())
    cache.close()
    assert SiteCache(path).get(ORIGIN, "/robots.txt") == kept


def test_a_file_that_breaks_while_open(tmp_path: Path) -> None:
    path = tmp_path / "sites.sqlite"
    writer = SiteCache(path)
    noise = random.Random(0)
    for number in range(300):  # more than SQLite keeps in memory
        writer.put(f"https://{number}.test:443", "/robots.txt", final(noise.randbytes(20_000)))
    writer.close()
    cache = SiteCache(path)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    found = [cache.get(f"https://{number}.test:443", "/robots.txt") for number in range(300)]
    assert None in found
    cache.put(ORIGIN, "/robots.txt", kept := final())
    assert cache.get(ORIGIN, "/robots.txt") == kept


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "sites.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("create table site_files (other text)")
        database.execute("pragma user_version = 99")
    cache = SiteCache(path)
    cache.put(ORIGIN, "/robots.txt", kept := final())
    assert cache.get(ORIGIN, "/robots.txt") == kept


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "sites.sqlite", Path("/proc/sites.sqlite")):
        cache = SiteCache(path)
        cache.put(ORIGIN, "/robots.txt", kept := final())
        assert cache.get(ORIGIN, "/robots.txt") == kept
    assert tmp_path.is_dir()


def test_processes_share_it(tmp_path: Path) -> None:
    code = """if True:
        import sys, time
        from pathlib import Path
        from tuwen.fetching.site_cache import SiteCache, SiteFile
        cache = SiteCache(Path(sys.argv[1]))
        for number in range(200):
            file = SiteFile(404, None, b"", time.time(), True)
            cache.put(f"https://{sys.argv[2]}-{number}.test:443", "/robots.txt", file)
        """
    path = tmp_path / "sites.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(number)]) for number in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    cache = SiteCache(path)
    names = [f"https://{writer}-{number}.test:443" for writer in range(2) for number in range(200)]
    assert all(cache.get(name, "/robots.txt") for name in names)
