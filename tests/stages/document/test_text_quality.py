"""Repetition and form, by hand and against a plain count."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from tuwen.corpus.tables import TABLES
from tuwen.stages.document.text_quality import TextQuality

NODES = TABLES["documents"].schema.field("nodes").type


def quality(*texts: str, language: str | None = "en", region: str = "main") -> dict[str, Any]:
    nodes = [{"kind": "text", "text": text, "region": region} for text in texts]
    return batch([nodes], [language])[0]


def batch(nodes: list[Any], languages: list[str | None]) -> list[dict[str, Any]]:
    columns = {"nodes": pa.array(nodes, NODES), "language": pa.array(languages, pa.string())}
    rows: list[dict[str, Any]] = TextQuality()(pa.record_batch(columns)).to_pylist()
    return rows


def test_lines() -> None:
    found = quality("The fox runs over the field at dawn.", "• Home\nHome", "Home", "Read more…", "# Title")
    assert (found["num_lines"], found["num_words"], found["num_stop_words"]) == (6, 14, 3)
    assert found["duplicate_line_share"] == pytest.approx(1 / 6)
    assert found["duplicate_line_character_share"] == pytest.approx(4 / (36 + 6 + 4 + 4 + 10 + 7))
    assert found["sentence_line_share"] == pytest.approx(2 / 6)
    assert found["short_line_share"] == pytest.approx(5 / 6)
    assert found["bullet_line_share"] == pytest.approx(1 / 6)
    assert found["ellipsis_line_share"] == pytest.approx(1 / 6)
    assert found["symbol_word_ratio"] == pytest.approx(2 / 14)
    assert found["line_word_ratio"] == pytest.approx(6 / 14)
    assert found["alphabetic_word_share"] == 1


def test_words() -> None:
    found = quality("2024 12 ab 图文")
    assert (found["alphabetic_word_share"], found["word_length_mean"]) == (pytest.approx(3 / 5), pytest.approx(10 / 5))


def test_repetition_by_hand() -> None:
    found = quality("aa bb cc aa bb dd")
    assert found["top_2gram_share"] == pytest.approx(8 / 12)
    assert found["top_3gram_share"] == 0
    assert found["duplicate_5gram_share"] == 0
    twice = quality("a b c d e", "a b c d e")
    assert twice["duplicate_5gram_share"] == 0.5
    assert twice["duplicate_6gram_share"] == 0
    assert quality("我们的图文语料我们的图文语料")["duplicate_7gram_share"] == 0.5


def test_only_the_main_region_counts() -> None:
    found = quality("Home Next", region="navigation")
    assert (found["num_lines"], found["line_word_ratio"], found["top_2gram_share"]) == (0, None, None)


def test_null_and_empty() -> None:
    rows = batch([None, [], [{"kind": "image", "region": "main"}]], ["en", "en", None])
    assert set(rows[0].values()) == {None}
    assert (rows[1]["num_words"], rows[1]["num_stop_words"], rows[1]["duplicate_line_share"]) == (0, 0, None)
    assert (rows[2]["num_words"], rows[2]["num_stop_words"]) == (0, None)


def test_against_a_plain_count() -> None:
    rng = random.Random(3)
    texts = [" ".join(rng.choice(["a", "bb", "ccc", "dddd"]) for _ in range(rng.randint(0, 60))) for _ in range(40)]
    nodes = [[{"kind": "text", "text": text, "region": "main"}] for text in texts]
    for text, found in zip(texts, batch(nodes, ["en"] * len(texts)), strict=True):
        words = text.split()
        total = sum(map(len, words))
        for size in range(2, 11):
            grams = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
            if size <= 4:
                counts = Counter(grams)
                most = max(counts.values(), default=0)
                best = max((len("".join(gram)) for gram, count in counts.items() if count == most), default=0)
                expected = best * most / total if most > 1 else 0
                name = f"top_{size}gram_share"
            elif size >= 5:
                inside = {
                    place
                    for start, gram in enumerate(grams)
                    if gram in grams[:start]
                    for place in range(start, start + size)
                }
                expected = sum(len(words[place]) for place in inside) / total if total else 0
                name = f"duplicate_{size}gram_share"
            assert found[name] == (pytest.approx(expected, abs=1e-6) if words else None)
