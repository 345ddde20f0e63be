"""What a text is made of."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# RE2 has Unicode classes and no look-around; [^\P{L}…] reads "letters that are not …".
CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}ー]"
WORD = (
    rf"{CJK}|[^\P{{L}}\p{{Han}}\p{{Hiragana}}\p{{Katakana}}ー]"
    r"(?:[\p{M}\p{N}'’_-]|[^\P{L}\p{Han}\p{Hiragana}\p{Katakana}ー])*|\p{N}+"
)
EXTENSION = r"\.(?:jpe?g|jfif|png|apng|gif|webp|avif|heic|svg|bmp|ico|tiff?|psd|eps|pdf|mp4|webm)"
CAMERA = r"(?:img|image|dsc[fn]?|pict?|photo|mvi|pxl|gopr|screenshot|screen shot|untitled|wp|unnamed)"
FILENAME = (
    rf"(?i)^\s*(?:[^\s].{{0,200}}{EXTENSION}(?:\?\S*)?"  # ends in an image's extension
    rf"|{CAMERA}[ _-]?\(?\d[\d _.:()-]*"  # IMG_2041, screenshot 2024-01-02
    r"|[0-9a-f]{8}[0-9a-f-]{4,}"  # hash or UUID
    r"|[a-z0-9.-]+(?:_[a-z0-9.-]+)+"  # plot_canny_001
    r"|\d{5,})\s*$"
)
DOMAIN = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|edu|gov|io|info|cn|de|fr|jp|ru|uk)"
URL = rf"(?i)^\s*(?:(?:https?|ftp|file|data):\S+|//\S+|www\.\S+|{DOMAIN}(?:[/?#:]\S*)?)\s*$"

# Words that say "here is a picture", "here is a button" or "this is an admonition", whatever the picture shows.
BOILERPLATE = """
image images img picture pic photo photograph photos figure fig graphic icon icons logo thumbnail thumb avatar banner
button arrow spacer blank pixel placeholder loading untitled screenshot screen shot diagram illustration alt caption
note tip warning caution important info hint danger attention home back next previous prev up top menu search close
open play share print download permalink more ad ads advertisement sponsored read learn see view click tap here to
enlarge zoom for full size larger version expand the a an this
imagen foto fotografía figura icono logotipo nota aviso advertencia consejo siguiente anterior inicio haga clic aquí
bild abbildung abb foto symbol hinweis achtung warnung tipp weiter zurück startseite klicken
illustration photographie remarque astuce avertissement suivant précédent accueil cliquez ici
immagine figura avviso avvertenza imagem ícone aviso observação próximo anterior afbeelding figuur opmerking
изображение картинка рисунок рис фото иконка логотип значок примечание внимание предупреждение совет далее назад
صورة شكل أيقونة شعار ملاحظة تنبيه تحذير चित्र छवि फोटो नोट 이미지 사진 그림 아이콘 로고 참고 주의 경고
图片 图像 图 照片 插图 截图 图标 标志 头像 点击放大 点击查看大图 点击图片 查看大图 点击查看原图 图片加载中
广告 更多 返回 首页 上一页 下一页 上一张 下一张 注意 提示 警告 重要 说明
圖片 圖像 圖 插圖 圖示 標誌 點擊放大 點擊查看大圖 廣告 首頁 上一頁 下一頁 說明
画像 写真 図 アイコン ロゴ 次 次へ 前 前へ 戻る 目次 ホーム 注 注記 ヒント 備考
"""
GRAM = 5
REPETITION_CHARACTERS = 1000


@dataclass(frozen=True)
class Properties:
    """Length, script and shape of a text.

    `num_characters`  Unicode code points
    `num_words`       every Han character or kana is a word; other letters and digits count by runs (Korean by its
                      spaces; Thai, Lao, Khmer and Burmese, written without spaces, by phrase)
    `cjk_share`, `digit_share`, `symbol_share`  of Han characters and kana, of digits, of punctuation and symbols
                      among the characters that are not white space, 0 to 1; null where there are none
    `repetition`      share of the character 5-grams (case folded, first 1,000 characters) that occurred before,
                      0 to 1; in the spirit of the duplicate n-gram rules of Rae et al. 2021, table A1.
                      https://arxiv.org/abs/2112.11446
    `looks_like_filename`, `looks_like_url`  the whole text does
    `looks_like_boilerplate`  the text, numbers and punctuation aside, consists of words such as "image", "logo",
                      "click to enlarge", "[Note]", 图片, 点击放大; true for texts without any letter or digit

    All null where the text is null.
    """

    table = "pairs"
    reads = ("text",)
    writes = pa.schema(
        [
            ("num_characters", pa.int32()),
            ("num_words", pa.int32()),
            ("cjk_share", pa.float32()),
            ("digit_share", pa.float32()),
            ("symbol_share", pa.float32()),
            ("repetition", pa.float32()),
            ("looks_like_filename", pa.bool_()),
            ("looks_like_url", pa.bool_()),
            ("looks_like_boilerplate", pa.bool_()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        text = batch["text"]
        visible = pc.count_substring_regex(text, r"[^\s\p{Z}\p{Cc}\p{Cf}]").cast(pa.float32())
        visible = pc.if_else(pc.greater(visible, 0), visible, None)
        shares = [
            pc.divide(pc.count_substring_regex(text, pattern).cast(pa.float32()), visible)
            for pattern in (CJK, r"\p{Nd}", r"[\p{P}\p{S}]")
        ]
        arrays = [
            pc.utf8_length(text),
            pc.count_substring_regex(text, WORD),
            *shares,
            pa.array([_repetition(value) for value in text.to_pylist()], pa.float32()),
            pc.match_substring_regex(text, FILENAME),
            pc.match_substring_regex(text, URL),
            _boilerplate(text),
        ]
        return pa.record_batch(arrays, schema=self.writes)


def _repetition(text: str | None) -> float | None:
    if text is None:
        return None
    text = " ".join(text.casefold().split())[:REPETITION_CHARACTERS]
    grams = [text[start : start + GRAM] for start in range(len(text) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _boilerplate(text: pa.Array) -> pa.Array:
    """Every word of the text is in the list."""
    words = pc.utf8_lower(pc.replace_substring_regex(text, r"[\p{P}\p{S}\p{N}\s\p{Z}\p{C}]+", " "))
    lists = pc.split_pattern(pc.utf8_trim_whitespace(words), " ")
    strange = pc.invert(pc.is_in(lists.flatten(), pa.array(["", *BOILERPLATE.split()])))
    others = pc.list_parent_indices(lists).filter(strange)
    rows = pa.array(range(len(text)), pa.int64())
    has_others = pc.is_in(rows, others)
    bare_number = pc.match_substring_regex(text, r"^[^\p{L}]*\p{N}[^\p{L}]*$")
    return pc.if_else(pc.is_valid(text), pc.and_(pc.invert(has_others), pc.invert(bare_number)), None)
