"""Path patterns, against regular expressions that say the same."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.fetching.paths import PathPattern, normalised, path_of


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.test", "/"),
        ("https://a.test/", "/"),
        ("https://a.test?q", "/?q"),
        ("https://a.test/a/b?c=d#e", "/a/b?c=d"),
        ("https://a.test/%7e%2f%61", "/~%2Fa"),
        ("https://a.test/é ", "/%C3%A9%20"),
        ("https://a.test/a*b$", "/a%2Ab%24"),
        ("https://a.test//x", "//x"),
        ("https://a.test/100%", "/100%25"),
    ],
)
def test_path_of(url: str, path: str) -> None:
    assert path_of(url) == path


def test_special_characters_can_be_meant() -> None:
    assert PathPattern("/foo-%24").matches(path_of("https://a.test/foo-$"))
    assert not PathPattern("/foo-%2A").matches("/foo-x")
    assert PathPattern("/a$b").matches(path_of("https://a.test/a$b"))


@given(st.text())
def test_normalised_is_plain_and_stays(text: str) -> None:
    once = normalised(text)
    assert once.isascii() and normalised(once) == once


@given(st.text("/ab*$", max_size=8), st.text("/ab", max_size=10))
def test_matches_as_the_regular_expression(pattern: str, path: str) -> None:
    body = pattern.removesuffix("$")
    expression = "".join(".*" if letter == "*" else re.escape(normalised(letter)) for letter in body)
    expected = re.match(expression + ("$" if pattern.endswith("$") else ""), path) is not None
    assert PathPattern(pattern).matches(path) == expected


def test_a_pattern_full_of_stars_is_quick() -> None:
    pattern = PathPattern("/" + "a*" * 200_000 + "b$")
    began = time.process_time()
    assert not pattern.matches("/" + "a" * 8000)
    assert time.process_time() - began < 1
