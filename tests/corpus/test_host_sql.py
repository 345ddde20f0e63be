"""The host of a URL in SQL, for whatever URLs hold."""

from __future__ import annotations

import duckdb
import pytest

from tuwen.corpus.tables import host_sql


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://A.test/x", "a.test"),
        ("https://a.test:8080", "a.test"),
        ("https://me:secret@a.test?q=/", "a.test"),
        ("http://[2001:DB8::1]:8080/x", "[2001:db8::1]"),
        ("http://[::1]", "[::1]"),
        ("http://me@[::1]/", "[::1]"),
        ("http://a.test/[::1]", "a.test"),
        ("http://10.0.0.1/", "10.0.0.1"),
        ("data:sha256,00", ""),
        ("", ""),
    ],
)
def test_host_sql(url: str, host: str) -> None:
    assert duckdb.execute(f"SELECT {host_sql('url')} FROM (SELECT ? AS url)", [url]).fetchall() == [(host,)]
