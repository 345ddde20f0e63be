"""Near-duplicates: texts, documents and images.

Texts of random words are paired with edited copies of known Jaccard similarity, counted shingle by shingle; "theory" is
1 - (1 - s^rows)^bands. Captions in five languages have copies that a reader would call the same, and hard negatives.
Images are those of the demo's pages, each with a smaller copy, a strongly compressed one, a cropped and a gray one.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecordType
from PIL import Image

from tuwen.stages.dedup.clusters import columns_of
from tuwen.stages.dedup.documents import Documents
from tuwen.stages.dedup.images import Images
from tuwen.stages.dedup.minhash import MinHash
from tuwen.stages.dedup.text import Text
from tuwen.stages.image.perceptual_hash import perceptual_hashes
from tuwen.stages.image.pixels import decode

Table = tuple[str, list[str], list[list[str]]]
BINS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
PER_BIN = 100
WARC = Path(__file__).parents[2] / "tuwen" / "demo" / "docs-crawl.warc.gz"
TEXT, DOCUMENT = MinHash(**asdict(Text())), MinHash(**asdict(Documents()))

# One sentence per language: places for an adjective, a noun and a place; a remark; what numbers stand behind.
LANGUAGES = {
    "en": (
        "A {a} {n} standing beside the {p} on a quiet morning",
        "red small old white happy tired",
        "horse dog car bicycle woman bus tree boat cat lamp",
        "river station church market bridge school",
        " - stock photo",
        "Figure {} of the manual, the main window",
        "Figure {} of the manual",
    ),
    "zh": (
        "清晨时分一只{a}的{n}安静地站在{p}旁边",
        "红色 小小 古老 白色 快乐 疲惫",
        "马 小狗 汽车 自行车 女人 公交车 大树 小船 猫 路灯",
        "河流 车站 教堂 市场 大桥 学校",
        "图片",
        "用户手册第{}页上的主窗口和工具栏",
        "手册第{}章",
    ),
    "ja": (
        "静かな朝に{p}のそばに立っている{a}{n}の様子",
        "赤い 小さい 古い 白い 楽しい 疲れた",
        "馬 犬 車 自転車 女性 バス 木 船 猫 ランプ",
        "川 駅 教会 市場 橋 学校",
        "の写真",
        "マニュアルの{}ページにあるメイン画面とツールバー",
        "説明書の第{}章",
    ),
    "th": (
        "{n}{a}ยืนอยู่ข้าง{p}ในเช้าวันที่เงียบสงบ",
        "สีแดง ตัวเล็ก เก่าแก่ สีขาว ร่าเริง เหนื่อยล้า",
        "ม้า สุนัข รถยนต์ จักรยาน ผู้หญิง รถเมล์ ต้นไม้ เรือ แมว โคมไฟ",
        "แม่น้ำ สถานี โบสถ์ ตลาด สะพาน โรงเรียน",
        "ภาพ",
        "หน้าต่างหลักและแถบเครื่องมือในคู่มือหน้า {}",
        "คู่มือบทที่ {}",
    ),
    "ar": (
        "{n} {a} يقف بجانب {p} في صباح هادئ من أيام الربيع",
        "أحمر صغير قديم أبيض سعيد متعب",
        "حصان كلب قطار زورق رجل باص قط مصباح ولد طائر",
        "النهر المحطة الكنيسة السوق الجسر المدرسة",
        " - صورة",
        "النافذة الرئيسية وشريط الأدوات في الصفحة {} من الدليل",
        "الفصل {} من الدليل",
    ),
}


def tables() -> list[Table]:
    """Recall by similarity, captions in five languages, images."""
    return [by_similarity(), *captions(), images()]


def linked(pairs: Sequence[tuple[str, str]], method: MinHash) -> list[bool]:
    """Whether each pair ends in one cluster; all pairs are searched at once."""
    texts = [text for pair in pairs for text in pair]
    cluster = clustered(texts, method)
    return [cluster[place] == cluster[place + 1] for place in range(0, len(texts), 2)]


def clustered(texts: Sequence[str], method: MinHash) -> list[str]:
    ids = pa.array([f"{number:08d}" for number in range(len(texts))])
    state = method.state([(ids, pa.array(texts))])
    found: list[str] = columns_of(state, ids, Text.writes)["text_cluster"].to_pylist()
    return found


def by_similarity() -> Table:
    """Found of the pairs in each bin of similarity, before and after verification."""
    header = ["Jaccard", "pairs", "`dedup.text`: theory", "share a band", "are clustered"]
    header += ["`dedup.documents`: theory", "share a band", "are clustered"]
    rows = [[f"{low:.2f}–{low + 0.05:.2f}", str(PER_BIN)] for low in BINS]
    for method, lengths in ((TEXT, (8, 100)), (DOCUMENT, (40, 200))):
        binned = edited(method.ngram, lengths)
        for row, found in zip(rows, binned, strict=True):
            pairs = [pair for pair, _ in found]
            theory = np.mean([1 - (1 - s**method.rows) ** method.bands for _, s in found])
            shares = linked(pairs, replace(method, threshold=0.0))
            row += [f"{theory:.3f}", f"{np.mean(shares):.3f}", f"{np.mean(linked(pairs, method)):.3f}"]
    return "Pairs found by their similarity; verification keeps those of .7 and more:", header, rows


def edited(ngram: int, lengths: tuple[int, int]) -> list[list[tuple[tuple[str, str], float]]]:
    """`PER_BIN` texts with edited copies for each bin, and their exact similarities."""
    chance = random.Random(ngram)
    binned: list[list[tuple[tuple[str, str], float]]] = [[] for _ in BINS]
    number = 0
    while open_bins := [low for low, found in zip(BINS, binned, strict=True) if len(found) < PER_BIN]:
        number += 1
        words = [spelt(number, place) for place in range(chance.randint(*lengths))]
        aim = chance.choice(open_bins) + 0.05 * chance.random()
        copy = list(words)
        for place in chance.sample(range(len(words)), round(len(words) * (1 - aim) / (ngram * (1 + aim))) or 1):
            copy[place] = spelt(number, place) + "new"
        if chance.random() < 0.5:
            copy.append(spelt(number, 0) + "more")
        sets = [{tuple(one[at : at + ngram]) for at in range(max(len(one) - ngram + 1, 1))} for one in (words, copy)]
        similarity = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        place = int(np.searchsorted(BINS, similarity, "right")) - 1
        if place >= 0 and similarity < 1 and len(binned[place]) < PER_BIN:
            binned[place].append(((" ".join(words), " ".join(copy)), similarity))
    return binned


def spelt(number: int, place: int) -> str:
    """A word of its own, without digits."""
    return f"{number}x{place}".translate(str.maketrans("0123456789", "abcdefghij"))


def captions() -> Iterator[Table]:
    """How many copies and hard negatives are clustered, and what becomes of a corpus of one template."""
    kinds: dict[str, Callable[[str, random.Random], list[tuple[str, str]]]] = {
        "the same: case, punctuation, width": dressed,
        "the same: a remark added": remarked,
        "the same: cut off after nine tenths": cut,
        "**not**: one noun differs": other_noun,
        "**not**: numbers differ": other_number,
        "**not**: a letter or Roman numeral differs": other_letter,
    }
    rows = []
    for kind, make in kinds.items():
        shares = []
        for language in LANGUAGES:
            pairs = make(language, random.Random(kind + language))
            shares.append(sum(linked([pair], TEXT)[0] for pair in pairs) / len(pairs))
        rows.append([kind, *(f"{share:.2f}" for share in shares)])
    yield "Share of the pairs of captions that `dedup.text` clusters:", ["copy", *LANGUAGES], rows
    rows = []
    for language in LANGUAGES:
        texts = every(language)
        sizes = Counter(clustered(texts, TEXT)).values()
        rows.append([language, str(len(texts)), str(len(sizes)), str(max(sizes))])
    caption = "One template with every adjective, noun and place, all different; what chains of small steps lead to:"
    yield caption, ["language", "captions", "clusters", "largest"], rows


def every(language: str) -> list[str]:
    template, adjectives, nouns, places, *_ = LANGUAGES[language]
    return [template.format(a=a, n=n, p=p) for a in adjectives.split() for n in nouns.split() for p in places.split()]


def dressed(language: str, chance: random.Random) -> list[tuple[str, str]]:
    return [(text, f"“{text.upper()}!”".replace(" ", "\u3000")) for text in chance.sample(every(language), 20)]


def remarked(language: str, chance: random.Random) -> list[tuple[str, str]]:
    return [(text, text + LANGUAGES[language][4]) for text in chance.sample(every(language), 20)]


def cut(language: str, chance: random.Random) -> list[tuple[str, str]]:
    return [(text, text[: len(text) * 9 // 10] + "…") for text in chance.sample(every(language), 20)]


def other_noun(language: str, chance: random.Random) -> list[tuple[str, str]]:
    template, adjectives, nouns, places, *_ = LANGUAGES[language]
    pairs = []
    for _ in range(20):
        rest = {"a": chance.choice(adjectives.split()), "p": chance.choice(places.split())}
        first, second = chance.sample(nouns.split(), 2)
        pairs.append((template.format(n=first, **rest), template.format(n=second, **rest)))
    return pairs


def other_number(language: str, chance: random.Random) -> list[tuple[str, str]]:
    return [
        (template.format(f"{chapter}.{number}"), template.format(f"{chapter}.{number + 1}"))
        for template in LANGUAGES[language][5:]
        for chapter in range(1, 4)
        for number in range(1, 4)
    ]


def other_letter(language: str, chance: random.Random) -> list[tuple[str, str]]:
    labels = ["A", "B", "C", "D", "I", "II", "III", "IV", "V"]
    return [
        (template.format(first), template.format(second))
        for template in LANGUAGES[language][5:]
        for first, second in pairwise(labels)
    ]


VARIANTS: dict[str, Callable[[Image.Image], bytes]] = {
    "half the size": lambda image: saved(image.resize((image.width // 2, image.height // 2))),
    "JPEG, quality 30": lambda image: saved(image, "JPEG", quality=30),
    "2 % cut from each side": lambda image: saved(cropped(image, 0.02)),
    "5 % cut from each side": lambda image: saved(cropped(image, 0.05)),
    "gray": lambda image: saved(image.convert("L")),
}


def images() -> Table:
    """Found copies, and strangers in the clusters, of the demo's images."""
    originals = [data for data in crawled() if decode(data, 128).gray is not None]
    pictures = [opened(data) for data in originals]
    large = np.array([min(picture.size) >= 64 for picture in pictures])
    hashes = {"original": hashed(originals)}
    for name, make in VARIANTS.items():
        hashes[name] = hashed([make(picture) for picture in pictures])
    columns = [share_found(hashes), share_found({name: values[large] for name, values in hashes.items()})]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    header = ["", f"all {len(originals)} images", f"the {large.sum()} of 64 pixels and more"]
    return "Copies that `dedup.images` puts into one cluster with the original, and what else:", header, rows


def share_found(hashes: dict[str, np.ndarray]) -> dict[str, str]:
    values = np.concatenate(list(hashes.values()))
    names = pa.array([f"{number:06d}" for number in range(len(values))])
    cluster = of_images(names, values).reshape(len(hashes), -1)
    found = {name: f"{np.mean(row == cluster[0]):.3f}" for name, row in zip(hashes, cluster, strict=True)}
    own = of_images(names[: cluster.shape[1]], hashes["original"])
    sizes = Counter(own.tolist())
    together = sum(size * (size - 1) // 2 for size in sizes.values())
    del found["original"]
    return {
        **found,
        "pairs of different files in one cluster": str(together),
        "largest cluster of different files": str(max(sizes.values())),
        "largest cluster, copies counted once": str(max(len(set(np.nonzero(cluster == c)[1])) for c in set(own))),
    }


def of_images(ids: pa.Array, hashes: np.ndarray) -> np.ndarray:
    """Cluster of each image, through the stage."""

    class Corpus:
        def scan(self, table: str, columns: list[str]) -> pa.RecordBatchReader:
            return pa.table({"image_id": ids, "perceptual_hash": hashes}).to_reader()

    state = Images().prepare(Corpus())  # type: ignore[arg-type]
    column = Images()(pa.record_batch({"image_id": ids}), state)["image_cluster"]
    return np.array(column.to_pylist())


def hashed(files: Sequence[bytes]) -> np.ndarray:
    grays = [decode(data, 128).gray for data in files]
    return perceptual_hashes([gray if gray is not None else Image.new("L", (8, 8)) for gray in grays])


def opened(data: bytes) -> Image.Image:
    """The picture on white, as it is decoded."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = round(image.width * share), round(image.height * share)
    return image.crop((width, height, image.width - width, image.height - height))


def saved(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"compress_level": 1} if form == "PNG" else options))
    return buffer.getvalue()


def crawled() -> list[bytes]:
    """Bodies of the demo's images, each once, in the order of their URLs."""
    found = {}
    with WARC.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            kind = record.http_content_type or ""
            if record.http_headers.status_code == 200 and kind.startswith("image/") and "svg" not in kind:
                found[record.headers["WARC-Target-URI"]] = record.reader.read()
    return list(dict.fromkeys(data for _, data in sorted(found.items())))
