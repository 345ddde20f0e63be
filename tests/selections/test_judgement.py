"""Judging needs little memory, however many rows and passes there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.selections.candidates import Candidates
from tuwen.selections.judgement import judgement
from tuwen.selections.selection import Selection

NUM_ROWS = 400_000
ROWS = f"""
    SELECT md5(i::VARCHAR) AS _id, NULL::VARCHAR AS _tombstone, (i % 90)::INTEGER AS num_characters,
    md5((i % {NUM_ROWS // 20 * 19})::VARCHAR) AS text, 'en' AS language FROM range({NUM_ROWS}) t(i)
"""
STEPS: list[object] = [
    {"rule": "num_characters >= 5"},
    {"best": {"k": 1, "per": ["text"], "by": ["num_characters desc"]}},
    {"balance": {"of": "language", "t": 1_000_000}},
    {"sample": {"share": 0.25}},
]


@pytest.mark.parametrize("steps", [STEPS[:1], STEPS], ids=["one pass", "several"])
def test_verdicts_are_sorted_in_less_memory_than_they_take(steps: list[object], tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    selection = Selection.from_mapping("kept", {"unit": "pair", "steps": steps})
    with corpus.connect("50MB") as connection:
        judged = judgement(connection, corpus, selection, Candidates(ROWS))
        lazily = dict(connection.sql(f"SELECT _failed, count(*) FROM ({judged.sql}) GROUP BY ALL").fetchall())
        verdicts = f"SELECT _id, _failed, _value, _weight FROM ({judged.settled(connection)}) ORDER BY _id"
        counts: dict[int | None, int] = {}
        last = ""
        for batch in connection.sql(verdicts).to_arrow_reader(100_000):
            ids = batch["_id"].to_pylist()
            assert last < ids[0] and ids == sorted(set(ids))
            last = ids[-1]
            for count in batch["_failed"].value_counts().to_pylist():
                counts[count["values"]] = counts.get(count["values"], 0) + count["counts"]
    assert counts == lazily
    assert sum(counts.values()) == NUM_ROWS
