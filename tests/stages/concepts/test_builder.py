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


def test_little_text_needs_less_evidence() -> None:
    texts = ["红色的狐狸在森林里", "一只狐狸", "森林公园", "看森林", "今天下雨"]
    found = built(Texts(texts), "unigrams", min_count=5)
    assert {"狐狸", "森林"} <= set(found)
    assert not {"下雨", "色的", "的狐", "林里"} & set(found)
    assert built(Texts(["fox in wood", "a fox", "wood", "see wood"]), "unigrams", min_count=5) == []


def test_one_text_is_enough_where_one_is_asked_for() -> None:
    assert built(Texts(["狐狸", None, ""]), "unigrams", min_count=1, min_pmi=30.0) == ["狐狸"]
    assert built(Texts(["狐狸"]), "unigrams", min_count=2, min_pmi=0.0) == []
    assert built(Texts([]), "unigrams", min_count=1) == []


def test_much_text_needs_the_least_count(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["红色的狐狸在森林里", "一只狐狸", "森林公园", "看森林", "今天下雨", "ネコ", "ネコ", "แมวดำ", "แมวขาว"]
    monkeypatch.setattr(builder, "LITTLE", 20)  # there are 31 syllables and 11 letters
    found = built(Texts(texts), "unigrams", min_count=3, min_pmi=2.0)
    assert "森林" in found and "狐狸" not in found
    assert "แมว" in found


def test_what_is_always_said_beside_a_word_does_not_stand_free() -> None:
    """Repeated texts are no evidence: three times the same neighbour is one neighbour."""
    texts = ["打开数据库窗口"] * 3 + ["数据库", "新数据库，旧窗口", "关上窗口"]
    found = built(Texts(texts), "unigrams")
    assert {"数据库", "窗口"} <= set(found)
    assert not {"数据", "据库", "库窗", "库窗口", "打开数", "开数据库"} & set(found)


def test_one_han_character_is_an_entry_where_it_stands_alone() -> None:
    texts = [
        "狗",
        "狗",
        "狗!",
        "热狗",
        "好的",
        "的",
        "我的",
        "你的",
        "他的",
        "谁的狗",
        "猫头鹰",
        "猫",
        "カ",
        "カ",
        "カ",
        "ก",
        "ก",
    ]
    texts += [
        f"{first}的{second}" for first, second in zip("天地玄黄宇宙洪荒日月", "盈昃辰宿列张寒来暑往", strict=True)
    ]
    texts += ["的"]  # twice alone now, but in far more cases not
    assert [entry for entry in built(Texts(texts), "unigrams") if len(entry) == 1] == ["狗"]


def test_text_that_stands_alone_needs_no_information() -> None:
    """Where all is about toolbars, no two characters are together more often than chance has it."""
    texts = ["1. 工具栏", "2. 工具栏", "左工具栏", "看工具栏", "3. 工具栏"]
    assert built(Texts(texts), "unigrams", min_pmi=30.0) == ["工具栏"]
    assert built(Texts([f"{sign}工具栏" for sign in "天地玄黄宇"]), "unigrams", min_pmi=30.0) == []


def test_words_of_thai_do_not_cut_vowels_and_katakana_runs_are_words() -> None:
    rng = random.Random(5)
    words = ["แมว", "โรงเรียน", "คอมพิวเตอร์", "ทะเล", "กระดาษ", "เสื้อ", "นาฬิกา", "มะม่วง", "ดอกไม้", "จักรยาน"]
    found = built(Texts(["".join(rng.choices(words, k=4)) for _ in range(200)]), "unigrams", min_pmi=5.0)
    assert len(set(words) & set(found)) >= 8
    assert not [entry for entry in found if entry[0] in "ะาๅ" or entry[-1] in "เแโใไ"]
    texts = ["ノートを見る", "ルートです", "赤いスカート", "デパート", "ソフトウェア", "ソフトと", "古いソフト"]
    katakana = built(Texts(texts), "unigrams", min_pmi=0.0)
    assert "ソフト" in katakana and not {"ート", "ソフ", "フト"} & set(katakana)


def test_most_texts_of_a_small_corpus_mention_an_entry() -> None:
    rng = random.Random(6)
    words = ["主窗口", "工具栏", "按钮", "图层", "文件", "菜单", "熊猫", "雪山", "湖泊", "书法", "地图", "桥梁"]
    texts = ["".join([rng.choice(words), rng.choice("的和在了"), rng.choice(words)]) for _ in range(22)]
    found = built(Texts(texts), "unigrams", min_count=5, min_pmi=5.0)
    assert sum(any(entry in text for entry in found) for text in texts) >= 20
    assert len(set(found) & set(words)) >= 0.6 * len(found)
    assert all(any(word in entry for word in words) for entry in found)  # the others are phrases: 书法的


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
