"""Near-duplicates among planted texts: against brute force, in large buckets, in any order."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from tuwen.stages.dedup import minhash
from tuwen.stages.dedup.clusters import columns_of
from tuwen.stages.dedup.minhash import MinHash, Texts, band_keys, candidates

WRITES = pa.schema([("cluster", pa.string()), ("cluster_size", pa.int32())])
CAPTIONS = MinHash(ngram=2, threshold=0.7, bands=20, rows=4, same_numbers=True)


def clusters(texts: list[str | None], method: MinHash = CAPTIONS, batch: int = 7) -> list[str | None]:
    ids = pa.array([f"{number:06d}" for number in range(len(texts))])
    values = pa.array(texts, pa.string())
    starts = range(0, len(texts), batch)
    state = method.state((ids[start : start + batch], values[start : start + batch]) for start in starts)
    return list(columns_of(state, ids, WRITES)["cluster"].to_pylist())


def words(text: str, ngram: int = 2) -> set[tuple[str, ...]]:
    tokens = text.split()
    return {tuple(tokens[start : start + ngram]) for start in range(max(len(tokens) - ngram + 1, 1))}


def together(first: str, second: str, method: MinHash = CAPTIONS) -> bool:
    found = clusters([first, second], method)
    return found[0] == found[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A red fox crossing a snowy field at dawn", "a red fox crossing a snowy field, at dawn!"),
        ("A red fox crossing a snowy field at dawn", "A red fox crossing a snowy field at dawn - Stock"),
        ("一只红色的狐狸在黎明时分穿过白雪覆盖的田野", "一只红色的狐狸，在黎明时分穿过白雪覆盖的田野上"),
        ("設定画面を開くと、次のように表示されます", "設定画面を開くと次のように表示されました"),
        ("แมวสีดำกำลังนอนหลับอยู่บนโซฟาสีแดง", "แมวสีดำกำลังนอนหลับอยู่บนโซฟาสีแดงค่ะ"),
        ("نافذة البرنامج الرئيسية مع شريط الأدوات وقائمة الملفات", "نافذة البرنامج الرئيسية مع شريط الأدوات وقائمة"),
    ],
)
def test_near_duplicates(first: str, second: str) -> None:
    assert together(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Figure 3.1", "Figure 3.2"),
        ("Screenshot of the settings on page 4 of the manual", "Screenshot of the settings on page 5 of the manual"),
        ("第四章 安装程序的主窗口和工具栏", "第五章 安装程序的主窗口和工具栏"),
        ("ภาพหน้าจอของการตั้งค่าในหน้า ๔ ของคู่มือ", "ภาพหน้าจอของการตั้งค่าในหน้า ๕ ของคู่มือ"),
        ("لقطة شاشة للإعدادات في الصفحة ٤ من الدليل", "لقطة شاشة للإعدادات في الصفحة ٥ من الدليل"),
        ("dog bites man", "man bites dog"),
        ("a photo of a cat", "a photo of a dog"),
        ("清晨时分一只红色的马安静地站在河流旁边", "清晨时分一只红色的猫安静地站在河流旁边"),
        ("静かな朝に駅のそばに立っている赤い犬の様子", "静かな朝に駅のそばに立っている赤い猫の様子"),
    ],
)
def test_hard_negatives(first: str, second: str) -> None:
    assert not together(first, second)


def test_numbers_may_differ_where_nobody_minds() -> None:
    texts = "Screenshot of all the settings on page 4", "Screenshot of all the settings on page 5"
    assert not together(*texts)
    assert together(*texts, MinHash(ngram=1, threshold=0.7, bands=20, rows=4, same_numbers=False))


def test_null_has_no_cluster_and_saying_nothing_is_no_likeness() -> None:
    assert clusters([None, "", "…", "a", "A", None]) == [None, "000001", "000002", "000003", "000003", None]
    assert clusters([]) == []


def planted(number: int) -> list[str]:
    chance = random.Random(3)
    vocabulary = [f"w{rank}" for rank in range(200)]
    texts = [" ".join(chance.choices(vocabulary, k=chance.randint(1, 14))) for _ in range(number)]
    for place in range(0, number, 3):
        tokens = texts[place].split()
        tokens.insert(chance.randrange(len(tokens) + 1), "new")
        texts.append(" ".join(tokens))
    return texts


def test_equal_to_brute_force_where_bands_miss_nothing() -> None:
    texts = planted(200)
    method = MinHash(ngram=2, threshold=0.6, bands=400, rows=2, same_numbers=False)  # a miss at .6: once in 10^77
    labels = list(range(len(texts)))
    for a, b in combinations(range(len(texts)), 2):
        first, second = words(texts[a]), words(texts[b])
        if len(first & second) / len(first | second) >= 0.6 and labels[a] != labels[b]:
            low, high = sorted((labels[a], labels[b]))
            labels = [low if label == high else label for label in labels]
    assert clusters(texts, method) == [f"{label:06d}" for label in labels]


def test_nothing_below_the_threshold_is_linked() -> None:
    texts = planted(300)
    found = clusters(texts)
    for name in set(found):
        members = [words(text) for text, cluster in zip(texts, found, strict=True) if cluster == name]
        if len(members) == 2:
            assert len(members[0] & members[1]) / len(members[0] | members[1]) >= 0.7
    assert len(set(found)) < 360


def test_order_and_batches_change_nothing() -> None:
    texts = planted(100)
    ids = pa.array([f"{number:06d}" for number in range(len(texts))])
    expected = CAPTIONS.state([(ids, pa.array(texts))])
    order = random.Random(1).sample(range(len(texts)), len(texts))
    turned = ids.take(pa.array(order)), pa.array(texts).take(pa.array(order))
    pieces = [(turned[0][start : start + 9], turned[1][start : start + 9]) for start in range(0, len(texts), 9)]
    assert CAPTIONS.state(pieces).equals(expected)


def test_a_large_bucket_keeps_its_groups() -> None:
    """One band of one minimum for a whole template: groups of three in a bucket of 600 are found all the same."""
    template = " ".join(f"t{number}" for number in range(10))
    texts = [
        f"{template} {' '.join(f'g{group}x{word}' for word in range(25))} v{variant}"
        for group in range(200)
        for variant in range(3)
    ]
    found = clusters(texts, MinHash(ngram=1, threshold=0.8, bands=8, rows=1, same_numbers=False))
    assert found == [f"{number - number % 3:06d}" for number in range(600)]


def test_work_in_a_bucket_grows_with_its_size_only() -> None:
    keys = np.zeros((3, 1_000), dtype=np.uint64)
    pairs = sum(len(left) for left, _ in candidates(keys, 0))
    assert pairs == sum(1_000 - distance for distance in range(1, minhash.WINDOW + 1))
    few = np.zeros((3, minhash.WINDOW), dtype=np.uint64)
    all_pairs = {frozenset(pair) for left, right in candidates(few, 1) for pair in zip(left, right, strict=True)}
    assert len(all_pairs) == minhash.WINDOW * (minhash.WINDOW - 1) // 2


def test_many_equal_texts_are_one_node() -> None:
    assert set(clusters(["the very same text"] * 5_000, batch=1_000)) == {"000000"}


def test_long_texts_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minhash, "MAX_SHINGLES", 256)
    chance = random.Random(5)
    base = [f"word{number}" for number in range(4_000)]
    method = MinHash(ngram=1, threshold=0.7, bands=40, rows=4, same_numbers=False)
    edited = [f"other{number}" if chance.random() < 0.1 else word for number, word in enumerate(base)]  # J = .82
    strange = [f"other{number}" if chance.random() < 0.3 else word for number, word in enumerate(base)]  # J = .54
    assert clusters([" ".join(text) for text in (base, edited, strange)], method) == ["000000", "000000", "000002"]


def test_the_rate_of_equal_bands_follows_the_similarity() -> None:
    chance = np.random.default_rng(0)
    sets = []
    for _ in range(400):
        drawn = chance.integers(0, 2**64, 30, dtype=np.uint64)
        sets += [np.sort(drawn[:25]), np.sort(drawn[5:])]  # 20 of 30 shared
    starts = np.concatenate([[0], np.cumsum([len(one) for one in sets])])
    keys = band_keys(np.concatenate(sets), starts, bands=50, rows=2)
    rate = (keys[:, ::2] == keys[:, 1::2]).mean()
    assert abs(rate - (20 / 30) ** 2) < 0.02


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ngram": 0}, "ngram is 0"),
        ({"bands": -1}, "bands is -1"),
        ({"rows": 0}, "rows is 0"),
        ({"bands": 5_000}, "bands \\* rows is 20000"),
        ({"threshold": 1.5}, "threshold is 1.5"),
    ],
)
def test_parameters_out_of_range_are_refused(changed: dict[str, float], message: str) -> None:
    values = {"ngram": 2, "threshold": 0.7, "bands": 20, "rows": 4, "same_numbers": True}
    with pytest.raises(ValueError, match=message):
        MinHash(**{**values, **changed})  # type: ignore[arg-type]


def test_jaccard_of_no_pairs() -> None:
    empty = np.zeros(0, dtype=np.int64)
    texts = Texts(
        np.zeros(0, np.uint64),
        np.zeros((1, 0), np.uint64),
        np.zeros(0, np.uint32),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint32),
    )
    assert texts.jaccard(empty, empty).tolist() == []
