"""Opt-outs of pages: what is said, what is said to others, and what is not said."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tuwen.corpus.tables import DOCUMENTS
from tuwen.sources.extraction.page import extract
from tuwen.stages.document.opt_out import OptOut


def opt_out(*rights: tuple[str, str] | None) -> dict[str, Any]:
    entries = [entry and {"kind": entry[0], "value": entry[1]} for entry in rights]
    batch = pa.record_batch({"rights": pa.array([entries], DOCUMENTS.field("rights").type)})
    row: dict[str, Any] = OptOut()(batch).to_pylist()[0]
    return row


def test_nothing_said_is_null() -> None:
    assert set(opt_out().values()) == {None}
    assert set(opt_out(("rel_license", "https://creativecommons.org/licenses/by/4.0/"), None).values()) == {None}


def test_robots() -> None:
    found = opt_out(("meta_robots", "NOAI"), ("x_robots_tag", "gptbot: none"), ("meta_robots", "ccbot: noindex"))
    assert (found["noindex"], found["noai"], found["noimageai"]) == (False, True, False)
    assert found["refused_agents"] == ["ccbot", "gptbot"]
    assert (found["tdm_reserved"], found["train_ai_refused"]) == (None, None)


def test_reservations() -> None:
    assert opt_out(("tdm_reservation", "1"))["tdm_reserved"] is True
    assert opt_out(("tdm_reservation", "0"))["tdm_reserved"] is False
    assert opt_out(("content_usage", "train-ai=n, search=y"))["train_ai_refused"] is True
    assert opt_out(("content_usage", "Train-AI=y"))["train_ai_refused"] is False
    assert opt_out(("content_usage", "search=n"))["train_ai_refused"] is None


def test_the_spelling_is_that_of_extraction() -> None:
    html = b"<meta name=robots content='noai'><meta name=GPTBot content=noindex><meta name=tdm-reservation content=1>"
    headers = {"x-robots-tag": "noindex", "content-usage": "train-ai=n"}
    assert opt_out(*extract(html, "http://a.test/", headers=headers).rights) == {
        "noindex": True,
        "noai": True,
        "noimageai": False,
        "refused_agents": ["gptbot"],
        "tdm_reserved": True,
        "train_ai_refused": True,
    }
