"""Languages of short texts, with and without a page around them; both language stages."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.corpus.tables import DOCUMENTS
from tuwen.stages.document.language import Language as DocumentLanguage
from tuwen.stages.languages import expectation, identify, model_hash, primary
from tuwen.stages.scripts import RANGES, SCRIPTS, chinese_script, count_letters
from tuwen.stages.text.language import Language

# Without a page. Own sentences, 20 letters and more.
ALONE = {
    "en": "The bridge was built of stone in the last century",
    "de": "Die Brücke wurde im letzten Jahrhundert aus Stein gebaut",
    "fr": "Le pont a été construit en pierre au siècle dernier",
    "es": "El puente fue construido de piedra durante el siglo pasado",
    "pt": "A ponte não foi construída de pedra, mas de madeira",
    "it": "Il ponte è stato costruito in pietra nel secolo scorso",
    "nl": "De brug is in de vorige eeuw van steen gebouwd",
    "ro": "Podul a fost construit din piatră în secolul trecut",
    "ru": "Мост был построен из камня в прошлом столетии",
    "uk": "Цей міст збудували з каменю ще в минулому столітті",
    "ar": "بني الجسر من الحجر في القرن الماضي",
    "hi": "यह पुल पिछली सदी में पत्थर से बनाया गया था",
    "ko": "이 다리는 지난 세기에 돌로 지어졌습니다",
    "ja": "この橋は前世紀に石で造られました",
    "zh": "这座桥是上个世纪用石头建造的",
    "el": "Η γέφυρα χτίστηκε από πέτρα τον περασμένο αιώνα",
    "he": "הגשר נבנה מאבן במאה הקודמת",
    "th": "สะพานนี้สร้างด้วยหินในศตวรรษที่แล้ว",
    "vi": "Cây cầu được xây bằng đá vào thế kỷ trước",
    "tr": "Köprü geçen yüzyılda taştan inşa edilmiştir",
}


def language(text: str, page: str | None = None, confidence: float = 1.0) -> str:
    return identify([text], [expectation(page, confidence)])[0].language


@pytest.mark.parametrize("expected", ALONE)
def test_sentences_alone(expected: str) -> None:
    found = identify([ALONE[expected]], [{}])[0]
    assert found.language == expected
    assert found.confidence > 0.4


@pytest.mark.parametrize("expected", ALONE)
def test_sentences_win_over_the_page(expected: str) -> None:
    for page in ("en", "zh", "ja", "de", "gl"):
        assert language(ALONE[expected], page) == expected, page


def test_the_page_decides_where_the_text_is_weak() -> None:
    assert language("Ferramentas da fiestra", "gl") == "gl"
    assert language("हाथ मिलाना: साँवली त्वचा", "hi") == "hi"
    assert language("環境設定", "ja") == "ja"
    assert language("環境設定", "zh") == "zh"


def test_mixed_texts() -> None:
    assert language("GerbView 主窗口，显示两个图层") == "zh"
    assert language("Debian Edu インストーラのメニュー (BIOS mode)") == "ja"
    assert language("Окно программы Tux Paint") == "ru"
    assert language("The Chinese character for tree is written 木", "en") == "en"
    assert language("软件测试のマーク，这是一个很长的中文句子") == "zh", "a quoted の does not make it Japanese"


def test_scripts_of_chinese() -> None:
    assert [chinese_script(text) for text in ("这是图标", "這是圖示", "山水人")] == ["Hans", "Hant", "Hani"]
    assert [found.script for found in identify(["這個視窗", "这个窗口", "画面です", "부산"], [{}] * 4)] == [
        "Hant",
        "Hans",
        "Jpan",
        "Kore",
    ]


def test_short_texts_are_unsure() -> None:
    whole, part = identify(["Die Brücke wurde aus Stein gebaut", "Brücke"], [expectation("de", 1.0)] * 2)
    assert (whole.language, part.language) == ("de", "de")
    assert part.confidence <= 6 / 20 < whole.confidence


@pytest.mark.parametrize("text", ["", "  ", "12 345", "🙂", "— … !", "\x00"])
def test_no_letters_no_language(text: str) -> None:
    found = identify([text], [expectation("en", 1.0)])[0]
    assert (found.language, found.script, found.confidence) == ("und", None, 0.0)


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_has_an_answer(texts: list[str]) -> None:
    for found in identify(texts, [{}] * len(texts)):
        assert 0 <= found.confidence <= 1
        assert (found.script is None) == (found.language == "und" and found.confidence == 0) or found.language == "und"


@given(st.lists(st.text(alphabet="aбγक字カ한1 ", max_size=12), max_size=5))
def test_letters_are_counted(texts: list[str]) -> None:
    letters = dict(zip("aбγक字カ한", ("Latn", "Cyrl", "Grek", "Deva", "Hani", "Kana", "Hang"), strict=True))
    counts = count_letters(texts)
    for text, row in zip(texts, counts, strict=True):
        expected = np.zeros(len(SCRIPTS), dtype=int)
        for character in text:
            if character in letters:
                expected[SCRIPTS.index(letters[character])] += 1
        assert row.tolist() == expected.tolist()


def test_ranges_do_not_overlap() -> None:
    spans = [[int(end, 16) for end in span.split("-")] for ranges in RANGES.values() for span in ranges.split()]
    ordered = sorted((span[0], span[-1]) for span in spans)
    assert all(before[1] < after[0] for before, after in zip(ordered, ordered[1:], strict=False))  # noqa: RUF007


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("en-US", "en"),
        ("zh_Hant_TW", "zh"),
        ("DE", "de"),
        ("yue", "zh"),
        ("nb-NO", "no"),
        ("", None),
        (None, None),
        ("english", None),
        ("en, fr", "en"),
    ],
)
def test_primary_subtags(tag: str | None, expected: str | None) -> None:
    assert primary(tag) == expected


def test_texts_stage() -> None:
    texts = [ALONE["fr"], None, "", "Fenêtre", "Fenêtre"]
    batch = pa.record_batch(
        [pa.array(texts), pa.array(["de", "de", "de", "fr", None]), pa.array([1.0, 1.0, 1.0, 1.0, None], pa.float32())],
        names=list(Language.reads),
    )
    found = Language()(batch).to_pydict()
    assert found["language"][:4] == ["fr", None, "und", "fr"]
    assert found["language_confidence"][1] is None
    assert found["language_confidence"][3] > found["language_confidence"][4], "the page adds certainty"


def document(declared: str | None, *nodes: tuple[str, str, str | None]) -> dict[str, object]:
    return {
        "declared_language": declared,
        "nodes": [{"kind": kind, "region": region, "text": text} for kind, region, text in nodes],
    }


def test_documents_stage() -> None:
    code = ("code", "main", "for item in range(10): print(item) # the loop that prints all items " * 10)
    documents = [
        document("en", ("text", "main", ALONE["zh"] * 8), code),
        document(None, ("list", "navigation", "Home Products About us Contact"), ("text", "main", ALONE["fr"] * 5)),
        document("gl", ("text", "main", "Xanela principal do programa")),
        document("fr"),
        {"declared_language": "fr", "nodes": None},
        document(None, code),
    ]
    schema = pa.schema([DOCUMENTS.field(name) for name in DocumentLanguage.reads])
    found = DocumentLanguage()(pa.RecordBatch.from_pylist(documents, schema=schema)).to_pydict()
    assert found["language"] == ["zh", "fr", "gl", "und", None, "en"]
    assert found["script"] == ["Hans", "Latn", "Latn", None, None, "Latn"]


def test_the_model_is_part_of_the_freshness() -> None:
    assert Language().model_hash() == DocumentLanguage().model_hash() == model_hash()
    assert len(model_hash()) == 64


def test_a_page_of_texts_costs_little() -> None:
    texts = [f"{text} {number}" for number in range(20) for text in ALONE.values()]
    identify(texts[:5], [{}] * 5)
    started = time.process_time()
    identify(texts, [{}] * len(texts))
    assert (time.process_time() - started) / len(texts) < 0.001
