"""Concept entries made from a corpus.

Texts are strung together from known words without a space: Chinese ones from the categories' lists, Thai ones from a
list of its own, drawn by Zipf's law, with function words between them; a tenth of the texts is one word alone. Entries
are made from them as `concepts.match` makes them by default. An entry is a word (function words included), a phrase
(several words, none of them cut) or a fragment (it cuts one of these words; many are words that the lists lack, such as
电站 of 水电站). A real corpus has many more words than these, each with less evidence, and the share of `min_pmi` that
letters need was chosen on the Thai ones, so that the figures compare versions and promise little.

Precision is the share of entries that are words; recall is that of the words which occur twice. The last column is the
share of texts that mention an entry.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import yaml

import tuwen
from tuwen.stages.concepts.builder import build_entries
from tuwen.stages.concepts.match import Match
from tuwen.stages.concepts.matcher import Matcher, make_index
from tuwen.stages.concepts.tokens import normalized

SIZES = (100, 1_000, 10_000)
THAI = (
    "แมว หมา ช้าง ม้า นก ปลา เสือ ลิง งู กบ ผีเสื้อ ดอกไม้ ต้นไม้ ภูเขา ทะเล แม่น้ำ น้ำตก ชายหาด เกาะ ป่า ท้องฟ้า "
    "พระอาทิตย์ ดวงจันทร์ ดาว เมฆ ฝน หิมะ บ้าน วัด โรงเรียน โรงพยาบาล โรงแรม ตลาด ร้านอาหาร ถนน สะพาน สถานี รถไฟ "
    "รถยนต์ เครื่องบิน จักรยาน เรือ คอมพิวเตอร์ โทรศัพท์ กล้อง หน้าต่าง เมนู ไฟล์ ข้อความ รูปภาพ ปุ่ม เครื่องมือ "
    "แผนที่ หนังสือ ปากกา กระดาษ โต๊ะ เก้าอี้ เตียง ประตู เสื้อ กางเกง รองเท้า หมวก แว่นตา นาฬิกา กระเป๋า ข้าว "
    "ก๋วยเตี๋ยว ผลไม้ มะม่วง กล้วย ส้ม กาแฟ ชา นม ไข่ ไก่ หมู ครู นักเรียน หมอ ตำรวจ เด็ก ผู้หญิง ผู้ชาย ครอบครัว "
    "เพื่อน ดนตรี กีฬา ฟุตบอล ว่ายน้ำ ภาพยนตร์ ศิลปะ เทศกาล กรุงเทพ เชียงใหม่ ประเทศไทย"
)
FUNCTION_WORDS = {
    "zh": ["的", "了", "在", "和", "是", "有", "与", "一个", "这", "那"],
    "th": ["ที่", "และ", "ใน", "ของ", "เป็น", "มี", "กับ", "การ", "นี้", "จาก"],
}

Table = tuple[str, list[str], list[list[str]]]


class Texts:
    """What the builder asks of a corpus."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = pa.table({"text": pa.array(texts, pa.string())})

    def scan(self, table: str, columns: Sequence[str]) -> pa.RecordBatchReader:
        return self._texts.select(list(columns)).to_reader()


def tables() -> list[Table]:
    """The tables of the page."""
    words = {"zh": _chinese(), "th": THAI.split()}
    rows = [_row(language, words[language], size) for language in words for size in SIZES]
    header = ["language", "texts", "entries", "words", "phrases", "fragments", "precision", "recall", "texts matched"]
    return [("Entries made from planted words:", header, rows)]


def _chinese() -> list[str]:
    file = Path(tuwen.__file__).parent / "stages" / "concepts" / "categories.yaml"
    lists = yaml.safe_load(file.read_text(encoding="utf-8")).values()
    return sorted({word for entry in lists for word in entry["zh"] if len(word) > 1})


def planted(language: str, words: Sequence[str], size: int) -> list[list[str]]:
    """Texts as lists of their words."""
    rng = random.Random(size)
    order = sorted(words)
    random.Random(language).shuffle(order)
    weights = [1 / rank for rank in range(1, len(order) + 1)]
    texts = []
    for _ in range(size):
        count = 1 if rng.random() < 0.1 else rng.randint(2, 5)
        text = []
        for word in rng.choices(order, weights, k=count):
            text += [word, rng.choice(FUNCTION_WORDS[language])] if rng.random() < 0.4 and count > 1 else [word]
        texts.append(text)
    return texts


def _row(language: str, words: Sequence[str], size: int) -> list[str]:
    texts = planted(language, words, size)
    written = ["".join(text) for text in texts]
    stage = Match()
    corpus = Texts(written)
    entries = build_entries(corpus, ("unigrams", "bigrams"), stage.min_count, stage.min_pmi)  # type: ignore[arg-type]
    own = {normalized(word) for word in words}
    known = own | {normalized(word) for word in FUNCTION_WORDS[language]}
    right = known & set(entries)
    phrases = sum(entry not in known and _is_phrase(entry, known) for entry in entries)
    counts = Counter(normalized(word) for text in texts for word in text)
    twice = {word for word in own if counts[word] > 1}
    matched = 0
    if entries:
        matcher = Matcher(make_index((entry, ()) for entry in entries))
        matched = sum(map(bool, matcher.concepts(written).to_pylist()))
    cells = [language, f"{size:,}", len(entries), len(right), phrases, len(entries) - len(right) - phrases]
    shares = [len(right) / max(1, len(entries)), len(right & twice) / len(twice), matched / size]
    return [*map(str, cells), *(f"{share:.2f}" for share in shares)]


def _is_phrase(entry: str, words: set[str]) -> bool:
    """Whether an entry is words in a row."""
    ends = {0}
    for end in range(1, len(entry) + 1):
        if any(start in ends and entry[start:end] in words for start in range(end)):
            ends.add(end)
    return len(entry) in ends
