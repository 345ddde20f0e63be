"""Lists of entries made from texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pyarrow as pa
import pytest

from tuwen.stages.concepts import builder
from tuwen.stages.concepts.builder import build_entries


class Texts:
    """A corpus of texts and titles."""

    def __init__(self, texts: Sequence[str | None], titles: Sequence[str | None] = ()) -> None:
        self._tables = {"pairs": pa.table({"text": pa.array(texts, pa.string())})}
        self._tables["documents"] = pa.table({"title": pa.array(titles, pa.string())})

    def scan(self, table: str, columns: Sequence[str]) -> pa.RecordBatchReader:
        return self._tables[table].select(list(columns)).to_reader(max_chunksize=7)


def built(corpus: Texts, *builders: str, min_count: int = 3, min_pmi: float = 3.0) -> list[str]:
    return build_entries(corpus, builders, min_count, min_pmi)  # type: ignore[arg-type]


def test_words_by_count() -> None:
    texts = ["The Fox", "the fox.", "THE cat", "a a a 12 12 12 12", None, "fox-glove"]
    assert built(Texts(texts), "unigrams") == ["fox", "the"]


def test_pairs_of_words_that_stand_together_more_than_chance() -> None:
    rng = random.Random(2)
    words = [f"w{chr(97 + number)}x" for number in range(20)]
    texts = [" ".join(rng.choices(words, k=12)) for _ in range(300)]
    texts += [f"{rng.choice(words)} hot air {rng.choice(words)} hot, air" for _ in range(20)]
    assert built(Texts(texts), "bigrams", min_count=15) == ["hot air"]
    assert built(Texts(texts), "bigrams", min_count=21) == []


def test_chinese_words_are_found_whole() -> None:
    rng = random.Random(3)
    words = ["图形用户界面", "文件", "窗口", "打开", "保存", "数据库", "工具栏"]
    filler = "的了在和是我有他这上"
    texts = []
    for _ in range(1_500):
        parts = [rng.choice(words) if rng.random() < 0.4 else rng.choice(filler) for _ in range(10)]
        texts.append("".join(parts))
    found = built(Texts(texts), "unigrams", min_count=20, min_pmi=4.5)
    assert set(words) <= set(found)
    assert not {"图形用", "户界面", "数据", "具栏"} & set(found)
    assert len(found) <= 2 * len(words)


def test_titles_without_the_name_of_the_site() -> None:
    titles = ["Red fox - Encyclopedia", "Red fox | Another", "红狐｜百科", None, "", "—", "12", "a b c d e f g h"]
    assert built(Texts([], titles), "titles") == ["Red fox", "红狐"]


@pytest.mark.parametrize("kinds", [("unigrams", "bigrams", "titles")])
def test_the_order_of_rows_makes_no_difference(kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    texts: list[str | None] = [
        "".join(rng.choices(["red ", "fox ", "狐狸", "的", "ที่", "art, "], k=8)) for _ in range(400)
    ]
    titles = ["Red Fox - x", "red fox - y", "狐狸 | z"]
    first = built(Texts(texts, titles), *kinds, min_pmi=0.1)
    assert first == built(Texts(texts[::-1], titles[::-1]), *kinds, min_pmi=0.1)
    monkeypatch.setattr(builder, "_BUFFER", 10)
    assert first == built(Texts(texts, titles), *kinds, min_pmi=0.1)


def test_too_many_candidates_raise_the_least_count(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["common word"] * 50 + [f"rare{chr(97 + n)} rare{chr(97 + n)}" for n in range(26) for _ in range(5)]
    assert len(built(Texts(texts), "unigrams")) == 28
    monkeypatch.setattr(builder, "MOST_CANDIDATES", 10)
    assert built(Texts(texts), "unigrams") == ["common", "word"]
