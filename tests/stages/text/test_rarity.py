"""Rarest words, counted by hand and by brute force."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pyarrow as pa
from memory_corpus import MemoryCorpus

from tuwen.stages.text.rarity import Rarity


def rarest(texts: list[str | None]) -> list[tuple[int | None, int | None]]:
    stage = Rarity()
    column = pa.array(texts, pa.string())
    state = stage.prepare(MemoryCorpus(pairs={"text": column})).read_all()  # type: ignore[arg-type]
    found = stage(pa.record_batch({"text": column}), state)
    return [(row["rarest_unigram_count"], row["rarest_bigram_count"]) for row in found.to_pylist()]


def test_by_hand() -> None:
    texts = ["A red fox", "a RED fox", "a red dog", "a red dog", "fox", "…", None]
    # Distinct texts: "a red dog" counts once. a 3, red 3, fox 3, dog 1; "a red" 3, "red fox" 2, "red dog" 1.
    assert rarest(texts) == [(3, 2), (3, 2), (1, 1), (1, 1), (3, None), (None, None), (None, None)]


def test_scripts() -> None:
    assert rarest(["图文语料", "图文", "语料"]) == [(2, 1), (2, 2), (2, 2)]
    assert rarest(["नमस्ते दुनिया", "दुनिया"]) == [(1, 1), (2, None)]
    assert rarest(["カテゴリー", "メニュー"])[0] == (1, 1)


def test_brute_force() -> None:
    rng = random.Random(5)
    words = [rng.choice("abcdefgh") + rng.choice("abc") for _ in range(40)]
    texts: list[str | None] = [" ".join(rng.choices(words, k=rng.randint(1, 6))) for _ in range(300)]
    unigrams: Counter[str] = Counter()
    bigrams: Counter[tuple[str, str]] = Counter()
    for text in set(texts):
        cut = (text or "").split()
        unigrams.update(set(cut))
        bigrams.update(set(pairwise(cut)))
    expected = []
    for text in texts:
        cut = (text or "").split()
        pairs = list(pairwise(cut))
        expected.append((min(unigrams[w] for w in cut), min((bigrams[p] for p in pairs), default=None)))
    assert rarest(texts) == expected
