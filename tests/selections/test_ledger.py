"""Ledgers: verdicts across units, takedowns, freshness, and what a kill may leave behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError, UsageError
from tuwen.selections.ledger import Ledger, funnel_json, judge, preview
from tuwen.selections.selection import Selection, parse_selections

FIGURES = {
    "unit": "image",
    "steps": [{"rule": "decode_error is null"}, {"rule": {"where": "width >= 64 and height >= 64", "name": "large"}}],
}
RECIPE: dict[str, Any] = {
    "figures": FIGURES,
    "strong": {
        "unit": "pair",
        "steps": [
            {"within": "figures"},
            {"rule": "text_source in ('alt', 'caption') and image.width >= 100 and document.url not like '%spam%'"},
            {"best": {"per": "image_id", "by": ["score desc"]}},
        ],
    },
    "interleaved": {"unit": "document", "images": "figures", "steps": [{"rule": "num_kept_images >= 2"}]},
    "talked_about": {"unit": "document", "steps": [{"within": "strong"}]},
    "captioned": {"unit": "image", "steps": [{"within": "strong"}]},
    "read": {"unit": "image", "steps": [{"within": "interleaved"}]},
    "by_page": {"unit": "pair", "steps": [{"within": "interleaved"}]},
    "with_figures": {"unit": "document", "steps": [{"within": "figures"}]},
}


def node(ref: str | None) -> dict[str, Any]:
    return {"kind": "image" if ref else "text", "image_ref": ref, "text": None if ref else "words", "region": "main"}


@pytest.fixture
def corpus(make_corpus: Callable[..., Corpus], key: Callable[[object], str]) -> Corpus:
    """Images a, c are large, b is small, d is broken, e stands in no document. D1 shows a, b, c; D2 shows c twice."""
    sizes = {"a": 100, "b": 10, "c": 200, "d": None, "e": 300}
    images = [
        {"image_id": key(n), "bytes": b"x", "width": w, "height": w, "decode_error": None if w else "truncated"}
        for n, w in sizes.items()
    ]
    shown = {"D1": ["a", None, "b", "c"], "D2": ["c", "c"], "D3": ["d", None], "D4": None}
    urls = {"D1": "https://x.org/1", "D2": "https://spam.example/2", "D3": "https://x.org/3", "D4": None}
    documents = [
        {
            "document_id": key(name),
            "url": urls[name],
            "nodes": [node(f"https://img.org/{each}" if each else None) for each in inside or []],
            "image_ids": [key(each) if each else None for each in inside] if inside is not None else None,
        }
        for name, inside in shown.items()
    ]
    listed = [
        ("p1", "D1", "a", "alt", 0.2),
        ("p2", "D1", "a", "caption", 0.7),
        ("p3", "D1", "b", "alt", 0.9),
        ("p4", "D2", "c", "alt", 0.9),
        ("p5", "D1", "c", "before", 0.9),
        ("p6", "D1", "c", "alt", 0.1),
        ("p7", "D3", "d", "alt", 0.5),
        ("p8", "D3", None, "alt", 0.5),
    ]
    pairs = [
        {
            "pair_id": key(pair),
            "document_id": key(document),
            "image_ref": f"https://img.org/{image}",
            "text": f"text of {pair}",
            "text_source": source,
            "image_id": key(image) if image else None,
            "score": score,
        }
        for pair, document, image, source, score in listed
    ]
    fetches = [
        {"fetch_id": key(f"f{n}"), "url": f"https://img.org/{n}", "image_id": key(n), "status": 200} for n in "abcd"
    ]
    return make_corpus(images=images, documents=documents, pairs=pairs, fetches=fetches)


SELECTIONS = parse_selections(RECIPE)


def named(ids: Any) -> list[str]:
    return [bytes.fromhex(each).rstrip(b"\0").decode() for each in ids]


def kept(corpus: Corpus, name: str) -> list[str]:
    return named(Ledger.open_or_judge(corpus, name, SELECTIONS).kept().read_all()["id"].to_pylist())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("figures", ["a", "c", "e"]),
        ("strong", ["p2", "p6"]),
        ("interleaved", ["D1"]),
        ("talked_about", ["D1"]),
        ("captioned", ["a", "c"]),
        ("read", ["a", "b", "c"]),
        ("by_page", ["p1", "p2", "p3", "p5", "p6"]),
        ("with_figures", ["D1", "D2"]),
    ],
)
def test_units_follow_each_other(corpus: Corpus, name: str, expected: list[str]) -> None:
    assert kept(corpus, name) == expected
    ledger = Ledger.open_or_judge(corpus, name, SELECTIONS)
    total = ledger.num_rows
    assert total == corpus.count(SELECTIONS[name].table)
    for step in ledger.funnel():
        assert step.judged == total == step.lost + step.left
        total = step.left
    assert total == ledger.num_kept == len(expected)
    assert preview(corpus, name, SELECTIONS) == ledger.funnel()


def test_the_first_refusal_has_rule_and_value(corpus: Corpus, key: Callable[[object], str]) -> None:
    strong = Ledger.open_or_judge(corpus, "strong", SELECTIONS)
    rows = {name: strong.row(key(name)) for name in ("p1", "p2", "p3", "p4", "p5", "p8")}
    assert (rows["p1"].step, rows["p1"].value) == (3, {"image_id": key("a"), "rank": 2})
    assert rows["p2"].kept and rows["p2"].rule is None
    assert (rows["p3"].step, rows["p3"].rule, rows["p3"].value) == (1, "within figures", {"within figures": False})
    assert (rows["p4"].rule, rows["p4"].value) == (
        "document.url not like '%spam%'",
        {"document.url": "https://spam.example/2"},
    )
    assert rows["p5"].value == {"text_source": "before"}
    assert rows["p8"].value == {"within figures": None}, "a pair without an image belongs to nothing"
    figures = Ledger.open_or_judge(corpus, "figures", SELECTIONS)
    assert (figures.row(key("b")).name, figures.row(key("b")).value) == ("large", {"width": 10})
    with pytest.raises(TuwenError, match="none of them"):
        figures.row(key("p1"))
    json.dumps(funnel_json(strong.funnel()), allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "value", "gone"),
    [
        ("image", "a", {"figures": ["a"], "strong": ["p1", "p2"], "interleaved": []}),
        ("url", "https://img.org/c", {"figures": ["c"], "strong": ["p4", "p5", "p6"], "interleaved": []}),
        ("url", "https://x.org/1", {"figures": [], "strong": ["p1", "p2", "p3", "p5", "p6"], "interleaved": ["D1"]}),
        ("domain", "example", {"figures": [], "strong": ["p4"], "interleaved": ["D2"]}),
        ("domain", "SPAM.example", {"figures": [], "strong": ["p4"], "interleaved": ["D2"]}),
        ("domain", "am.example", {"figures": [], "strong": [], "interleaved": []}),
        (
            "domain",
            "img.org",
            {"figures": ["a", "b", "c", "d"], "strong": [f"p{n}" for n in range(1, 9)], "interleaved": []},
        ),
    ],
)
def test_takedowns_come_first(
    corpus: Corpus,
    add: Callable[..., None],
    key: Callable[[object], str],
    kind: str,
    value: str,
    gone: dict[str, list[str]],
) -> None:
    before = Ledger.open_or_judge(corpus, "figures", SELECTIONS).fingerprint
    add(corpus, "tombstones", [{"kind": kind, "value": key(value) if kind == "image" else value, "reason": "asked to"}])
    for name, expected in gone.items():
        ledger = Ledger.open_or_judge(corpus, name, SELECTIONS)
        table = SELECTIONS[name].table
        rows = ledger.rows(corpus.table(table, [f"{SELECTIONS[name].unit}_id"])[0].to_pylist()).values()
        refused = sorted(row.id for row in rows if row.step == 0)
        assert named(refused) == expected, name
        assert all(row.value == {"tombstone": "asked to"} and row.name == "tombstone" for row in rows if row.step == 0)
        first = ledger.funnel()[0]
        assert (first.step, first.lost) == ((0, len(expected)) if expected else (1, first.lost))
        assert first.judged == ledger.num_rows
    assert Ledger.open_or_judge(corpus, "figures", SELECTIONS).fingerprint != before


def changed(**definitions: Any) -> dict[str, Selection]:
    return parse_selections({**RECIPE, **definitions})


def test_a_fresh_ledger_is_not_judged_again(corpus: Corpus) -> None:
    first = Ledger.open_or_judge(corpus, "strong", SELECTIONS)
    stamp = first.path.stat().st_mtime_ns
    assert Ledger.open_or_judge(corpus, "strong", SELECTIONS).path.stat().st_mtime_ns == stamp
    described = changed(strong={**RECIPE["strong"], "description": "words only"})
    assert Ledger.open_or_judge(corpus, "strong", described).path.stat().st_mtime_ns == stamp
    looser = changed(figures={"unit": "image", "steps": [{"rule": "decode_error is null"}]})
    assert Ledger.open_or_judge(corpus, "strong", looser).fingerprint != first.fingerprint, "it stands on figures"
    assert Ledger.open_or_judge(corpus, "strong", SELECTIONS).fingerprint == first.fingerprint


def test_what_is_stored_and_fresh_is_found_without_judging(corpus: Corpus) -> None:
    assert Ledger.stored(corpus, "strong", SELECTIONS) is None
    assert not list((corpus.path / "ledgers").glob("*"))
    judged = Ledger.open_or_judge(corpus, "strong", SELECTIONS)
    found = Ledger.stored(corpus, "strong", SELECTIONS)
    assert found is not None and found.fingerprint == judged.fingerprint
    looser = changed(figures={"unit": "image", "steps": [{"rule": "decode_error is null"}]})
    assert Ledger.stored(corpus, "strong", looser) is None, "it stands on figures, which nobody judged so"


def test_a_folder_for_reading_only_is_told(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(TuwenError, match="verdicts of figures cannot be written"):
        Ledger.open_or_judge(corpus, "figures", SELECTIONS)


def test_only_columns_that_are_read_make_stale(
    corpus: Corpus, add: Callable[..., None], key: Callable[[object], str]
) -> None:
    figures = Ledger.open_or_judge(corpus, "figures", SELECTIONS).fingerprint
    strong = Ledger.open_or_judge(corpus, "strong", SELECTIONS).fingerprint
    row = {"pair_id": key("p9"), "document_id": key("D1"), "image_id": key("e"), "text_source": "alt", "score": 0.5}
    add(corpus, "pairs", [row])
    assert Ledger.open_or_judge(corpus, "figures", SELECTIONS).fingerprint == figures
    assert Ledger.open_or_judge(corpus, "strong", SELECTIONS).fingerprint != strong
    assert Ledger.open_or_judge(corpus, "strong", SELECTIONS).num_rows == 9


@pytest.mark.parametrize("killed_after", ["nothing", "half a Parquet", "Parquet", "half a JSON"])
def test_what_a_kill_leaves_is_never_believed(corpus: Corpus, killed_after: str) -> None:
    strict = changed(figures={"unit": "image", "steps": [{"rule": "width >= 250"}]})
    path = Ledger.open_or_judge(corpus, "figures", SELECTIONS).path
    right, json_path = path.read_bytes(), path.with_suffix(".json")
    if killed_after != "nothing":  # a run with other thresholds got this far
        json_path.unlink()
    if killed_after == "half a Parquet":
        path.with_name(f".{path.name}.1").write_bytes(right[:100])
    if killed_after in ("Parquet", "half a JSON"):
        other = judge(corpus, "figures", strict).path.read_bytes()
        assert other != right
        half = json_path.read_text()[:40]
        json_path.unlink()
        if killed_after == "half a JSON":
            json_path.write_text(half)
    assert Ledger.open_or_judge(corpus, "figures", SELECTIONS).path.read_bytes() == right


def test_an_open_ledger_stays_whatever_is_judged_meanwhile(corpus: Corpus) -> None:
    opened = Ledger.open_or_judge(corpus, "strong", SELECTIONS)
    strict = changed(
        figures={"unit": "image", "steps": [{"rule": "width >= 250"}]},
        strong={"unit": "pair", "steps": [{"rule": "score > 0.8"}]},
    )
    assert named(judge(corpus, "strong", strict).kept().read_all()["id"].to_pylist()) == ["p3", "p4", "p5"]
    assert named(opened.kept().read_all()["id"].to_pylist()) == ["p2", "p6"]
    rows = duckdb.sql(f"SELECT id FROM {opened.file.sql} WHERE step IS NULL ORDER BY id").fetchall()
    assert named(row[0] for row in rows) == ["p2", "p6"]
    shutil.rmtree(corpus.path / "ledgers")  # as a purge does
    assert named(opened.kept().read_all()["id"].to_pylist()) == ["p2", "p6"]
    assert opened.funnel()[-1].left == 2 and opened.row(rows[0][0]).kept


@pytest.mark.parametrize("at", ["before the rows", "after the rows"])
def test_two_that_judge_at_once_get_their_own_rows(
    corpus: Corpus, at: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another process stores its ledger of the same name while this one stores its."""
    strict = changed(figures={"unit": "image", "steps": [{"rule": "width >= 250"}]})
    judge(corpus, "figures", strict)
    stored = corpus.path / "ledgers"
    shutil.copytree(stored, tmp_path / "other")
    shutil.rmtree(stored)

    def others(kind: str) -> None:
        (stored / f"other.{kind}").write_bytes((tmp_path / "other" / f"figures.{kind}").read_bytes())
        (stored / f"other.{kind}").replace(stored / f"figures.{kind}")

    def write_json(path: Path, value: object) -> None:
        if at == "after the rows":
            others("parquet")
            others("json")
        path.write_text(json.dumps(value))
        if at == "before the rows":
            others("parquet")

    monkeypatch.setattr("tuwen.selections.ledger.write_json", write_json)
    ours = judge(corpus, "figures", SELECTIONS)
    assert named(ours.kept().read_all()["id"].to_pylist()) == ["a", "c", "e"]
    assert Ledger.stored(corpus, "figures", SELECTIONS) is None, "rows and description of two judgements"
    monkeypatch.undo()
    assert kept(corpus, "figures") == ["a", "c", "e"]
    assert Ledger.stored(corpus, "figures", SELECTIONS) is not None


def test_a_ledger_of_an_older_tuwen_is_fresh(corpus: Corpus) -> None:
    path = Ledger.open_or_judge(corpus, "figures", SELECTIONS).path
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert Ledger.stored(corpus, "figures", SELECTIONS) is not None, "a folder for reading only may hold it"


def test_ledgers_that_nobody_holds_are_closed(corpus: Corpus) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        assert kept(corpus, "strong") == ["p2", "p6"]
        preview(corpus, "strong", SELECTIONS)
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["a?b", "[a]b", "a*b", "id=b"])
def test_the_name_of_a_corpus_is_no_pattern(corpus: Corpus, name: str, key: Callable[[object], str]) -> None:
    odd, plain = corpus.path.with_name(name), corpus.path.with_name("acb")
    shutil.copytree(corpus.path, odd)
    shutil.copytree(corpus.path, plain)
    everything = changed(figures={"unit": "image", "steps": [{"rule": "true"}]})
    Ledger.open_or_judge(Corpus.open(plain), "with_figures", everything)
    assert kept(Corpus.open(odd), "with_figures") == ["D1", "D2"]
    ledger = Ledger.open_or_judge(Corpus.open(odd), "figures", SELECTIONS)
    assert ledger.row(key("a")).kept


def test_previews_store_nothing(corpus: Corpus) -> None:
    figures = SELECTIONS["figures"]
    assert preview(corpus, figures, {})[-1].left == 3
    assert not list(corpus.folder("ledgers").iterdir())


def test_an_empty_corpus_and_an_empty_selection(make_corpus: Callable[..., Corpus], corpus: Corpus) -> None:
    empty = make_corpus()
    nothing = parse_selections({"all": {"unit": "image"}, "some": {"unit": "pair", "steps": [{"rule": "text <> ''"}]}})
    assert Ledger.open_or_judge(empty, "all", nothing).num_rows == 0
    assert [step.judged for step in Ledger.open_or_judge(empty, "some", nothing).funnel()] == [0]
    everything = Ledger.open_or_judge(corpus, "all", nothing)
    assert (everything.num_rows, everything.num_kept, everything.funnel()) == (5, 5, [])


@pytest.mark.parametrize(
    ("unit", "rule", "message"),
    [
        ("image", "widht > 3", "did you mean 'width'?"),
        ("pair", "image.widht > 3", "did you mean 'image.width'?"),
        ("image", "perceptual_hash is null", "add the stage image.perceptual_hash to the recipe"),
        ("pair", "image.perceptual_hash is null", "add the stage image.perceptual_hash to the recipe"),
        ("image", "document.url is null", "reads columns of images"),
        ("pair", "tag.url is null", "image.NAME and document.NAME"),
        ("image", "bytes is null", "image bytes"),
        ("pair", "text", "must be true or false"),
        ("pair", "text > 3", "text is VARCHAR"),
        ("image", "width > 'wide'", "Could not convert"),
        ("pair", "regexp_matches(text, '(')", "missing )"),
        ("pair", "current_date is null", "no column 'current_date'"),
        ("pair", "rowid > 0", "no column 'rowid'"),
        ("document", "num_kept_images > 0", "no column 'num_kept_images'"),
    ],
)
def test_rules_that_fit_no_corpus_are_named(corpus: Corpus, unit: str, rule: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        preview(corpus, Selection.from_mapping("tried", {"unit": unit, "steps": [{"rule": rule}]}), {})
    assert message in str(caught.value) and "tried" in str(caught.value)


def test_a_build_that_was_stopped_has_to_come_to_its_end(corpus: Corpus) -> None:
    (corpus.path / "recipe.json").write_text('{"stages": ["image.properties", {"image.perceptual_hash": {}}]}')
    for unit, name in (("image", "perceptual_hash"), ("pair", "image.perceptual_hash")):
        tried = Selection.from_mapping("tried", {"unit": unit, "steps": [{"rule": f"{name} is null"}]})
        with pytest.raises(
            UsageError, match=r"image\.perceptual_hash of the recipe has not run; run tuwen build to its"
        ):
            preview(corpus, tried, {})


def test_without_resolve_nothing_is_related(make_corpus: Callable[..., Corpus], key: Callable[[object], str]) -> None:
    bare = make_corpus(images=[{"image_id": key("a"), "bytes": b"x", "width": 1}], pairs=[{"pair_id": key("p")}])
    with pytest.raises(UsageError, match=r"add the stage pair\.resolve"):
        preview(bare, Selection.from_mapping("tried", {"unit": "pair", "steps": [{"rule": "image.width > 0"}]}), {})


def test_unknown_selections_are_named(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="did you mean 'strong'"):
        Ledger.open_or_judge(corpus, "stronk", SELECTIONS)
