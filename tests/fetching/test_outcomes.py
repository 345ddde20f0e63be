"""Classes of outcomes, those that are not listed included."""

from __future__ import annotations

import pytest

from tuwen.fetching.outcomes import outcome_of


@pytest.mark.parametrize(
    ("error", "family", "transient"),
    [
        (None, "ok", False),
        ("http_404", "rot", False),
        ("http_418", "server", False),
        ("http_501", "server", False),
        ("http_502", "server", True),
        ("http_600", "server", False),
        ("http_777", "server", False),
        ("http_999", "blocked", False),
        ("revisit", "content", False),
        ("http_1000", "content", False),
    ],
)
def test_outcome_of(error: str | None, family: str, transient: bool) -> None:
    found = outcome_of(error)
    assert (found.family, found.transient) == (family, transient)


def test_statuses_are_named() -> None:
    assert "600" in outcome_of("http_600").meaning and "archive" not in outcome_of("http_600").meaning
