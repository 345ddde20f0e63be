"""Scans say what DuckDB says of the whole table, and end when they are told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pytest
import vector_corpus

from tuwen.errors import UsageError
from tuwen.explorer import scan as scans
from tuwen.explorer import snapshot as snapshots
from tuwen.explorer.scan import Scan, Stop
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.view import Term, View
from tuwen.selections.ledger import Ledger

JOINED = """SELECT row_number() OVER () - 1 AS row, p.*, i.width AS "image.width", d.language AS "document.language"
    FROM (SELECT row_number() OVER () AS n, * FROM pairs) p
    LEFT JOIN images i USING (image_id) LEFT JOIN documents d USING (document_id) ORDER BY n"""


def rows_of(snapshot: Snapshot, view: View, **arguments: object) -> list[int]:
    return [row for chunk in Scan(snapshot, view, stop=Stop(60), **arguments) for row in chunk.rows.tolist()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rule",
    [
        "num_characters >= 20",
        "language = 'zh' and not looks_like_url",
        "text ilike '%face%' or text_source = 'caption'",
        '"image.width" >= 200',
        "\"document.language\" = 'en' and num_words < 4",
        "1 / (num_characters - 5) > 0",
        "position is null",
        "num_characters < 0",
    ],
)
def test_a_rule_keeps_the_rows_that_duckdb_keeps(looked: Snapshot, rule: str) -> None:
    corpus = looked.corpus
    with corpus.connect() as connection:
        connection.execute("SET threads = 1")
        for table in ("pairs", "images", "documents"):
            names = [name for name in corpus.columns(table) if name not in ("bytes", "nodes", "rights")]
            connection.register(table, corpus.table(table, names))
        condition = f"TRY(({rule})) IS TRUE"
        expected = [row for (row,) in connection.sql(f"SELECT row FROM ({JOINED}) WHERE {condition}").fetchall()]
    view = View(unit="pair", where=rule.replace('"', ""))
    assert rows_of(looked, view) == expected


@pytest.mark.parametrize("name", ["strong", "weak", "figures"])
def test_a_mask_says_what_the_ledger_says(looked: Snapshot, name: str) -> None:
    ledger = Ledger.open_or_judge(looked.corpus, name, looked.selections)
    unit, key = ledger.selection.unit, f"{ledger.selection.unit}_id"
    ids = looked.corpus.table(ledger.selection.table, [key])[key].to_pylist()
    told = ledger.rows(ids)
    kept = [row for row, id_ in enumerate(ids) if told[id_].kept]
    assert 0 < len(kept) < len(ids)
    assert rows_of(looked, View(unit=unit, terms=(Term(name),))) == kept
    assert rows_of(looked, View(unit=unit, terms=(Term(name, False),))) == sorted(set(range(len(ids))) - set(kept))
    step = next(row.step for row in told.values() if row.step)
    refused = [row for row, id_ in enumerate(ids) if told[id_].step == step]
    assert rows_of(looked, View(unit=unit, terms=(Term(name, False, step),))) == refused


def test_pairs_are_asked_what_was_said_of_their_image(looked: Snapshot) -> None:
    kept = set(rows_of(looked, View(unit="image", terms=(Term("figures"),))))
    expected = [row for row, image in enumerate(looked.link("image").tolist()) if image in kept]
    assert rows_of(looked, View(unit="pair", terms=(Term("figures"),))) == expected
    with pytest.raises(UsageError, match="judges pairs"):
        rows_of(looked, View(unit="image", terms=(Term("strong"),)))


def test_columns_belong_to_their_rows(looked: Snapshot) -> None:
    view = View(unit="pair", where="num_characters > 10", terms=(Term("strong"),))
    for chunk in Scan(looked, view, ["text", "image.width"], stop=Stop(60)):
        assert chunk.columns.equals(looked.take("pair", chunk.rows, ["text", "image.width"]))


def test_few_rows_are_taken_one_by_one_and_equal(looked: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(unit="pair", where="num_characters > 3", terms=(Term("strong", False, 2),))
    expected = rows_of(looked, view)
    monkeypatch.setattr(scans, "FEW", 1_000_000)
    assert rows_of(looked, view) == expected != []


def test_it_goes_on_where_it_is_told(looked: Snapshot) -> None:
    view = View(unit="pair", where="num_characters > 10")
    everything = rows_of(looked, view)
    assert rows_of(looked, view, first=2_000) == [row for row in everything if row >= 2_000]


def test_it_ends_when_nobody_waits(looked: Snapshot, stopped: Stop) -> None:
    scan = Scan(looked, View(unit="pair"), stop=stopped)
    assert list(scan) == [] and not scan.finished
    whole = Scan(looked, View(unit="pair"), stop=Stop(60))
    assert sum(len(chunk.rows) for chunk in whole) == whole.total and whole.finished


def test_whoever_is_late_comes_a_chunk_further(looked: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [(0, 100, []), (100, 100, []), (200, looked.num_rows("pair") - 200, [])]
    monkeypatch.setattr(looked, "chunks", lambda table: parts)
    for first, read in ((0, 100), (100, 200)):
        late = Scan(looked, View(unit="pair"), stop=Stop(-1), first=first)
        assert [chunk.read for chunk in late] == [read] and not late.finished


def test_time_counts_from_when_work_begins() -> None:
    stop = Stop(0.0)
    assert stop
    stop = Stop(5.0)
    stop._until = 0.0
    assert stop
    stop.begin()
    assert not stop
    stop.cancel()
    stop.begin()
    assert stop  # nobody waits, however late it is


def test_what_cannot_be_asked_is_told(looked: Snapshot) -> None:
    with pytest.raises(UsageError, match="no column 'colour'"):
        rows_of(looked, View(where="colour = 'red'"))
    with pytest.raises(UsageError, match="cannot be used"):
        rows_of(looked, View(where="list_contains(width, 1)"))


def test_rows_that_were_deleted_are_not_numbered(tmp_path: Path, look: object) -> None:
    vector_corpus.small_corpus(tmp_path / "corpus")
    dataset = lance.dataset(str(tmp_path / "corpus" / "pairs.lance"))
    dataset.delete(f"pair_id = '{vector_corpus.key('p2')}'")
    snapshot = look(tmp_path / "corpus").snapshot()  # type: ignore[operator]
    texts = snapshot.corpus.table("pairs", ["text"])["text"].to_pylist()
    view = View(unit="pair", where="language = 'zh'")
    chunks = list(Scan(snapshot, view, ["text"], stop=Stop(60)))
    rows = np.concatenate([chunk.rows for chunk in chunks])
    assert [texts[row] for row in rows] == ["一棵大树 in the garden"]
    assert snapshot.take("pair", rows, ["text"])["text"].to_pylist() == ["一棵大树 in the garden"]
    assert snapshot.rows_of("pair", [vector_corpus.key("p2")]).tolist() == [-1]


def test_columns_too_large_for_memory_are_read_by_row(
    demo_corpus: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Path], Explored]
) -> None:
    """The text of all documents, for instance, which a rule on pairs asks for."""
    view = View(unit="pair", where="image.width >= 100 and document.url like '%a%'")
    usual = look(demo_corpus).snapshot()
    expected = rows_of(usual, view)
    assert expected and usual._columns
    monkeypatch.setattr(snapshots, "LARGE_BYTES", 0)
    sparing = look(demo_corpus).snapshot()
    assert rows_of(sparing, view) == expected
    assert not sparing._columns
