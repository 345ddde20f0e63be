"""`why`: one row's whole life."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.errors import UsageError
from tuwen.selections.life import Life, render
from tuwen.selections.selection import parse_selections
from tuwen.selections.why import find, why

SELECTIONS = parse_selections(
    {
        "figures": {"unit": "image", "steps": [{"rule": "width >= 64"}]},
        "strong": {"unit": "pair", "steps": [{"within": "figures"}, {"rule": "score >= 0.5"}]},
        "pages": {"unit": "document", "steps": [{"within": "strong"}]},
    }
)


@pytest.fixture
def corpus(make_corpus: Callable[..., Corpus], key: Callable[[object], str]) -> Corpus:
    at = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    source = {"source": "warc", "source_unit": "a.warc.gz:1"}
    return make_corpus(
        images=[
            {"image_id": key("big"), "bytes": b"12345", "width": 100, **source},
            {"image_id": key("tiny"), "bytes": b"1", "width": 1, **source},
        ],
        documents=[
            {
                "document_id": key("Doc"),
                "url": "https://x.org/1",
                "title": "[red]not markup[/red]",
                "captured_at": at,
                "nodes": [{"kind": "image", "image_ref": f"https://x.org/{n}.png"} for n in ("big", "tiny")],
                "image_ids": [key("big"), key("tiny")],
                **source,
            }
        ],
        pairs=[
            {
                "pair_id": key(pair),
                "document_id": key("Doc"),
                "image_ref": f"https://x.org/{image}.png",
                "text": text,
                "text_source": "alt",
                "image_id": key(image),
                "score": score,
                **source,
            }
            for pair, image, text, score in [
                ("px", "big", "good", 0.9),
                ("py", "big", "bad\0 \x1b[31m text", 0.1),
                ("pz", "tiny", "small", 0.9),
            ]
        ],
        fetches=[{"fetch_id": key("f"), "url": "https://x.org/big.png", "image_id": key("big"), "captured_at": at}],
        units=[{**source, "location": "/data/a.warc.gz"}],
    )


def printed(life: Life) -> str:
    sink = io.StringIO()
    Console(file=sink, width=160, force_terminal=False).print(render(life))
    return sink.getvalue()


def test_an_image(corpus: Corpus, key: Callable[[object], str]) -> None:
    life = why(corpus, key("big"), SELECTIONS)
    assert (life.kind, life.id) == ("image", key("big"))
    assert life.origin["location"] == "/data/a.warc.gz" and life.origin["source"] == "warc"
    assert [page["url"] for page in life.origin["pages"]] == ["https://x.org/1"]
    assert [fetch["url"] for fetch in life.origin["fetches"]] == ["https://x.org/big.png"]
    cells = {cell.name: (cell.value, cell.stage) for cell in life.columns}
    assert cells["bytes"] == ({"num_bytes": 5}, None) and cells["width"] == (100, "image.properties")
    assert [(verdict.selection, verdict.kept) for verdict in life.verdicts] == [("figures", True)]
    strong, pages = life.relations
    assert (strong.selection, strong.num_rows, strong.num_kept) == ("strong", 2, 1)
    assert [(row.id, row.kept) for row in strong.rows] == [(key("px"), True), (key("py"), False)]
    assert (pages.unit, pages.num_kept) == ("document", 1)


def test_a_pair_and_why_its_image_was_refused(corpus: Corpus, key: Callable[[object], str]) -> None:
    life = why(corpus, key("pz"), SELECTIONS)
    (verdict,) = life.verdicts
    assert (verdict.step, verdict.rule, verdict.value) == (1, "within figures", {"within figures": False})
    inner = verdict.because
    assert inner and (inner.selection, inner.id) == ("figures", key("tiny"))
    assert (inner.rule, inner.value) == ("width >= 64", {"width": 1})
    assert "width >= 64" in printed(life) and "width = 1" in printed(life)


def test_a_pair_and_its_neighbours(corpus: Corpus, key: Callable[[object], str]) -> None:
    life = why(corpus, key("py"), SELECTIONS)
    (verdict,) = life.verdicts
    assert (verdict.step, verdict.name, verdict.value) == (2, "score >= 0.5", {"score": 0.1})
    assert life.origin["document"]["url"] == "https://x.org/1"
    assert life.origin["image"]["image_id"] == key("big")
    assert [text["text"] for text in life.origin["other_texts"]] == ["good"]
    assert {cell.name: cell.value for cell in life.columns}["score"] == 0.1


def test_a_document(corpus: Corpus, key: Callable[[object], str]) -> None:
    life = why(corpus, key("Doc"), SELECTIONS)
    assert [image["image_id"] for image in life.origin["images"]] == [key("big"), key("tiny")]
    counts = {relation.selection: (relation.num_rows, relation.num_kept) for relation in life.relations}
    assert counts == {"figures": (2, 1), "strong": (3, 1)}


@pytest.mark.parametrize("name", ["big", "tiny", "px", "py", "pz", "Doc"])
def test_every_life_prints_and_becomes_json(corpus: Corpus, key: Callable[[object], str], name: str) -> None:
    life = why(corpus, key(name), SELECTIONS)
    plain = json.loads(json.dumps(life.to_json(), allow_nan=False))
    assert set(plain) == {"kind", "id", "origin", "columns", "verdicts", "relations"}
    assert {cell["name"] for cell in plain["columns"]} == set(corpus.columns(f"{life.kind}s"))
    text = printed(life)
    assert key(name) in text and "\x1b" not in text and "\0" not in text
    for selection in SELECTIONS:
        assert selection in text
    if name == "Doc":
        assert "[red]not markup[/red]" in text and "2026-01-31" in text


def test_prefixes(corpus: Corpus, key: Callable[[object], str]) -> None:
    assert find(corpus, key("big")[:6].upper()) == ("image", key("big"))
    assert find(corpus, key("px")[:4]) == ("pair", key("px"))
    assert find(corpus, key("big") + "0" * 32) == ("image", key("big"))  # as sha256sum prints it
    with pytest.raises(UsageError, match="no image, pair or document"):
        find(corpus, "ffff")
    for wrong in ("abc", "", "zzzz", "a" * 33, "'; --"):
        with pytest.raises(UsageError, match="is no id"):
            find(corpus, wrong)


def test_what_was_taken_down_is_told_in_words(corpus: Corpus, key: Callable[[object], str]) -> None:
    stone = {"kind": "image", "value": key("big"), "reason": "asked by the author"}
    append_rows(corpus, "tombstones", [pa.RecordBatch.from_pylist([stone], schema=TABLES["tombstones"].schema)])
    told = printed(why(corpus, key("big"), SELECTIONS))
    assert "figures: taken down (asked by the author)" in told and "tombstone" not in told


def test_what_was_taken_down_and_purged_is_remembered(make_corpus: Callable[..., Corpus]) -> None:
    gone = "ab" * 16
    corpus = make_corpus(tombstones=[{"kind": "image", "value": gone, "reason": "asked by the author"}])
    with pytest.raises(UsageError, match=rf"the image {gone} was taken down \(asked by the author\) and removed"):
        find(corpus, gone[:8])


def test_ambiguous_prefixes_list_the_candidates(make_corpus: Callable[..., Corpus]) -> None:
    ids = ["abcd" + digit * 28 for digit in "0f"]
    corpus = make_corpus(
        images=[{"image_id": each, "bytes": b"x"} for each in ids], pairs=[{"pair_id": "abce" + "0" * 28}]
    )
    with pytest.raises(UsageError) as caught:
        find(corpus, "abcd")
    assert all(f"image {each}" in str(caught.value) for each in ids)
    assert find(corpus, "abcdf") == ("image", ids[1])


def test_a_corpus_before_any_stage(make_corpus: Callable[..., Corpus], key: Callable[[object], str]) -> None:
    rows: dict[str, Any] = {
        "images": [{"image_id": key("i"), "bytes": b"x"}],
        "documents": [{"document_id": key("d"), "nodes": [{"kind": "text"}]}],
        "pairs": [{"pair_id": key("p"), "document_id": key("d"), "image_ref": "https://x.org/i"}],
    }
    corpus = make_corpus(**rows)
    corpus_json = [why(corpus, key(name).ljust(32, "0")).to_json() for name in "idp"]
    assert [life["kind"] for life in corpus_json] == ["image", "document", "pair"]
    assert all(life["verdicts"] == life["relations"] == [] for life in corpus_json)
