"""Concepts: matching and categories.

Matching: entries of seven languages are planted in carrier texts where a reader would see the word (`planted`), and
stand as letters inside another word (`inside`); a matcher should find the first and leave the second. Chinese, Japanese
and Thai have no spaces and therefore no second. Words of the other languages also come with an ending, particle or
article that no list of entries has (`inflected`): what is lost there is lost by design.

Categories: captions written for this page by the same hand as the word lists, and after them, so that their figures are
an upper bound; texts of `other` belong to no category. Precision and recall by the least confidence that is asked for.
The second table has no such bias, and no truth either: the names in English and in Chinese of the emoji that ship with
the demo, written by others (Unicode CLDR). Where both names of one image get a category it should be the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tuwen
from tuwen.engine.recipe import Recipe
from tuwen.stages.concepts.matcher import Matcher, make_index

ENTRIES = {
    "en": ["art", "red fox", "C++", "state of the art"],
    "de": ["Straße", "Übersicht", "Haus"],
    "zh": ["图文", "主窗口", "熊猫"],
    "ja": ["設定画面", "アイコン", "ねこ"],
    "th": ["ภาพ", "แมว", "น้ำตก"],
    "ar": ["صورة", "مدينة"],
    "ko": ["사진", "다리"],
}
CARRIERS = {
    "en": ["A look at {}, again.", "({})", "Modern {}-like shape", "{}"],
    "de": ["Das ist: {}!", "Die {} im Bild", "„{}“"],
    "zh": ["这是{}的照片", "{}，2024", "《{}》", "Fig. 3：{}"],
    "ja": ["これは{}です", "「{}」を開く", "Windowsの{}"],
    "th": ["นี่คือ{}สวย", "{} 2024", "รูป{}ใหม่"],
    "ar": ["هذه {} جميلة", "«{}»، ٢٠٢٤"],
    "ko": ["오래된 {} 하나", "{}, 서울"],
}
INSIDE = {
    "en": ["start of a party", "the red foxglove", "vitamin C", "reddish"],
    "de": ["Straßenbahn", "Hausboot", "Gehäuse", "Übersichtlich"],
    "ar": ["تصورات", "مدينتنا"],
    "ko": ["사진관", "다리미"],
}
INFLECTED = {
    "ar": ["الصورة", "المدينة"],
    "ko": ["사진을 봅니다", "다리가 있다"],
    "de": ["des Hauses"],
    "en": ["two red foxes"],
}
LABELLED = {
    "animals": ["A red fox crossing a snowy field", "Two kittens asleep on a sofa", "树上有一只松鼠", "草原上的斑马群"],
    "food": ["Grilled steak with potatoes", "Homemade bread on a board", "一碗热气腾腾的面条", "饺子和茶"],
    "sport": ["The goalkeeper saves a penalty", "Marathon in Berlin", "他们在打篮球", "奥运会游泳比赛"],
    "medicine": ["A nurse gives a vaccine", "MRI scanner", "医院里的医生", "两种药片"],
    "cars": ["A vintage convertible by the road", "Row of parked cars", "红色跑车", "停车场里的车辆"],
    "landscape": ["Sunrise over the valley", "The glacier in summer", "雪山和湖泊", "沙漠日落"],
    "sea": ["Waves on the beach", "The lighthouse at the harbour", "海边的沙滩", "帆船比赛开始了"],
    "technology": ["Circuit board of a server", "The toolbar of the editor", "软件的主窗口", "新款智能手机"],
    "art": ["Oil painting of a harvest", "Marble sculpture, about 1750", "水墨山水画", "美术馆的雕塑"],
    "education": ["Children in a classroom", "University campus", "学生在图书馆学习", "黑板上的作业"],
    "energy": ["Wind turbines at dusk", "A coal mine closes", "屋顶上的太阳能板", "水电站大坝"],
    "flowers": ["A bouquet of roses", "Tulips in Holland", "盛开的樱花", "荷花池"],
    "people": ["Portrait of an old man", "A girl with a kite", "两个孩子在玩", "一位老人的肖像"],
    "science": ["Galaxy seen by a telescope", "DNA under the microscope", "实验室里的显微镜", "化石"],
    "industry": ["Workers on the assembly line", "Crane at a construction site", "钢铁厂的车间", "挖掘机在施工"],
    "news": ["Press conference after the summit", "The prime minister and reporters", "外交部发言人答记者问"],
    "trees": ["Maple leaves in October", "A path through the forest", "银杏落叶", "一片竹林"],
    "social": ["The wedding ceremony", "Volunteers clean the park", "婚礼现场", "社区志愿者"],
    "expressions": ["Grinning emoji", "crying face with tears of joy", "微笑的表情包", "惊讶的表情"],
    "other": [
        "Figure 3.1",
        "Click to enlarge",
        "Blue square on white",
        "第三章",
        "左上角",
        "A wooden chair",
        "Untitled",
    ],
}
LEAST = (0.0, 0.4, 0.5, 0.6)

Table = tuple[str, list[str], list[list[str]]]


def tables() -> list[Table]:
    """The tables of the page."""
    return [_matching(), _categories(), _agreement()]


def _matching() -> Table:
    rows = []
    for language, entries in ENTRIES.items():
        matcher = Matcher(make_index((entry, ()) for entry in entries))
        planted = [(entry, carrier.format(entry)) for entry in entries for carrier in CARRIERS[language]]
        found = matcher.concepts([text for _, text in planted]).to_pylist()
        num_found = sum(entry in names for (entry, _), names in zip(planted, found, strict=True))
        cells = [language, f"{num_found} of {len(planted)}"]
        for texts in (INSIDE.get(language, []), INFLECTED.get(language, [])):
            hits = sum(map(bool, matcher.concepts(texts).to_pylist())) if texts else 0
            cells.append(f"{hits} of {len(texts)}" if texts else "–")
        rows.append(cells)
    header = ["language", "planted, found", "inside a word, found", "inflected, found"]
    return "Entries found in carrier texts:", header, rows


def _categories() -> Table:
    labelled = [(label, text) for label, texts in LABELLED.items() for text in texts]
    judged = tuwen.run("concepts.category", {"text": [text for _, text in labelled]}).to_pylist()
    rows = []
    for least in LEAST:
        for name, is_own in (("all", None), ("en", False), ("zh", True)):
            own = [
                (label, found["category"] if (found["category_confidence"] or 0) >= least else None)
                for (label, text), found in zip(labelled, judged, strict=True)
                if is_own is None or is_own == (not text.isascii())
            ]
            given = [pair for pair in own if pair[1] is not None]
            right = sum(label == found for label, found in given)
            relevant = sum(label != "other" for label, _ in own)
            share = f"{right / len(given):.2f}" if given else "–"
            rows.append([f"{least:.1f}", name, str(len(own)), str(len(given)), share, f"{right / relevant:.2f}"])
    header = ["least confidence", "language", "texts", "with a category", "precision", "recall"]
    return "Categories of hand-written captions:", header, rows


def _agreement() -> Table:
    """Categories of the two names of each emoji."""
    crawl = str(Path(tuwen.__file__).parent / "demo" / "docs-crawl.warc.gz")
    mapping = {"name": "emoji", "sources": [{"warc": {"paths": [crawl]}}]}
    recipe = Recipe.from_mapping({**mapping, "stages": ["pair.resolve", "concepts.category"]})
    names: dict[str, dict[str, str | None]] = {"en": {}, "zh": {}}
    with tempfile.TemporaryDirectory() as folder:
        tuwen.build(recipe, folder, workers=1)
        corpus = tuwen.open(folder)
        urls = dict(zip(*(corpus.table("documents")[name].to_pylist() for name in ("document_id", "url")), strict=True))
        for row in corpus.table("pairs", ["document_id", "image_id", "text_source", "category"]).to_pylist():
            language = urls[row["document_id"]].removeprefix("http://emoji.test/").split("/")[0]
            if row["text_source"] == "alt" and language in names and row["image_id"]:
                names[language][row["image_id"]] = row["category"]
    both = sorted(names["en"].keys() & names["zh"].keys())
    pairs = [(names["en"][image], names["zh"][image]) for image in both]
    judged = [(en, zh) for en, zh in pairs if en and zh]
    counts = [len(pairs), sum(bool(en) for en, _ in pairs), sum(bool(zh) for _, zh in pairs), len(judged)]
    agree = sum(en == zh for en, zh in judged)
    header = ["emoji", "English name with a category", "Chinese", "both", "the same"]
    return "Categories of the names of emoji:", header, [[*map(str, counts), f"{agree} of {len(judged)}"]]
