"""Perplexity under models of the corpus' own languages."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from memory_corpus import MemoryCorpus

from tuwen.stages.text.perplexity import Perplexity

WORDS = [
    "the",
    "old",
    "harbour",
    "bridge",
    "with",
    "boats",
    "near",
    "a",
    "quiet",
    "village",
    "under",
    "snow",
    "and",
    "light",
    "of",
    "evening",
    "sun",
]


def sentences(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(4, 9))) + f" {number}" for number in range(count)]


def table(rows: list[tuple[str | None, str | None, str | None]]) -> pa.Table:
    return pa.table(
        {
            name: pa.array(column, pa.string())
            for name, column in zip(("text", "language", "script"), zip(*rows, strict=True), strict=True)
        }
    )


def scored(stage: Perplexity, train: pa.Table, rows: pa.Table) -> list[dict[str, Any]]:
    state = stage.prepare(MemoryCorpus(pairs=train))  # type: ignore[arg-type]
    found: list[dict[str, Any]] = stage(rows.combine_chunks().to_batches()[0], state).to_pylist()
    return found


def test_shuffled_letters_surprise() -> None:
    texts = sentences(400)
    rng = random.Random(2)
    noise = ["".join(rng.sample(text, len(text))) for text in texts[:50]]
    train = table([(text, "en", "Latn") for text in texts])
    found = scored(Perplexity(min_characters=100), train, table([(text, "en", "Latn") for text in texts[:50] + noise]))
    good, bad = (sorted(row["perplexity"] for row in rows) for rows in (found[:50], found[50:]))
    assert good[-1] < bad[0]
    assert found[0]["perplexity_characters"] == len(texts[0])


def test_a_text_is_not_scored_by_what_learnt_it() -> None:
    """A text that stands in the corpus a hundred times over surprises as much as when it is not there."""
    texts, strange = sentences(300), "zqx jvk wpf zqx jvk wpf"
    rows = [(text, "en", "Latn") for text in texts]
    stage = Perplexity(min_characters=100)
    (without,) = scored(stage, table(rows), table([(strange, "en", "Latn")]))
    (known,) = scored(stage, table(rows + [(strange, "en", "Latn")] * 100), table([(strange, "en", "Latn")]))
    assert known == without


def test_small_languages_share_a_model_of_their_script() -> None:
    rows: list[Any] = [(text, "en", "Latn") for text in sentences(300)]
    rows += [("ein kleiner hafen", "de", "Latn"), ("图文语料", "zh", "Hans"), ("une ville", "fr", "Latn")]
    rows += [(f"une petite ville {number}", "fr", "Latn") for number in range(9)]
    state = Perplexity(min_characters=1_000).prepare(MemoryCorpus(pairs=table(rows)))  # type: ignore[arg-type]
    assert set(state["name"].to_pylist()) == {"en", "script:Latn", "script:Hans"}


def test_nulls() -> None:
    rows: list[Any] = [(None, "en", "Latn"), ("", "en", "Latn"), ("x", None, None), ("ไทย", "th", "Thai")]
    found = scored(Perplexity(), table([(text, "en", "Latn") for text in sentences(50)]), table(rows))
    assert all(set(row.values()) == {None} for row in found)


@pytest.mark.parametrize("budget", [50, 300, 2_000])
def test_a_sample_does_not_depend_on_the_order(budget: int) -> None:
    rows = [(text, "en", "Latn") for text in sentences(500)]
    stage = Perplexity(num_characters=budget)
    states = [stage.prepare(MemoryCorpus(pairs=table(order))) for order in (rows, rows[::-1])]  # type: ignore[arg-type]
    assert states[0].equals(states[1])
    assert max(states[0]["num_events"].to_pylist()) <= 2 * budget + 100


def test_parameters() -> None:
    with pytest.raises(ValueError, match="num_characters"):
        Perplexity(num_characters=0)
