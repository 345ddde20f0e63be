"""What a text is about, by the words of a list of categories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.stages.concepts.entries import digest_of, is_unicode, read_text, read_yaml
from tuwen.stages.concepts.matcher import Matcher, make_index
from tuwen.stages.concepts.tokens import UNSPACED, tokens_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIPPED = str(Path(__file__).with_name("categories.yaml"))
RULE = "a file of categories is YAML or JSON: category → list of words, or category → language → list of words"


@dataclass(frozen=True)
class Category:
    """Subject of a text: energy, expressions, industry, medicine, landscape, animals, news, flowers, education, art,
    people, science, sea, trees, cars, social, technology, sport or food.

    `category`  the category whose words weigh most; of equal ones the first of the list; null where the text has no
                word of any
    `category_confidence`  weight of its words / (1 + weight of all words found), above 0 and below 1, null as above:
                one word alone gives 0.5, three of one category 0.75, two that disagree 0.33. No calibrated
                probability (docs/quality.md has precision by threshold)

    A word that occurs counts once, and weighs as many tokens as it has (two characters of Chinese, Japanese or Thai
    are one), so that a longer name outweighs the words in it; one that stands in several categories is divided among
    them. How words are found: `concepts.match`; of a text, the first 2^20 characters take part here too. The shipped
    list is bilingual, English and Chinese in both scripts; for other languages and categories name a file:
    `categories`, YAML or JSON, {category: [word, …]} or {category: {language: [word, …]}}.
    `fold_chinese` takes traditional characters for simplified ones; it needs the extra `chinese`.

    Source: the strong tier of WuDaoMM, Yuan et al. 2022, https://arxiv.org/abs/2203.11480.
    **Differs from the paper:** there the sites' own sections are the categories; here words of the text are evidence.
    Eighteen of the nineteen are taken from its description, food is ours.
    """

    categories: str | None = None
    fold_chinese: bool = False

    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("category", pa.string()), ("category_confidence", pa.float32())])

    def __post_init__(self) -> None:
        if self.categories is not None and Path(self.categories).suffix.lower() not in (".yaml", ".yml", ".json"):
            raise ValueError(f"{self.categories}: {RULE}; rename the file or convert it")

    def model_hash(self) -> str:
        """Digest of the list."""
        return digest_of(self.categories or SHIPPED)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        words = _loaded(self.categories or SHIPPED, self.model_hash(), self.fold_chinese)
        rows, entries = words.matcher.mentions(batch["text"].to_pylist())
        totals = np.zeros((batch.num_rows, len(words.names)))
        np.add.at(totals, (rows, words.places[entries]), words.weights[entries])
        weight = totals.max(axis=1)
        nothing = weight == 0
        confidence = (weight / (1 + totals.sum(axis=1))).astype(np.float32)
        category = pa.array(words.names).take(pa.array(totals.argmax(axis=1), mask=nothing))
        return pa.record_batch([category, pa.array(confidence, mask=nothing)], schema=self.writes)


class _Words(NamedTuple):
    """Categories; for each row of the matcher's index which of them it speaks for, and the weight."""

    names: list[str]
    places: NDArray[np.int64]
    weights: NDArray[np.float64]
    matcher: Matcher


def read_categories(path: str) -> dict[str, list[str]]:
    """Category → its words, in the file's order. `UsageError` for a file that is missing or broken."""
    text = read_text(path)
    try:
        found: Any = json.loads(text) if path.endswith(".json") else read_yaml(path, text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}; {RULE}") from error
    if not isinstance(found, dict) or not found:
        raise UsageError(f"{path} holds no categories; {RULE}")
    categories: dict[str, list[str]] = {}
    for name, words in found.items():
        lists = list(words.values()) if isinstance(words, dict) else [words]
        if not lists or not all(isinstance(each, list) and all(isinstance(w, str) for w in each) for each in lists):
            raise UsageError(f"{path}, category {name!r}: no list of words; {RULE}")
        categories[name] = [word for each in lists for word in each]
        if not all(map(is_unicode, [name, *categories[name]])):
            raise UsageError(f"{path}, category {name!r}: a word holds half a surrogate pair; {RULE}")
    return categories


@lru_cache(maxsize=4)
def _loaded(path: str, digest: str, fold_chinese: bool) -> _Words:
    """The list of a file; `digest` is that of its content."""
    categories = read_categories(path)
    names = list(categories)
    index = make_index(categories.items(), names_match=False, fold_chinese=fold_chinese)
    ranked = index["name"].to_pylist()
    places = [names.index(ranked[concept]) if concept >= 0 else 0 for concept in index["concept"].to_pylist()]
    _, inverse, counts = np.unique(index["key"].to_numpy(), return_inverse=True, return_counts=True)
    weights = _sizes(index["pattern"].to_pylist()) / counts[inverse]
    return _Words(names, np.array(places, dtype=np.int64), weights, Matcher(index, fold_chinese=fold_chinese))


def _sizes(words: list[str]) -> NDArray[np.float64]:
    """Tokens of each word, END aside; a character of a script without spaces is half a one."""
    sizes = np.zeros(len(words))
    for tokens in tokens_of(words):
        np.add.at(sizes, tokens.rows, np.where(tokens.kinds == UNSPACED, 0.5, 1.0))
    return sizes - 1
