"""Takedowns as rows, and what they keep out."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import host_of, host_sql
from tuwen.corpus.tombstones import Barred, Stone, add_stones, is_below, read_stones
from tuwen.errors import UsageError

HOSTILE = st.text("abAB.:/@?#[]\\% \t-1é", max_size=30)


@given(st.one_of(HOSTILE, st.builds("http://{}{}".format, HOSTILE, HOSTILE)))
@example("HTTPS://User:pass@Example.ORG:8080/x@y")
@example("http://[::1]:80/")
@example("http://a@b@c/")
def test_hosts_are_the_same_in_python_and_sql(url: str) -> None:
    ((expected,),) = duckdb.execute(f"SELECT {host_sql('url')} FROM (SELECT $1 AS url)", [url]).fetchall()
    assert host_of(url) == expected


@given(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4), st.sampled_from(["a", "b.a", "ab.a"]))
def test_a_host_is_below_a_domain_if_it_ends_so_at_a_dot(parts: list[str], domain: str) -> None:
    host = ".".join(parts)
    assert is_below(host, {domain}) == (host == domain or host.endswith(f".{domain}"))


def test_stones_are_recorded_once_and_read_sorted(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    stones = [Stone("url", "http://b/"), Stone("image", "a" * 32), Stone("url", "http://b/")]
    assert add_stones(corpus, stones, "asked") == stones[:2]
    assert add_stones(corpus, [*stones, Stone("domain", "c")], None) == [Stone("domain", "c")]
    assert read_stones(corpus) == sorted({*stones, Stone("domain", "c")})
    with pytest.raises(UsageError, match="of kind image, url"):
        add_stones(corpus, [Stone("person", "x")], None)


def test_attempts_are_barred_by_image_url_and_host(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    assert not Barred(corpus)
    add_stones(corpus, [Stone("image", "a" * 32), Stone("url", "http://b/x"), Stone("domain", "c.test")], None)
    barred = Barred(corpus)
    held = [("http://z/", "a" * 32), ("http://b/x", None), ("http://C.test:80/y", None), ("http://www.c.test/y", None)]
    free = [("http://z/", "b" * 32), ("http://b/xy", None), ("http://xc.test/", None), ("", None)]
    assert barred and all(barred.holds(*each) for each in held) and not any(barred.holds(*each) for each in free)
