"""How well a text goes with the others of its language, by a character model of the corpus itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.models.characters import CharacterModel, normal
from tuwen.stages.lookup import keys_of

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

    Sample = dict[int, str]  # key of a text → the text

LONGEST = 1_000
_LISTS = {"keys": pa.uint32(), "counts": pa.uint32(), "followers": pa.uint16()}


@dataclass(frozen=True)
class Perplexity:
    """How surprising a text is to a model of its language that is trained on the corpus, character by character.

    `perplexity`             per character, the end of the text counted as one: 2 to about 10 for sentences in an
                             alphabet, some dozens to hundreds for Chinese, more for noise; compare within a language
                             only
    `perplexity_characters`  characters scored: the text's, at most 1,000
    `perplexity_spread`      standard deviation of the surprise over the characters, in bits: what tells generic text,
                             which is predictable throughout, from specific text of the same perplexity, whose names
                             stand out

    Null for texts without a visible character or a script, and where no model knows the script. The model is of
    `tuwen.models.characters`. A language with fewer than `min_characters` of distinct texts in the sample shares a
    model with the others like it in its script. Texts fall into two halves by their hash, and each is scored by the
    model of the other half, so that no text is expected because it was learnt; near-duplicates can lie in both halves.

    The state is the models: a seeded sample of at most `num_characters` a half and language, 10 bytes for each distinct
    sequence of up to five characters: 2 MB a half for an alphabet, at most 20 for Chinese. It is kept until --refit.
    POINTS keeps the fifth of texts with the lowest perplexity: https://arxiv.org/abs/2409.04828. **Differs from the
    paper:** an n-gram model of the corpus in place of a large language model (`text.lm_perplexity` has that).
    """

    table = "pairs"
    kind = "fitted"
    reads = ("text", "language", "script")
    surveys = ("pairs.text", "pairs.language", "pairs.script")
    writes = pa.schema(
        [("perplexity", pa.float32()), ("perplexity_characters", pa.int32()), ("perplexity_spread", pa.float32())]
    )

    num_characters: int = 400_000
    min_characters: int = 20_000

    def __post_init__(self) -> None:
        if self.num_characters < 1 or self.min_characters < 0:
            raise ValueError(f"num_characters must be at least 1 and min_characters at least 0, got {self}")

    def prepare(self, corpus: Corpus) -> pa.Table:
        halves = _sampled(corpus, self.num_characters)
        sizes: dict[str, int] = {}
        for (language, _, _), sample in halves.items():
            sizes[language] = sizes.get(language, 0) + _size(sample)
        pooled: dict[tuple[str, int], Sample] = {}
        for (language, script, half), sample in halves.items():
            name = language if sizes[language] >= self.min_characters and language != "und" else f"script:{script}"
            pooled.setdefault((name, half), {}).update(sample)
        rows = []
        for (name, half), sample in sorted(pooled.items()):
            model = CharacterModel.of(list(_cut(sample, self.num_characters).values()))
            numbers = {"num_events": model.num_events, "num_characters": model.num_characters}
            rows.append({"name": name, "half": half, **{part: getattr(model, part) for part in _LISTS}, **numbers})
        lists = [(part, pa.list_(kind)) for part, kind in _LISTS.items()]
        numbers_ = [("num_events", pa.int64()), ("num_characters", pa.int64())]
        return pa.Table.from_pylist(rows, pa.schema([("name", pa.string()), ("half", pa.int8()), *lists, *numbers_]))

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        texts = normal(batch["text"], LONGEST)
        keys = (keys_of(texts) & np.uint64(1)).tolist()
        names = zip(state["name"].to_pylist(), state["half"].to_pylist(), strict=True)
        places = {key: place for place, key in enumerate(names)}
        wanted: dict[int, dict[str, list[int]]] = {}  # model → text → rows
        rows = zip(texts.to_pylist(), keys, batch["language"].to_pylist(), batch["script"].to_pylist(), strict=True)
        for number, (text, key, language, script) in enumerate(rows):
            place = places.get((language, 1 - key), places.get((f"script:{script}", 1 - key)))
            if text and place is not None:
                wanted.setdefault(place, {}).setdefault(text, []).append(number)
        found: list[list[Any]] = [[None] * batch.num_rows for _ in self.writes]
        for place, numbers in wanted.items():
            for row, figures in zip(numbers.values(), _figures(_model(state, place), list(numbers)), strict=True):
                for number in row:
                    for column, figure in zip(found, figures, strict=True):
                        column[number] = figure
        return pa.record_batch(
            [pa.array(column, kind) for column, kind in zip(found, self.writes.types, strict=True)], schema=self.writes
        )


def _figures(model: CharacterModel, texts: list[str]) -> list[tuple[float, int, float]]:
    bits, rows = model.bits(texts)
    sizes = np.bincount(rows, minlength=len(texts))
    mean = np.bincount(rows, weights=bits, minlength=len(texts)) / sizes
    spread = (np.bincount(rows, weights=(bits - mean[rows]) ** 2, minlength=len(texts)) / sizes) ** 0.5
    return list(zip((2**mean).tolist(), (sizes - 1).tolist(), spread.tolist(), strict=True))


def _model(state: pa.Table, place: int) -> CharacterModel:
    row = state.slice(place, 1).combine_chunks()
    keys, counts, followers = (row[part].chunk(0).flatten().to_numpy() for part in _LISTS)
    return CharacterModel(keys, counts, followers, row["num_events"][0].as_py(), row["num_characters"][0].as_py())


def _sampled(corpus: Corpus, budget: int) -> dict[tuple[str, str, int], Sample]:
    """Distinct texts by (language, script, half): those of the lowest keys, whatever the order they come in."""
    samples: dict[tuple[str, str, int], Sample] = {}
    sizes: dict[tuple[str, str, int], int] = {}
    limits: dict[tuple[str, str, int], int] = {}  # keys from here on are beyond the budget
    for batch in corpus.scan("pairs", ["text", "language", "script"]):
        texts = normal(batch["text"], LONGEST)
        columns = [texts.to_pylist(), batch["language"].to_pylist(), batch["script"].to_pylist()]
        rows = zip(keys_of(texts).tolist(), *columns, strict=True)
        for key, text, language, script in rows:
            group = (language or "und", script or "Zzzz", key & 1)
            if not text or key >= limits.get(group, 1 << 64) or key in samples.setdefault(group, {}):
                continue
            samples[group][key] = text
            sizes[group] = sizes.get(group, 0) + len(text)
            if sizes[group] > 2 * budget:
                samples[group] = _cut(samples[group], budget)
                limits[group], sizes[group] = max(samples[group]) + 1, _size(samples[group])
    return samples


def _cut(sample: Sample, budget: int) -> Sample:
    """Texts of the lowest keys, until they have `budget` characters."""
    kept: Sample = {}
    size = 0
    for key in sorted(sample):
        if size >= budget:
            break
        kept[key] = sample[key]
        size += len(sample[key])
    return kept


def _size(sample: Sample) -> int:
    return sum(map(len, sample.values()))
