"""The mixture report against figures that were counted by hand."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tuwen.cli import main
from tuwen.corpus.columns import ColumnFile, ColumnWriter, TableState, commit_columns, declare_columns
from tuwen.corpus.corpus import Corpus, write_json
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.units import append_rows
from tuwen.engine.mixture import mixture
from tuwen.errors import UsageError

COLUMNS = {
    "pairs": {
        "image_id": pa.string(),
        "language": pa.string(),
        "editorial": pa.float32(),
        "num_words": pa.int32(),
        "text_cluster": pa.string(),
        "concepts": pa.list_(pa.string()),
    },
    "images": {"width": pa.int32(), "height": pa.int32(), "num_bytes": pa.int64(), "image_cluster": pa.string()},
}
STAGES = {"pairs": "pair.resolve", "images": "image.properties"}
# Source "a" and "b" share image 1; texts "A cat" and "a  CAT" are the same, and so is its composed accent below.
IMAGES = [
    ("1", "a", 100, "1"),
    ("2", "a", 300, "1"),
    ("3", "b", 500, "3"),
    ("4", "fetch", 700, "4"),
    ("5", "d", 900, "5"),
]
PAIRS = [
    # source, image, text, kind, language, editorial, cluster, concepts
    ("a", "1", "A cat", "alt", "en", 0.1, "p0", ["cat"]),
    ("a", "2", "a  cat\n", "alt", "en", 0.5, "p0", ["cat", "tree"]),
    ("a", "2", "图文", "caption", "zh", 0.9, "p2", []),
    ("b", "1", "A CAT", "title", "en", 0.2, "p0", ["cat"]),
    ("b", "3", "Café", "alt", "fr", None, "p4", ["coffee", "coffee"]),
    ("b", None, "", "alt", None, None, "p5", None),
    ("c", "4", "Cafe\u0301", "given", "fr", float("nan"), "p4", ["coffee"]),
]


def commit(corpus: Corpus, table: str, rows: list[dict[str, Any]]) -> None:
    schema = TABLES[table].schema
    append_rows(corpus, table, [pa.RecordBatch.from_pylist(rows, schema=schema)])
    if table not in COLUMNS:
        return
    extra = pa.schema(list(COLUMNS[table].items()))
    declare_columns(corpus, table, STAGES[table], extra)
    (fragment,) = TableState.read(corpus, table).fragments
    writer = ColumnWriter(corpus.path, table, STAGES[table], extra)
    writer.write(pa.RecordBatch.from_pylist([{name: row[name] for name in extra.names} for row in rows], schema=extra))
    commit_columns(
        corpus, table, [ColumnFile(fragment.id, STAGES[table], writer.close({"s": 1}), len(rows), fragment.base)]
    )


def make(path: Path) -> Corpus:
    corpus = Corpus.create(path)
    images = [
        {"image_id": digest(name), "bytes": None, "source": source, "width": width, "height": width // 2,
         "num_bytes": width, "image_cluster": digest(cluster)}
        for name, source, width, cluster in IMAGES
    ]  # fmt: skip
    commit(corpus, "images", images)
    pairs = [
        {"pair_id": digest(f"p{place}"), "document_id": digest(f"page of {source}") if source != "c" else None,
         "image_ref": f"https://{source}.test/{image}", "text": text, "text_source": kind, "source": source,
         "image_id": digest(image) if image else None, "language": language, "editorial": editorial, "num_words": 1,
         "text_cluster": digest(cluster), "concepts": concepts}
        for place, (source, image, text, kind, language, editorial, cluster, concepts) in enumerate(PAIRS)
    ]  # fmt: skip
    commit(corpus, "pairs", pairs)
    pages = [
        {"document_id": digest(f"page of {source}"), "url": f"https://{source}.test/", "source": source, "nodes": []}
        for source in ("a", "b", "d")
    ]
    commit(corpus, "documents", pages)
    fetched = {"fetch_id": digest("f"), "url": "https://b.test/2", "image_id": digest("2"), "source": "b"}
    commit(corpus, "fetches", [fetched])
    selections = {
        "english": {"unit": "pair", "steps": [{"rule": "language = 'en'"}]},
        "wide": {"unit": "image", "steps": [{"rule": "width >= 300"}]},
        "pages": {"unit": "document", "steps": [{"rule": "url <> 'https://a.test/'"}]},
    }
    write_json(path / "recipe.json", {"name": "mixed", "stages": list(STAGES.values()), "selections": selections})
    return corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(tmp_path_factory.mktemp("mixture") / "corpus")


def by_value(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["value"]: row for row in found["rows"] if row["num_values"] == 1}


def test_sizes_by_hand(corpus: Corpus) -> None:
    rows = by_value(mixture(corpus.path))
    assert list(rows) == ["a", "b", "c", "d"]  # most pairs first, then by name
    numbers = ("num_pairs", "num_documents", "num_images", "num_texts", "num_concepts", "num_bytes")
    assert [rows["a"][name] for name in numbers] == [3, 1, 2, 2, 2, 400]
    assert [rows["b"][name] for name in numbers] == [3, 1, 3, 2, 2, 900]  # image 2 was only fetched; "" is no text
    assert [rows["c"][name] for name in numbers] == [1, 0, 1, 1, 1, 700]  # brought by the fetcher, so no source's own
    assert [rows["d"][name] for name in numbers] == [0, 1, 1, 0, 0, 900]  # an image and a page without pairs
    assert rows["a"]["near_duplicate_images"] == 1 and rows["b"]["near_duplicate_images"] == 1
    assert rows["a"]["near_duplicate_pairs"] == 1 and rows["b"]["near_duplicate_pairs"] == 0
    assert rows["a"]["languages"] == [["en", 2], ["zh", 1]] and [None, 1] in rows["b"]["languages"]
    assert rows["a"]["text_sources"] == [["alt", 2], ["caption", 1]]


def test_what_is_shared_by_hand(corpus: Corpus) -> None:
    found = mixture(corpus.path)
    rows, shared = by_value(found), found["shared"]
    assert [line[:4] for line in shared["images"][:4]] == [[2, 2, 0, 0], [2, 3, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert [line[:3] for line in shared["image_clusters"][:3]] == [[1, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert [line[:3] for line in shared["texts"][:3]] == [[2, 1, 0], [1, 2, 1], [0, 1, 1]]
    assert [line[:3] for line in shared["text_clusters"][:3]] == [[2, 1, 0], [1, 3, 1], [0, 1, 1]]
    assert [line[:3] for line in shared["concepts"][:3]] == [[2, 1, 0], [1, 2, 1], [0, 1, 1]]
    assert [rows[name]["unique"]["concepts"] for name in "abc"] == [1, 0, 0]
    assert [rows[name]["unique"]["texts"] for name in "abc"] == [1, 0, 0]
    assert [rows[name]["unique"]["images"] for name in "abcd"] == [0, 1, 1, 1]
    assert found["shared_kept"] is None and rows["a"]["kept"] is None


def test_medians_are_the_lower_ones_of_fractions(corpus: Corpus) -> None:
    rows = by_value(mixture(corpus.path))
    assert set(rows["a"]["medians"]) == {"num_characters", "editorial", "image.width", "image.height"}
    assert rows["a"]["medians"] == {"num_characters": 5, "editorial": 0.5, "image.width": 100, "image.height": 50}
    assert rows["b"]["medians"]["editorial"] == pytest.approx(0.2)
    assert rows["c"]["medians"]["editorial"] is None  # not a number
    assert rows["d"]["medians"]["editorial"] is None and rows["d"]["medians"]["image.width"] == 900


@pytest.mark.parametrize(("selection", "pairs", "images", "shares"), [
    ("english", {"a": 2, "b": 1, "c": 0}, {"a": 2, "b": 1, "c": 0}, {"a": 2 / 3, "b": 1 / 3, "c": 0.0}),
    ("wide", {"a": 2, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 1, "d": 1}, {"a": 2 / 3, "b": 1 / 3, "c": 1.0, "d": None}),
    ("pages", {"a": 0, "b": 3, "c": 0}, {"a": 0, "b": 2, "c": 0}, {"a": 0.0, "b": 1.0, "c": 0.0, "d": None}),
])  # fmt: skip
def test_what_a_selection_keeps_of_each(corpus: Corpus, selection: str, pairs: Any, images: Any, shares: Any) -> None:
    found = mixture(corpus.path, selection=selection)
    rows = by_value(found)
    assert {name: rows[name]["kept"]["num_pairs"] for name in pairs} == pairs
    assert {name: rows[name]["kept"]["num_images"] for name in images} == images
    assert {name: rows[name]["share_kept"] for name in shares} == shares
    assert rows["a"]["num_pairs"] == 3 and found["shared_kept"] != found["shared"]
    if selection == "english":
        assert [line[:2] for line in found["shared_kept"]["texts"][:2]] == [[1, 1], [1, 1]]
        assert rows["a"]["kept"]["languages"] == [["en", 2]]
    if selection == "pages":
        assert rows["d"]["kept"]["num_documents"] == 1


def test_by_anything_with_the_rest_put_together(corpus: Corpus) -> None:
    found = mixture(corpus.path, "language", most_values=1)
    assert [(row["value"], row["num_values"], row["num_pairs"]) for row in found["rows"]] == [
        ("en", 1, 3), (None, 0, 1), (None, 2, 3)
    ]  # fmt: skip
    assert [row["num_texts"] for row in found["rows"]] == [1, 0, 2]  # Café is one text, however it is written
    hosts = by_value(mixture(corpus.path, "host"))
    assert list(hosts) == ["a.test", "b.test", "c.test"]
    documents = by_value(mixture(corpus.path, "document.url = 'https://a.test/'"))
    assert {name: row["num_pairs"] for name, row in documents.items()} == {"false": 3, "true": 3}
    assert by_value(mixture(corpus.path, "text_source"))["given"]["num_images"] == 1


def test_mistakes_say_what_to_do(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'language'"):
        mixture(corpus.path, "langauge")
    with pytest.raises(UsageError, match="nobody"):
        mixture(corpus.path, selection="nobody")
    with pytest.raises(UsageError, match="between 1 and 60"):
        mixture(corpus.path, most_values=61)
    Corpus.create(tmp_path / "empty")
    empty = mixture(tmp_path / "empty")
    assert [row["num_pairs"] for row in empty["rows"]] == [0, 0] and empty["shared"]["images"] == [[0, 0], [0, 0]]


def test_bits_of_many_groups_against_brute_force(tmp_path: Path) -> None:
    """Sixty groups and more, and what each two of them share."""
    random_ = random.Random(3)
    rows = [
        {"pair_id": digest(f"{n}"), "text": f"text {random_.randrange(40)}", "source": f"s{random_.randrange(70)}"}
        for n in range(600)
    ]
    corpus = Corpus.create(tmp_path / "corpus")
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist(rows, schema=TABLES["pairs"].schema)])
    found = mixture(corpus.path, most_values=60)
    sizes = Counter(row["source"] for row in rows)
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    assert [row["value"] for row in found["rows"][:60]] == names[:60] and found["rows"][61]["num_values"] == 10
    texts = [{row["text"] for row in rows if row["source"] == name} for name in names[:60]]
    texts += [set(), {row["text"] for row in rows if row["source"] in names[60:]}]
    assert found["shared"]["texts"] == [[len(a & b) for b in texts] for a in texts]
    for place, own in enumerate(texts):
        others = set().union(*texts[:place], *texts[place + 1 :])
        assert found["rows"][place]["unique"]["texts"] == len(own - others)


def test_on_a_terminal(corpus: Corpus, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["mixture", str(corpus.path), "--selection", "english"]) == 0
    out = capsys.readouterr().out
    for words in ("en 67 %, zh 33 %", "kept by english", "66.7 %", "near-duplicate images",
                  "texts: share also found in", "found only here", "documents: each is in one only",
                  "image.width"):  # fmt: skip
        assert words in out
    assert main(["mixture", str(corpus.path), "--by", "pair_id"]) == 0
    assert "most shared with" in capsys.readouterr().out


def test_json_is_documented(
    corpus: Corpus, capsys: pytest.CaptureFixture[str], documented: Callable[..., set[str]]
) -> None:
    assert main(["mixture", str(corpus.path), "--selection", "wide", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    section = documented("mixture")
    assert set(printed) <= section
    for row in printed["rows"]:
        assert set(row) <= section and set(row["kept"]) <= section
        assert set(row["unique"]) == set(printed["shared"]) <= section


@pytest.fixture
def documented() -> Callable[[str], set[str]]:
    import re

    def of(section: str) -> set[str]:
        page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
        (text,) = re.findall(rf"## tuwen {re.escape(section)}\n(.*?)(?=\n## |\Z)", page, re.S)
        return set(re.findall(r"`(\w+)`", text))

    return of
