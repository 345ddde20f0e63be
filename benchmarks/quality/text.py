"""Personal data, flagged words, surprising and promotional texts.

Texts come from a frozen generator: planted data inside plain captions, and hard negatives beside them. `text.personal`
and
`text.flagged_words` say yes or no. The flagged words were drawn from the lists, so their recall says that matching
works, not that the lists are complete; that of phone numbers lacks bare national numbers, which have no form of their
own. For `text.perplexity` and `text.classifier`, the area under the ROC curve (AUC) is the chance that a bad text ranks
behind a good one; `text.classifier` learns from 150 of each kind and judges 300 of each whose templates it has not
seen. Captions of a generator are much more alike than those of the web, so these areas are upper bounds.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from tuwen.stages.text.classifier import Classifier
from tuwen.stages.text.flagged_words import FlaggedWords
from tuwen.stages.text.perplexity import Perplexity
from tuwen.stages.text.personal import Personal

PLACES = ["harbour", "bridge", "village", "market", "station", "museum", "garden", "castle", "library", "forest"]
SCENES = [
    "boats at dusk",
    "people in the rain",
    "a cat on the wall",
    "fresh snow",
    "two cyclists",
    "an old clock",
    "red roofs",
    "a stone arch",
]
ADJECTIVES = ["old", "quiet", "narrow", "wooden", "bright", "empty", "crowded", "modern", "small", "famous"]
SHORT = PLACES[:4]
ZH_PLACES = ["港口", "石桥", "村庄", "市场", "车站", "博物馆", "花园", "城堡", "图书馆", "森林"]
ZH_SCENES = ["黄昏的船", "雨中的行人", "墙上的猫", "新雪", "两个骑车人", "古老的钟", "红色屋顶", "石拱门"]

NEGATIVES = {
    "e-mail addresses": ["icon@2x.png", "git@host.org:a/b.git", "@someone", "user@example.com", "3 @ 5 euros"],
    "phone numbers": [
        "1999-2003",
        "ISBN 978-3-16-148410-0",
        "1920x1080",
        "10.1145/956750.956785",
        "2024-05-01 10:20:30",
    ],
    "IP addresses": ["version 10.12.14.16", "v93.184.216.34", "1.2.3.4", "192.168.1.10", "120.0.6099.109"],
    "card numbers": [
        "4111111111111112",
        "9783161484100",
        "1234 5678 9012 3456",
        "0000 0000 0000 0000",
        "20231231123456",
    ],
    "Chinese identity numbers": [
        "110105194912310021",
        "123456789012345678",
        "11010519491331002X",
        "990105194912310029",
    ],
}
COLUMNS = ("num_emails", "num_phones", "num_ip_addresses", "num_cards", "num_chinese_ids")
FLAGGED = {
    "adult": (
        ["free porn videos", "hot sex cams", "nude girls", "成人视频在线", "一夜情交友", "色情网站", "escort service"],
        [
            "sex education",
            "Scunthorpe United",
            "cocktail bar",
            "great tits",
            "黄色的花",
            "成人教育",
            "路口交通",
            "Ford Escort",
        ],
    ),
    "gambling": (
        [
            "best online casino",
            "slot machines with free spins",
            "sports betting tips",
            "澳门赌场",
            "百家乐技巧",
            "六合彩开奖",
        ],
        ["alphabet", "the better odds of rain", "文博彩陶展", "card game with friends", "彩票历史", "poker face"],
    ),
}


def caption(rng: random.Random, chinese: bool = False) -> str:
    if chinese:
        return f"{rng.choice(ZH_PLACES)}旁{rng.choice(ZH_SCENES)}，摄于{rng.randint(1950, 2020)}年"
    place, scene = rng.choice(PLACES), rng.choice(SCENES)
    return f"The {rng.choice(ADJECTIVES)} {place} with {scene}, {rng.choice(ADJECTIVES)} light"


def tables() -> list[tuple[str, list[str], list[list[str]]]]:
    """Four tables, one for each stage."""
    header = ["what", "texts with it", "hard negatives", "precision", "recall"]
    return [
        ("`text.personal`:", header, personal()),
        ("`text.flagged_words`:", header, flagged()),
        (
            "`text.perplexity`, against 500 captions as they are:",
            ["what was done to them", "language", "AUC"],
            perplexity(),
        ),
        ("`text.classifier`:", ["task", "AUC of new texts", "AUC of cross-validation"], classifier()),
    ]


def personal() -> list[list[str]]:
    rng = random.Random(11)

    def digits(count: int) -> str:
        return "".join(rng.choices("0123456789", k=count))

    def phone() -> str:
        chinese = rng.choice([f"1{rng.choice('3578')}{digits(9)}", f"电话 010-6{digits(7)}"])
        national = f"0171 {digits(7)}"  # has no form of its own
        return rng.choice([f"+49 30 {digits(7)}", f"(212) 555-{digits(4)}", chinese, national])

    def address() -> str:
        return f"{rng.randint(11, 99)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"

    made = {
        "e-mail addresses": lambda: (
            f"{rng.choice(PLACES)}.{rng.choice(SHORT)}{rng.randint(1, 99)}@{rng.choice(PLACES)}.org"
        ),
        "phone numbers": phone,
        "IP addresses": address,
        "card numbers": lambda: luhn(f"4{digits(14)}"),
        "Chinese identity numbers": lambda: identity(
            f"110105{rng.randint(1950, 2005)}0{rng.randint(1, 9)}1{digits(4)}"
        ),
    }
    rows = []
    for name, column in zip(made, COLUMNS, strict=True):
        good = [f"{caption(rng)}, {made[name]()}" for _ in range(200)]
        bad = [f"{caption(rng)}, {rng.choice(NEGATIVES[name])}" for _ in range(200)]
        hits = [row[column] > 0 for row in Personal()(pa.record_batch({"text": good + bad})).to_pylist()]
        rows.append(row_of(name, hits))
    return rows


def flagged() -> list[list[str]]:
    rng = random.Random(12)
    rows = []
    for name, (words, friends) in FLAGGED.items():
        good = [f"{caption(rng)} {rng.choice(words)}" for _ in range(200)]
        bad = [f"{caption(rng)} {rng.choice(friends)}" for _ in range(200)]
        found = FlaggedWords()(pa.record_batch({"text": good + bad}))["flagged"].to_pylist()
        rows.append(row_of(name, [name in lists for lists in found]))
    return rows


def row_of(name: str, hits: list[bool]) -> list[str]:
    """The first half has it."""
    half = len(hits) // 2
    right, wrong = sum(hits[:half]), sum(hits[half:])
    precision = f"{right / (right + wrong):.3f}" if right + wrong else "–"
    return [name, str(half), str(half), precision, f"{right / half:.3f}"]


def perplexity() -> list[list[str]]:
    rng = random.Random(13)
    rows = []
    for language, script in (("en", "Latn"), ("zh", "Hans")):
        good = list(dict.fromkeys(caption(rng, language == "zh") for _ in range(4_000)))
        state = Perplexity(min_characters=1_000).prepare(Texts(good, [language] * len(good), [script] * len(good)))
        changed = {
            "two letters exchanged": typo,
            "letters shuffled": shuffled,
            "words or characters in reverse": reversed_,
        }
        for name, change in changed.items():
            texts = [*good[:500], *(change(text, rng) for text in good[:500])]
            columns = {"text": texts, "language": [language] * len(texts), "script": [script] * len(texts)}
            found = Perplexity(min_characters=1_000)(pa.record_batch(columns), state)["perplexity"].to_numpy()
            rows.append([name, language, f"{auc(found[500:], found[:500]):.3f}"])
    return rows


def typo(text: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(text) - 2)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def shuffled(text: str, rng: random.Random) -> str:
    return "".join(rng.sample(text, len(text)))


def reversed_(text: str, rng: random.Random) -> str:
    return " ".join(text.split()[::-1]) if " " in text else text[::-1]


def classifier() -> list[list[str]]:
    rng = random.Random(14)
    offers = ["Buy {} now, {} % off", "Order your {} today and save {}", "Free shipping on every {}, only {} left",
              "{}限时特价{}元，点击购买", "{}全场包邮，优惠{}元"]  # fmt: skip
    new = ["Hot sale: {} from {} dollars, shop now", "Get {} discount code {} at checkout", "{}抢购中，立减{}元"]
    things = ["shoes", "phones", "watches", "lamps", "tickets", "bags", "手机", "鞋子", "灯具"]

    def offer(forms: list[str]) -> str:
        return rng.choice(forms).format(rng.choice(things), rng.randint(5, 95))

    learnt = [(caption(rng, n % 2 == 0), 1) for n in range(150)] + [(offer(offers), 0) for _ in range(150)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.jsonl"
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in learnt))
        stage = Classifier(labelled=str(path))
        state = stage.prepare(Texts([], [], []))  # type: ignore[arg-type]
        texts = [caption(rng, n % 2 == 0) for n in range(300)] + [offer(new) for _ in range(300)]
        scores = stage(pa.record_batch({"text": texts}), state)[0].to_numpy()
    return [["captions or offers", f"{auc(scores[:300], scores[300:]):.3f}", f"{state['auc'][0].as_py():.3f}"]]


class Texts:
    """What `prepare` sees of a corpus."""

    def __init__(self, *columns: list[str]) -> None:
        self.batch = pa.record_batch(
            [pa.array(column, pa.string()) for column in columns], ["text", "language", "script"]
        )

    def scan(self, table: str, columns: list[str]) -> pa.RecordBatchReader:
        chosen = self.batch.select(columns)
        return pa.RecordBatchReader.from_batches(chosen.schema, [chosen])


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Chance that one of `higher` is above one of `lower`; ties count half."""
    above = higher[:, None] - lower[None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def luhn(digits: str) -> str:
    total = sum(int(d) if n % 2 else 2 * int(d) - 9 * (int(d) > 4) for n, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def identity(digits: str) -> str:
    digits = digits[:17]
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 11]
