"""Which image a URL on a page stands for, over hand-made fetches; both resolve stages."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.corpus.tables import DOCUMENTS, FETCHES
from tuwen.stages.document.resolve import Resolve as DocumentResolve
from tuwen.stages.pair.resolve import Resolve

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "http://a.test/figure.png"


class Fetches:
    """The fetches of a corpus, with `Corpus.sql`."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        numbered = [
            {"fetch_id": f"{number:03d}", "source_unit": f"unit {number}", **row} for number, row in enumerate(rows)
        ]
        self.table = pa.Table.from_pylist(numbered, schema=FETCHES)

    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        connection = duckdb.connect(config={"threads": "1"})
        connection.register("fetches", self.table.select(list(columns["fetches"])))
        return connection.sql(query).to_arrow_table().to_reader()


def hours(count: float) -> datetime:
    return NOON + timedelta(hours=count)


def image(name: str, at: float | None = 0, url: str = URL, **more: Any) -> dict[str, Any]:
    return {"url": url, "captured_at": None if at is None else hours(at), "image_id": name, **more}


def failed(error: str, at: float = 0, url: str = URL) -> dict[str, Any]:
    return {"url": url, "captured_at": hours(at), "error": error}


def redirect(to: str, at: float = 0, url: str = URL, error: str = "redirect") -> dict[str, Any]:
    return {"url": url, "captured_at": hours(at), "redirect_url": to, "error": error}


def resolved_all(
    fetches: Sequence[Mapping[str, Any]],
    refs: Sequence[str | None],
    at: float | None = 0,
    expected: str | None = None,
    **parameters: Any,
) -> list[dict[str, Any]]:
    """What pair.resolve makes of references on a page captured then, each with the hash expected of it."""
    stage = Resolve(**parameters)
    state = stage.prepare(Fetches(fetches)).read_all()  # type: ignore[arg-type]
    captured = pa.array([None if at is None else hours(at)] * len(refs), pa.timestamp("us", tz="UTC"))
    hashes = pa.array([expected] * len(refs), pa.string())
    columns = {"image_ref": pa.array(refs, pa.string()), "expected_hash": hashes, "document.captured_at": captured}
    batch = pa.record_batch(columns)
    rows: list[dict[str, Any]] = stage(batch, state=state).to_pylist()
    return rows


def resolved(fetches: Sequence[Mapping[str, Any]], ref: str | None = URL, **parameters: Any) -> dict[str, Any]:
    return resolved_all(fetches, [ref], **parameters)[0]


def outcome(*arguments: Any, **parameters: Any) -> tuple[str | None, str | None]:
    row = resolved(*arguments, **parameters)
    return row["image_id"], row["fetch_error"]


def test_found_not_fetched_and_failed() -> None:
    assert outcome([image("A")]) == ("A", None)
    assert outcome([image("A", url="http://other.test/")]) == (None, "not_fetched")
    assert outcome([failed("http_404")]) == (None, "http_404")
    assert outcome([]) == (None, "not_fetched")
    assert outcome([{"url": URL, "captured_at": NOON}]) == (None, "not_an_image")
    assert outcome([image("A")], ref=None) == (None, None)


def test_embedded_bytes_resolve_to_themselves() -> None:
    assert outcome([], ref="data:sha256,0123456789abcdef0123456789abcdef") == ("0123456789abcdef0123456789abcdef", None)


def test_a_placeholder_does_not_replace_the_image() -> None:
    fetches = [image("figure", at=1), image("removed", at=24 * 300)]
    assert outcome(fetches, at=0) == ("figure", None)
    assert outcome(fetches, at=24 * 100) == ("figure", None), "far from both: the earliest"
    assert outcome(fetches, at=24 * 300 - 1) == ("removed", None), "this page was captured with the placeholder"
    assert outcome(fetches, at=None) == ("figure", None)


def test_the_nearest_within_the_window_holds() -> None:
    fetches = [image("before", at=-20), image("after", at=2)]
    assert outcome(fetches, at=0) == ("after", None)
    assert outcome(fetches, at=0, same_capture_h=1.0) == ("before", None)
    assert outcome(fetches, at=-15) == ("before", None)


def test_an_image_is_better_than_an_error_however_far() -> None:
    assert outcome([failed("http_503", at=0), image("A", at=5000)]) == ("A", None)
    assert outcome([image("damaged", at=0, error="truncated_body"), image("whole", at=5000)]) == ("whole", None)
    assert outcome([image("damaged", at=0, error="truncated_body")]) == ("damaged", None)


def test_the_error_told_is_that_of_the_same_capture() -> None:
    fetches = [failed("http_404", at=-500), failed("timeout", at=1), failed("http_500", at=500)]
    assert outcome(fetches) == (None, "timeout")
    assert outcome(fetches, at=9000) == (None, "http_404")


def test_times_that_are_not_known_come_last() -> None:
    assert outcome([image("undated", at=None), image("dated", at=900)]) == ("dated", None)
    assert outcome([image("undated", at=None)]) == ("undated", None)


def test_redirects_are_followed() -> None:
    chain = [
        redirect("http://b.test/"),
        redirect("http://c.test/", url="http://b.test/"),
        image("C", url="http://c.test/"),
    ]
    assert outcome(chain) == ("C", None)
    assert outcome(chain[:2]) == (None, "not_fetched")
    assert outcome([*chain[:2], failed("http_410", url="http://c.test/")]) == (None, "http_410")


def test_the_rights_are_those_of_the_last_response() -> None:
    noai = [{"kind": "x_robots_tag", "value": "noai"}]
    fetches = [
        {**redirect("http://b.test/"), "rights": [{"kind": "x_robots_tag", "value": "all"}]},
        image("B", url="http://b.test/", rights=noai),
    ]
    assert resolved(fetches)["image_rights"] == noai


def test_errors_of_the_fetcher_stand_although_it_says_where_redirects_led() -> None:
    fetches = [
        {"url": URL, "captured_at": NOON, "error": "hash_mismatch", "redirect_url": "http://b.test/"},
        image("B", url="http://b.test/"),
    ]
    assert outcome(fetches) == (None, "hash_mismatch")
    assert outcome([{**redirect("http://b.test/"), "error": "truncated_body"}]) == (None, "truncated_body")


def test_each_redirect_leads_to_the_target_of_its_time() -> None:
    fetches = [
        redirect("http://b.test/", at=0),
        redirect("http://b.test/", at=2000),
        image("old", url="http://b.test/", at=1),
        image("new", url="http://b.test/", at=2001),
    ]
    assert outcome(fetches, at=0) == ("old", None)
    assert outcome(fetches, at=2000) == ("new", None)


def test_circles_end() -> None:
    there, back = redirect("http://b.test/"), redirect(URL, url="http://b.test/")
    assert outcome([there, back]) == (None, "too_many_redirects")
    assert outcome([redirect(URL)]) == (None, "not_fetched"), "to itself, and nothing else is known of it"
    assert outcome([there, back, image("A", at=700)]) == ("A", None)


def came(sha256: str | None, stored: str | None = None, at: float = 0, **more: Any) -> dict[str, Any]:
    """An image that came with this SHA-256 and is stored under `stored`, by default the id that goes with it."""
    return image(stored or (sha256 or "")[:32], at=at, sha256=sha256, **more)


ONE, TWO = "1" * 64, "2" * 64


@pytest.mark.parametrize(
    ("fetches", "expected", "found"),
    [
        ([came(ONE)], f"sha256:{ONE}", ONE[:32]),
        ([came(ONE)], f"sha256:{ONE[:32]}", ONE[:32]),
        ([came("a" * 64, stored="re-encoded")], "sha256:" + "A" * 64, "re-encoded"),
        ([came(ONE)], f"sha256:{TWO}", None),
        ([came(ONE, stored="re-encoded")], f"sha256:{TWO}", None),
        ([came(ONE)], "md5:" + "2" * 32, ONE[:32]),
        ([came(None, stored="with a data set")], f"sha256:{TWO}", "with a data set"),
        ([came(ONE), came(TWO, at=900)], f"sha256:{TWO}", TWO[:32]),
        ([came(ONE), came(TWO)], f"sha256:{TWO}", TWO[:32]),
        ([redirect("http://b.test/"), came(ONE, url="http://b.test/")], f"sha256:{TWO}", None),
        ([redirect("http://b.test/"), came(TWO, "small", url="http://b.test/")], f"sha256:{TWO}", "small"),
    ],
)
def test_other_bytes_than_expected_are_no_image(
    fetches: list[dict[str, Any]], expected: str, found: str | None
) -> None:
    row = resolved(fetches, expected=expected)
    assert (row["image_id"], row["fetch_error"]) == (found, None if found else "hash_mismatch")
    assert resolved(fetches)["image_id"] == fetches[-1 if fetches[0].get("redirect_url") else 0]["image_id"]


def test_errors_are_told_whatever_is_expected() -> None:
    assert resolved([failed("http_404")], expected=f"sha256:{ONE}")["fetch_error"] == "http_404"
    assert resolved([], expected=f"sha256:{ONE}")["fetch_error"] == "not_fetched"
    embedded = resolved([], ref="data:sha256," + TWO[:32], expected=f"sha256:{ONE}")
    assert embedded["image_id"] == TWO[:32], "bytes that came with a data set are what it says they are"


def test_a_revisit_stands_for_what_was_fetched_before() -> None:
    revisit = redirect(URL, at=2000, error="revisit")
    assert outcome([image("A"), revisit], at=2000) == ("A", None)
    assert outcome([revisit], at=2000) == (None, "not_fetched")


def test_long_chains_are_cut() -> None:
    def chain(length: int) -> list[dict[str, Any]]:
        urls = [URL, *(f"http://{number}.test/" for number in range(length))]
        hops = [redirect(there, url=here) for here, there in itertools.pairwise(urls)]
        return [*hops, image("end", url=urls[-1])]

    assert outcome(chain(10)) == ("end", None)
    assert outcome(chain(11)) == (None, "too_many_redirects")


ROWS = st.lists(
    st.builds(
        lambda url, kind, target, at, name: {
            "image": image(name, at=at, url=url),
            "failed": failed(name, at=at, url=url),
            "redirect": redirect(target, at=at, url=url),
        }[kind],
        url=st.sampled_from("uvw"),
        kind=st.sampled_from(["image", "failed", "redirect"]),
        target=st.sampled_from("uvw"),
        at=st.sampled_from([-60.0, -1.0, 0.0, 1.0, 60.0]),
        name=st.sampled_from(["A", "B"]),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.sampled_from([None, 0.0, 59.0]), st.randoms(use_true_random=False))
def test_the_order_and_units_of_rows_do_not_matter(
    rows: list[dict[str, Any]], at: float | None, chance: random.Random
) -> None:
    numbered = [{**row, "fetch_id": f"{number:03d}"} for number, row in enumerate(rows)]
    shuffled = [{**row, "source_unit": f"other {number}"} for number, row in enumerate(numbered)]
    chance.shuffle(shuffled)
    first = resolved_all(numbered, "uvw", at=at)
    assert first == resolved_all(shuffled, "uvw", at=at)
    assert all((row["image_id"] is None) == (row["fetch_error"] is not None) for row in first)


@pytest.mark.parametrize("parameters", [{}, {"same_capture_h": 1.0}])
def test_documents_resolve_as_their_pairs_do(parameters: dict[str, Any]) -> None:
    fetches = [image("before", at=-20), image("after", at=2), image("B", url="http://b.test/")]
    refs = [URL, None, "http://b.test/", "http://never.test/", f"data:sha256,{'0' * 32}"]
    documents = pa.Table.from_pylist(
        [
            {"captured_at": NOON, "nodes": [{"kind": "image", "image_ref": ref} for ref in refs]},
            {"captured_at": NOON, "nodes": []},
            {"captured_at": NOON, "nodes": None},
            {"captured_at": hours(-15), "nodes": [{"kind": "image", "image_ref": URL}]},
        ],
        schema=pa.schema([DOCUMENTS.field("captured_at"), DOCUMENTS.field("nodes")]),
    )
    stage = DocumentResolve(**parameters)
    state = stage.prepare(Fetches(fetches)).read_all()  # type: ignore[arg-type]
    batch = documents.select(["nodes", "captured_at"]).to_batches()[0]
    result = stage(batch, state=state).to_pydict()["image_ids"]
    assert result[0] == [outcome(fetches, ref=ref, **parameters)[0] for ref in refs]
    assert result[1:3] == [[], None]
    assert result[3] == [outcome(fetches, at=-15, **parameters)[0]]
