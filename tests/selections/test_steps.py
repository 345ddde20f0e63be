"""Every step by a table worked out by hand, and one conformance suite over all of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from tuwen import parts
from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError, UsageError
from tuwen.selections.ledger import judge, preview
from tuwen.selections.selection import PACKAGE, Selection, parse_selections
from tuwen.selections.steps import uniform

Rows = Sequence[Mapping[str, Any]]

# One use of every step: parameters, and what is promised of it.
#   seeded: another seed keeps other rows. grows: a growing corpus never brings back a refused row.
#   keeps all: the step only gives weights.
EXAMPLES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "rule": ({"where": "score > 0.3 and language <> 'de'"}, {"grows"}),
    "within": ({"selection": "wide"}, {"grows"}),
    "representative": ({"of": "cluster", "by": ["score desc"]}, {"grows"}),
    "best": ({"per": "image_id", "by": ["score desc"], "k": 2}, {"grows"}),
    "quota": ({"per": "language", "at_most": 7}, {"seeded", "grows"}),
    "balance": ({"of": "concepts", "t": 4}, {"seeded", "grows"}),
    "sample": ({"rows": 11}, {"seeded", "grows"}),
    "top": ({"by": ["score desc"], "share": 0.2, "per": "language"}, set()),
    "threshold": ({"of": "score", "at_least": "median", "per": "language", "min_rows": 5}, set()),
    "mixture": ({"of": "language", "shares": {"en": 2, "zh": 1}, "rows": 21}, {"seeded", "grows"}),
    "weight": ({"by": "case when score >= 0.3 then score when score is not null then 0 end"}, {"grows"}),
    "rehydrate": ({"size": "cluster", "filter": "wide", "min_rows": 5}, {"keeps all"}),
}


def table_rows(key: Callable[[object], str], num: int = 90) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Images and pairs with ties, skew and nulls everywhere."""
    rng = random.Random(3)
    images = [{"image_id": key(f"i{n}"), "bytes": b"x", "width": rng.choice([None, 10, 100])} for n in range(12)]
    pairs = [
        {
            "pair_id": key(f"p{n}"),
            "document_id": key("d"),
            "text": f"text {n}",
            "image_id": rng.choice([None, *(image["image_id"] for image in images)]),
            "score": rng.choice([None, 0.1, 0.3, 0.5, 0.9]),
            "language": rng.choice([None, "en", "en", "en", "en", "zh", "zh", "de"]),
            "cluster": rng.choice([None, 1, 1, 1, 2, 2, 3, 4, 5]),
            "concepts": rng.choice([None, [], ["cat"], ["cat"], ["cat", "dog"], ["rare"], ["dog", "dog"]]),
        }
        for n in range(num)
    ]
    return images, pairs


def example(name: str, **changed: Any) -> dict[str, Selection]:
    return parse_selections(
        {
            "wide": {"unit": "image", "steps": [{"rule": "width >= 64"}]},
            "judged": {"unit": "pair", "steps": [{name: {**EXAMPLES[name][0], **changed}}]},
        }
    )


def kept(corpus: Corpus, selections: dict[str, Selection]) -> set[str]:
    return set(judge(corpus, "judged", selections).kept().read_all()["id"].to_pylist())


def test_every_step_has_an_example() -> None:
    assert parts.names_in(PACKAGE) == sorted(EXAMPLES)


@pytest.fixture
def corpus(make_corpus: Callable[..., Corpus], key: Callable[[object], str]) -> Corpus:
    images, pairs = table_rows(key)
    return make_corpus(images=images, pairs=pairs)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_order_of_rows_and_fragments_do_not_matter(
    name: str,
    corpus: Corpus,
    make_corpus: Callable[..., Corpus],
    add: Callable[..., None],
    key: Callable[[object], str],
) -> None:
    images, pairs = table_rows(key)
    random.Random(1).shuffle(pairs)
    other = make_corpus(images=images[::-1], pairs=pairs[:40])
    add(other, "pairs", pairs[40:])
    selections = example(name)
    first, second = judge(corpus, "judged", selections), judge(other, "judged", selections)
    data = first.path.read_bytes()
    one, two = (pq.read_table(each.path).replace_schema_metadata() for each in (first, second))
    assert one == two  # the files bear fingerprints of what was judged, which differ
    if "keeps all" in EXAMPLES[name][1]:
        assert len(set(pq.read_table(first.path)["weight"].to_pylist())) > 1, "equal weights prove nothing"
    else:
        assert 0 < first.num_kept < first.num_rows, "an example that keeps all or nothing proves nothing"
    assert judge(corpus, "judged", selections).path.read_bytes() == data


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_counts_add_up_and_refusals_are_explained(name: str, corpus: Corpus) -> None:
    ledger = judge(corpus, "judged", example(name))
    (step,) = ledger.funnel()
    assert (step.step, step.judged) == (1, corpus.count("pairs"))
    assert step.judged == step.lost + step.left == ledger.num_rows
    assert step.left == ledger.num_kept == ledger.kept().read_all().num_rows
    assert sum(rule.lost for rule in step.rules) == step.lost
    assert preview(corpus, "judged", example(name)) == ledger.funnel()
    for row in ledger.rows(corpus.table("pairs", ["pair_id"])["pair_id"].to_pylist()).values():
        assert row.kept == (row.rule is None) == (row.value is None)
        if not row.kept:
            assert row.rule in {rule.rule for rule in step.rules} and row.value, "a refusal shows what it saw"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_steps_come_back_from_plain_values(name: str) -> None:
    selection = example(name)["judged"]
    assert Selection.from_mapping("judged", selection.to_mapping()) == selection
    named = Selection.from_mapping("x", {"unit": "pair", "steps": [{name: {**EXAMPLES[name][0], "name": "my step"}}]})
    assert [step.name for step in named.steps] == ["my step"]


@pytest.mark.parametrize("name", sorted(name for name, (_, promises) in EXAMPLES.items() if "seeded" in promises))
def test_the_seed_decides(name: str, corpus: Corpus) -> None:
    assert kept(corpus, example(name, seed=1)) == kept(corpus, example(name, seed=1))
    assert kept(corpus, example(name, seed=1)) != kept(corpus, example(name, seed=2))


@pytest.mark.parametrize("name", sorted(name for name, (_, promises) in EXAMPLES.items() if "grows" in promises))
def test_growth_brings_back_no_refused_row(
    name: str, corpus: Corpus, add: Callable[..., None], key: Callable[[object], str]
) -> None:
    before = kept(corpus, example(name))
    _, pairs = table_rows(key, 150)
    old, new = {row["pair_id"] for row in pairs[:90]}, pairs[90:]
    add(corpus, "pairs", new)
    assert kept(corpus, example(name)) & old <= before


def verdicts(corpus: Corpus, unit: str, *steps: Any) -> dict[str, Any]:
    """Readable id → None where kept, else the value that was refused."""
    selection = Selection.from_mapping("judged", {"unit": unit, "steps": list(steps)})
    ledger = judge(corpus, selection, {})
    table, column = (selection.table, f"{unit}_id")
    rows = ledger.rows(corpus.table(table, [column])[column].to_pylist())
    return {bytes.fromhex(each).rstrip(b"\0").decode(): row.value for each, row in rows.items()}


@pytest.fixture
def pairs(make_corpus: Callable[..., Corpus], key: Callable[[object], str]) -> Callable[..., Corpus]:
    """`pairs({"score": 0.5}, …)`: pairs named a, b, c, …"""

    def make(*rows: dict[str, Any]) -> Corpus:
        named = [{"pair_id": key(chr(97 + n)), "document_id": key("D"), **row} for n, row in enumerate(rows)]
        return make_corpus(pairs=named)

    return make


def test_rule(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(
        {"score": 0.3, "text": "ok"},
        {"score": 0.1, "text": "ok"},
        {"score": None, "text": "ok"},
        {"score": float("nan"), "text": "x" * 300},
    )
    found = verdicts(corpus, "pair", {"rule": "score >= 0.3 and length(text) < 300"})
    assert found["a"] is None, "a float32 that was written as 0.3 meets the threshold 0.3"
    assert found["b"] == {"score": 0.1} and found["c"] == {"score": None}
    assert found["d"] == {"text": "x" * 200 + "…"}
    assert verdicts(corpus, "pair", {"rule": "score < 0.2"})["d"] == {"score": "nan"}


def test_an_error_on_one_row_refuses_that_row(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs({"text": "9223372036854775807"}, {"text": "12"}, {"text": "many"})
    found = verdicts(corpus, "pair", {"rule": "text::bigint * 2 > 5"})
    assert found["b"] is None and set(found["a"]) == set(found["c"]) == {"text"}


def test_dates_are_in_utc(make_corpus: Callable[..., Corpus], key: Callable[[object], str], monkeypatch: Any) -> None:
    import datetime
    import time

    late = datetime.datetime(2020, 12, 31, 23, 30, tzinfo=datetime.UTC)
    corpus = make_corpus(documents=[{"document_id": key("d"), "captured_at": late}])
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        found = verdicts(corpus, "document", {"rule": "year(captured_at) = 2020 and captured_at < '2021-01-01'"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == {"d": None}


def test_representative(pairs: Callable[..., Corpus], key: Callable[[object], str]) -> None:
    corpus = pairs(
        {"cluster": 1, "score": 0.1},
        {"cluster": 1, "score": 0.9},
        {"cluster": 1, "score": 0.9},
        {"cluster": 2, "score": None},
        {"cluster": None, "score": 0.5},
    )
    found = verdicts(corpus, "pair", {"representative": {"of": "cluster", "by": ["score desc"]}})
    assert found["b"] is None and found["d"] is None
    assert found["a"] == found["c"] == {"cluster": 1, "representative": key("b")}
    assert found["e"] == {"cluster": None, "representative": None}
    assert verdicts(corpus, "pair", {"representative": "cluster"})["a"] is None, "without an order the first id stays"


def test_best(pairs: Callable[..., Corpus], key: Callable[[object], str]) -> None:
    image = key("image")
    corpus = pairs(
        {"image_id": image, "score": 0.5, "text": "long text"},
        {"image_id": image, "score": 0.5, "text": "longer text"},
        {"image_id": image, "score": None, "text": "not scored"},
        {"image_id": key("other"), "score": 0.1, "text": "only one"},
        {"image_id": None, "score": 0.9, "text": "no image"},
    )
    by = ["score desc", "length(text) desc"]
    found = verdicts(corpus, "pair", {"best": {"per": "image_id", "by": by}})
    assert found["b"] is None and found["d"] is None
    assert found["a"] == {"image_id": image, "rank": 2} and found["c"] == {"image_id": image, "rank": 3}
    assert found["e"] == {"image_id": None, "rank": None}
    assert verdicts(corpus, "pair", {"best": {"k": 2, "per": "image_id", "by": by}})["a"] is None


def test_quota(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"language": language, "score": n / 10} for n, language in enumerate(["en"] * 6 + ["zh", None])))
    found = verdicts(corpus, "pair", {"quota": {"per": "language", "at_most": 2, "by": ["score desc"]}})
    assert [name for name, value in sorted(found.items()) if value is None] == ["e", "f", "g"]
    assert found["a"] == {"language": "en", "rank": 6, "limit": 2}
    assert found["h"] == {"language": None, "rank": None, "limit": 2}
    share = verdicts(corpus, "pair", {"quota": {"per": "language", "share": 0.5}})
    assert sum(value is None for value in share.values()) == 5, "4 of 8 rows may be English, the Chinese one stays"


def test_balance_of_one_label(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"language": "en"} for _ in range(200)), {"language": "zh"}, {"language": None})
    selection = Selection.from_mapping("x", {"unit": "pair", "steps": [{"balance": {"of": "language", "t": 50}}]})
    ledger = judge(corpus, selection, {})
    assert 30 <= ledger.num_kept - 1 <= 75, "about 50 of 200, and the only Chinese one"
    refused = [
        row for row in ledger.rows(corpus.table("pairs", ["pair_id"])["pair_id"].to_pylist()).values() if not row.kept
    ]
    assert {row.value["num_rows"] for row in refused} == {200, None}
    keeping = {"balance": {"of": "language", "t": 200, "unlabelled": "keep"}}
    assert set(verdicts(corpus, "pair", keeping).values()) == {None}


def test_balance_of_many_labels(pairs: Callable[..., Corpus]) -> None:
    common = [{"concepts": ["common"]} for _ in range(100)]
    corpus = pairs(
        *common, {"concepts": ["common", "rare"]}, {"concepts": []}, {"concepts": None}, {"concepts": ["rare", "rare"]}
    )
    selection = Selection.from_mapping("x", {"unit": "pair", "steps": [{"balance": {"of": "concepts", "t": 3}}]})
    ledger = judge(corpus, selection, {})
    rows = corpus.table("pairs", ["pair_id", "concepts"]).to_pylist()
    by_id = {row["pair_id"]: row["concepts"] for row in rows}
    left = [by_id[each] for each in ledger.kept().read_all()["id"].to_pylist()]
    assert ["common", "rare"] in left and ["rare", "rare"] in left, "one hit keeps a row"
    assert 0 < left.count(["common"]) < 15 and [] not in left and None not in left


def weights(corpus: Corpus, *steps: Any, others: Mapping[str, Any] | None = None) -> dict[str, float | None]:
    """Readable id → sampling weight, null where refused."""
    selections = parse_selections({**(others or {}), "judged": {"unit": "pair", "steps": list(steps)}})
    rows = pq.read_table(judge(corpus, "judged", selections).path).to_pylist()
    return {bytes.fromhex(row["id"]).rstrip(b"\0").decode(): row["weight"] for row in rows}


def counts_kept(corpus: Corpus, column: str, *steps: Any) -> dict[Any, int]:
    ledger = judge(corpus, Selection.from_mapping("judged", {"unit": "pair", "steps": list(steps)}), {})
    values = {row["pair_id"]: row[column] for row in corpus.table("pairs", ["pair_id", column]).to_pylist()}
    found = [values[each] for each in ledger.kept().read_all()["id"].to_pylist()]
    return {value: found.count(value) for value in dict.fromkeys(found)}


def zipfian(language: str, most: int) -> list[dict[str, Any]]:
    """Concepts c1, c2, … with counts most, most / 2, most / 3, … down to 1, one row each."""
    return [
        {"language": language, "concepts": [f"c{rank}"]}
        for rank in range(1, most + 1)
        for _ in range(round(most / rank))
    ]


def tail_share(counts: Sequence[int], t: int) -> float:
    """The share of all matches that entries with fewer than t matches hold."""
    found = np.array(counts)
    return float(found[found < t].sum() / found.sum())


def limits(corpus: Corpus, step: Mapping[str, Any], concepts_of: str) -> set[int]:
    """Counts of concepts all of whose rows were kept, by brute force over the ledger."""
    ledger = judge(corpus, Selection.from_mapping("judged", {"unit": "pair", "steps": [{"balance": step}]}), {})
    left = set(ledger.kept().read_all()["id"].to_pylist())
    rows = corpus.table("pairs", ["pair_id", "language", "concepts"]).to_pylist()
    groups: dict[str, list[bool]] = {}
    for row in rows:
        if row["language"] == concepts_of:
            groups.setdefault(row["concepts"][0], []).append(row["pair_id"] in left)
    return {len(flags) for flags in groups.values() if all(flags)}


def test_balance_at_a_tail_share(pairs: Callable[..., Corpus]) -> None:
    rows = [*zipfian("en", 120), *zipfian("zh", 30)]
    corpus = pairs(*rows)
    counts = {
        language: [round(most / rank) for rank in range(1, most + 1)] for language, most in (("en", 120), ("zh", 30))
    }
    step = {"of": "concepts", "tail_share": 0.4, "per": "language"}
    for language, found in counts.items():
        t = max(count for count in found if tail_share(found, count) <= 0.4)
        kept_whole = limits(corpus, step, language)
        assert {count for count in found if count <= t} <= kept_whole, "the tail is kept whole"
        assert max(found) not in kept_whole, "the head is not"
    like = {"of": "concepts", "t": 12, "per": "language", "like": "en"}
    share = tail_share(counts["en"], 12)
    t = max(count for count in counts["zh"] if tail_share(counts["zh"], count) <= share)
    assert {count for count in counts["zh"] if count <= t} <= limits(corpus, like, "zh")
    assert t < 12, "a smaller language gets a smaller t"


def test_balance_counts_within_each_language(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"language": lang, "concepts": ["cat"]} for lang in ["en"] * 100 + ["zh"] * 5))
    kept = counts_kept(corpus, "language", {"balance": {"of": "concepts", "t": 5, "per": "language"}})
    assert kept["zh"] == 5 and kept["en"] < 20


@pytest.mark.parametrize("of", ["concepts", "language"])
def test_balance_tells_what_it_expects(of: str, pairs: Callable[..., Corpus]) -> None:
    rows = [{"concepts": ["a", "b"] if n % 3 else ["a"], "language": "en" if n % 4 else "zh"} for n in range(400)]
    corpus = pairs(*rows, {"concepts": [], "language": None})
    selection = Selection.from_mapping("x", {"unit": "pair", "steps": [{"balance": {"of": of, "t": 40}}]})
    (step,) = judge(corpus, selection, {}).funnel()
    numbers: dict[Any, int] = {}
    for row in rows:
        for label in row[of] if of == "concepts" else [row[of]]:
            numbers[label] = numbers.get(label, 0) + 1
    chances = []
    for row in rows:
        missed = 1.0
        for label in row[of] if of == "concepts" else [row[of]]:
            missed *= 1 - min(1, 40 / numbers[label])
        chances.append(1 - missed)
    assert step.expected == round(sum(chances))
    deviation = sum(chance * (1 - chance) for chance in chances) ** 0.5
    assert abs(step.left - step.expected) < 4 * deviation + 1


def test_top(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"score": score, "language": "en"} for score in (0.5, 0.1, None, 0.3)), {"score": 0.9})
    found = verdicts(corpus, "pair", {"top": {"by": "score", "share": 0.5, "per": "language"}})
    assert [name for name, value in sorted(found.items()) if value is None] == ["b", "d"]
    assert found["a"] == {"language": "en", "score": 0.5, "rank": 3, "limit": 2}
    assert found["c"]["rank"] is None and found["e"]["language"] is None
    assert verdicts(corpus, "pair", {"top": {"by": "score desc", "rows": 1}})["e"] is None


def test_not_a_number_is_not_computed_and_comes_last(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"score": score, "cluster": 1} for score in (float("nan"), 1.0, None, 2.0, float("inf"))))
    kept = {
        name for name, value in verdicts(corpus, "pair", {"top": {"by": "score desc", "rows": 2}}).items() if not value
    }
    assert kept == {"d", "e"}
    assert verdicts(corpus, "pair", {"top": {"by": "score", "share": 1}})["a"] is not None
    assert verdicts(corpus, "pair", {"best": {"per": "cluster", "by": ["score desc"]}})["e"] is None
    assert verdicts(corpus, "pair", {"representative": {"of": "cluster", "by": ["score desc"]}})["e"] is None


def test_balance_like_nobody_is_told(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"language": "en", "concepts": ["cat"]} for _ in range(9)))
    with pytest.raises(TuwenError, match="no row that reaches the step has language = english"):
        verdicts(corpus, "pair", {"balance": {"of": "concepts", "t": 3, "per": "language", "like": "english"}})


def test_threshold(pairs: Callable[..., Corpus]) -> None:
    scores = {"en": [0.1, 0.2, 0.3, 0.4, 0.5], "zh": [0.6, 0.7, 0.8, 0.9, 1.0], "th": [0.05]}
    rows = [{"language": language, "score": score} for language, found in scores.items() for score in found]
    corpus = pairs(*rows, {"language": "en", "score": None})
    step = {"threshold": {"of": "score", "at_least": "median", "per": "language", "min_rows": 5}}
    found = verdicts(corpus, "pair", step)
    assert [name for name, value in sorted(found.items()) if value is None] == ["c", "d", "e", "h", "i", "j"]
    assert found["k"]["at_least"] == pytest.approx(0.5), "one Thai row is held to the median of all"
    assert found["l"]["score"] is None
    spread = {"threshold": {"of": "score", "at_least": "mean - stddev", "at_most": "greatest(p90, 0.2)"}}
    values = np.float32([score for each in scores.values() for score in each]).astype(float)
    kept = [value for value in values if values.mean() - values.std() <= value <= np.quantile(values, 0.9)]
    assert sum(value is None for value in verdicts(corpus, "pair", spread).values()) == len(kept)


@pytest.mark.parametrize("step", [{"threshold": {"of": "text", "at_least": "p05"}}, {"weight": "text"}])
def test_what_asks_for_a_number_refuses_a_column_of_texts(pairs: Callable[..., Corpus], step: dict) -> None:
    corpus = pairs({"text": "a"}, {"text": "b"})
    with pytest.raises(UsageError, match=r"'text' holds VARCHAR.*asks for a number"):
        verdicts(corpus, "pair", step)


def test_a_threshold_that_the_data_make_impossible_is_told(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs({"score": 0.0}, {"score": 0.0})
    with pytest.raises(TuwenError, match=r"selection judged: .*[Oo]verflow"):
        verdicts(corpus, "pair", {"threshold": {"of": "score", "at_least": "count * 9223372036854775807"}})


def test_mixture(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({"language": lang} for lang in ["en"] * 60 + ["zh"] * 10 + ["de"] * 30 + [None] * 5))
    count = lambda **step: counts_kept(corpus, "language", {"mixture": {"of": "language", **step}})  # noqa: E731
    assert count() == {"en": 10, "zh": 10, "de": 10}
    assert count(shares={"en": 2, "zh": 1}) == {"en": 20, "zh": 10}
    assert count(shares={"en": 0.5, "zh": 0.25, "ja": 0.25}) == {"en": 20, "zh": 10}, "nothing there is no limit"
    assert count(shares={"en": 3, "de": 1}, rows=40) == {"en": 30, "de": 10}
    assert count(rows=60) == {"en": 20, "zh": 10, "de": 20}, "what a scarce value lacks is not made up for"
    assert count(shares={"fr": 1}) == {}
    numbers = pairs(*({"cluster": cluster} for cluster in (1, 1, 1, 2)))
    assert counts_kept(numbers, "cluster", {"mixture": {"of": "cluster", "shares": {1: 2, 2: 1}}}) == {1: 2, 2: 1}


def test_weights_multiply_and_reach_the_ledger(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs({"score": 0.5, "language": "en"}, {"score": 0.25, "language": "zh"}, {"score": None}, {"score": 0})
    steps = [{"weight": "score * 4"}, {"rule": "score > 0.1"}, {"weight": "if(language = 'en', 0.25, 1)"}]
    assert weights(corpus, *steps) == {"a": 0.5, "b": 1.0, "c": None, "d": None}
    assert weights(corpus, {"rule": "score is not null"}) == dict.fromkeys("abcd")
    assert weights(corpus, {"weight": 0.5})["c"] == 0.5
    for factor in ("1e200", "1e-200"):  # a product that is no weight any more
        assert weights(corpus, {"weight": factor}, {"weight": factor}) == dict.fromkeys("abcd")


def test_rehydrate(pairs: Callable[..., Corpus]) -> None:
    # Rows whose clusters have 1 row are bad in 5 of 10 cases, those with 2 in 2 of 10, those with 4 never.
    rows = [
        {"cluster": size, "score": 0.1 if n < bad else 0.9} for size, bad in ((1, 5), (2, 2), (4, 0)) for n in range(10)
    ]
    corpus = pairs(*rows, {"cluster": 9, "score": 0.9})
    good = {"good": {"unit": "pair", "steps": [{"rule": "score > 0.5"}]}}
    found = weights(corpus, {"rehydrate": {"size": "cluster", "filter": "good", "min_rows": 5}}, others=good)
    by_size: dict[int, set[float | None]] = {}
    for place, row in enumerate(rows):
        by_size.setdefault(row["cluster"], set()).add(found[chr(97 + place)])
    overall, rates = 7 / 31, {2: 0.2, 4: 0.0}
    expected = {size: 1 + 9 * (overall - rate) / overall for size, rate in rates.items()}
    assert {size: len(found) for size, found in by_size.items()} == {1: 1, 2: 1, 4: 1}
    assert [by_size[size].pop() for size in (1, 2, 4)] == pytest.approx([1.0, expected[2], 10.0])
    assert found[chr(97 + 30)] == 1.0, "one cluster of nine is too few to tell"
    broken = pairs({"score": float("inf")}, {"score": float("nan")}, {"score": None}, {"score": 2})
    step = {"rehydrate": {"size": "score", "filter": "good", "min_rows": 1}}
    told = weights(broken, step, others=good)
    assert [told[name] for name in "abc"] == [1.0, 1.0, 1.0], "one bad row stops nothing"


def test_sample(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs(*({} for _ in range(400)))
    names = lambda step: {name for name, value in verdicts(corpus, "pair", step).items() if value is None}  # noqa: E731
    half, third = names({"sample": {"share": 0.5}}), names({"sample": {"share": 0.3}})
    assert third < half and 150 < len(half) < 250
    assert len(names({"sample": {"rows": 17}})) == 17 and names({"sample": {"rows": 17}}) < half
    assert names({"sample": {"share": 1}}) == names({"sample": {"rows": 1000}}) and not names({"sample": {"rows": 0}})


def test_uniform_is_fixed_for_ever() -> None:
    drawn = int.from_bytes(hashlib.md5(b"7:abc").digest()[8:], "little") >> 11
    (row,) = duckdb.sql(f"SELECT {uniform(7, chr(39) + 'abc' + chr(39))}").fetchall()
    assert row == (drawn / 2**53,)


def test_windows_see_survivors_only(pairs: Callable[..., Corpus]) -> None:
    corpus = pairs({"cluster": 1, "score": 0.9}, {"cluster": 1, "score": 0.5}, {"cluster": 1, "score": 0.1})
    steps = [
        {"rule": "score < 0.8"},
        {"representative": {"of": "cluster", "by": ["score desc"]}},
        {"rule": "score > 0"},
    ]
    found = verdicts(corpus, "pair", *steps)
    assert found["b"] is None and found["a"] == {"score": 0.9} and found["c"]["cluster"] == 1


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ({"rule": "score >"}, "syntax error"),
        ({"rule": 3}, "where"),
        ({"best": {"per": "a", "by": ["b"], "k": 0}}, "k must be at least 1"),
        ({"best": {"per": "a", "by": []}}, "at least one order"),
        ({"quota": {"per": "a"}}, "either at_most or share"),
        ({"quota": {"per": "a", "at_most": 1, "share": 0.1}}, "either at_most or share"),
        ({"quota": {"per": "a", "share": 1.5}}, "(0, 1]"),
        ({"balance": {"of": "a", "t": 0}}, "at least 1"),
        ({"balance": {"of": "a", "t": 3, "unlabelled": "maybe"}}, "unlabelled"),
        ({"balance": {"of": "a"}}, "either t or tail_share"),
        ({"balance": {"of": "a", "t": 3, "tail_share": 0.1}}, "either t or tail_share"),
        ({"balance": {"of": "a", "tail_share": 0.1, "per": "b", "like": "en"}}, "needs per and t"),
        ({"top": {"by": "a"}}, "either share or rows"),
        ({"top": {"by": "a", "share": 0}}, "(0, 1]"),
        ({"threshold": {"of": "a"}}, "at_least, at_most"),
        ({"threshold": {"of": "a", "at_least": "medain"}}, "did you mean 'median'?"),
        ({"mixture": {"of": "a", "shares": {}}}, "at least one value"),
        ({"mixture": {"of": "a", "shares": {"b": -1}}}, "1e-9 to 1e9"),
        ({"mixture": {"of": "a", "shares": {"b": 1e308}}}, "1e-9 to 1e9"),
        ({"rehydrate": {"size": "a", "filter": "b", "most": 0.5}}, "at least 1"),
        ({"sample": {}}, "either share or rows"),
        ({"sample": {"share": 2}}, "[0, 1]"),
        ({"sampel": {"rows": 3}}, "did you mean 'sample'?"),
        ({"sample": {"row": 3}}, "did you mean 'rows'?"),
        ({"rule": "a", "best": {}}, "expected one"),
    ],
)
def test_wrong_parameters_are_named(step: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        Selection.from_mapping("x", {"unit": "pair", "steps": [step]})
    assert "selections.x.steps[0]" in str(caught.value) and named in str(caught.value)
