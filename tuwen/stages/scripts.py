"""Writing systems of texts: which letters they hold, counted for whole batches at once.

Codes are ISO 15924. Han characters count as Hani; `chinese_script` tells Hans from Hant where it can be told.
Ranges: https://www.unicode.org/Public/UCD/latest/ucd/Blocks.txt
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANGES = {
    "Latn": "41-5A 61-7A AA BA C0-D6 D8-F6 F8-24F 1E00-1EFF FF21-FF3A FF41-FF5A",
    "Grek": "370-3FF 1F00-1FFF",
    "Cyrl": "400-52F 1C80-1C8F 2DE0-2DFF A640-A69F",
    "Armn": "531-58F",
    "Hebr": "591-5F4 FB1D-FB4F",
    "Arab": "610-65F 66E-6D3 6D5-6ED 6FA-6FF 750-77F 8A0-8FF FB50-FDFF FE70-FEFC",
    "Deva": "900-963 970-97F A8E0-A8FF",
    "Beng": "980-9E3 9F0-9FF",
    "Guru": "A00-A65 A70-A7F",
    "Gujr": "A80-AE3 AF9-AFF",
    "Orya": "B00-B63 B71",
    "Taml": "B80-BE5",
    "Telu": "C00-C65",
    "Knda": "C80-CE5",
    "Mlym": "D00-D65 D7A-D7F",
    "Sinh": "D80-DDF DF2-DF4",
    "Thai": "E01-E3A E40-E4E",
    "Laoo": "E80-ECF EDC-EDF",
    "Tibt": "F00-F1F F40-FBC",
    "Mymr": "1000-103F 1050-1089",
    "Geor": "10A0-10FF 1C90-1CBF 2D00-2D2F",
    "Ethi": "1200-1360 1380-139F 2D80-2DDF",
    "Khmr": "1780-17DD",
    "Kana": "3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9F",
    "Hang": "1100-11FF 3131-318E A960-A97F AC00-D7FF",
    "Hani": "2E80-2FDF 3005-3007 3021-3029 3100-312F 3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF",
}
SCRIPTS = tuple(RANGES)

# Scripts that put no spaces between words, with their own digits and marks: those whose characters are about half a
# word (Han, kana, Bopomofo, Yi), and those of smaller letters (Thai, Lao, Tibetan, Burmese, Khmer, Tai scripts,
# Balinese, Javanese).
UNSPACED_SYLLABLES = (
    "2E80-2FDF 3005-3007 3021-3029 3031-3035 3041-312F 31A0-31BF 31F0-31FF 3400-4DBF 4E00-9FFF A000-A48F F900-FAFF "
    "FF66-FF9F 1B000-1B16F 20000-323AF"
)
UNSPACED_LETTERS = "E00-FFF 1000-109F 1780-17FF 1950-19FF 1A20-1AAF 1B00-1B7F A980-A9FF AA60-AADF"

# Common characters that only simplified, only traditional Chinese, or only Japanese writing uses.
SIMPLIFIED = frozenset(
    "这们说时间问题为图页设择开关键选项输边线层尔将该应进过还从让变动发现传转换单网络络轮廓闭闪头发级见观规计"
    "认识试读谁调谈语误请课调议训记许论证评词译详询该类颜红绿纸笔绘画帮标样树机权构枪极检楼东车轨软载较辑"
    "马鸟鱼龙龟风飞饭馆们仅优价众传伤伟侧债儿兰关兴养写农冲决况净减击创别刘则刚办务劳势华协卖卫历压厅厌"
    "县双叶号吗听启员响哪团园围块坚场坏垒备够夹奖妈孙宁实审宽宾对导寻尽尝属岁币师帐带张弹强归录总态怀恶"
    "惊惯战户执扩扫报护择损据摄效敌数断无旧显晓术杂条来杨极栏梦检欢汇汉沟泪洁测济浓润涛湾满滚灯灵灾点烟热"
    "环玛电盘盖监码确离种积称稳穷简粮紧纠约纤纯纲纵纷组细终经结给统继续维绿编缘缩网罗职联胜脑脚脸艺节苏药"
    "获营虑虽蓝补装视览触订订让访设护购贝负财责败货质费贴资赏赛赢赵趋践车轻连迟适逻遗邮邻释里钟钢钱铁银错"
    "锁镜长门闻阅队阳阴阶际陆险随难静韩顶项顺须顾预领频额风飘饮饰饱驱驶验骑鲜鸡麦齐齿"
)
TRADITIONAL = frozenset(
    "這們說時間問題為圖頁設擇開關鍵選項輸邊線層爾將該應進過還從讓變動發現傳轉換單網絡輪廓閉閃頭髮級見觀規計"
    "認識試讀誰調談語誤請課議訓記許論證評詞譯詳詢類顏紅綠紙筆繪畫幫標樣樹機權構槍極檢樓東車軌軟載較輯馬鳥魚"
    "龍龜風飛飯館僅優價眾傷偉側債兒蘭興養寫農衝決況淨減擊創別劉則剛辦務勞勢華協賣衛歷壓廳厭縣雙葉號嗎聽啟員"
    "響團園圍塊堅場壞壘備夠夾獎媽孫寧實審寬賓對導尋盡嘗屬歲幣師帳帶張彈強歸錄總態懷惡驚慣戰戶執擴掃報護損據"
    "攝敵數斷無舊顯曉術雜條來楊欄夢歡匯漢溝淚潔測濟濃潤濤灣滿滾燈靈災點煙熱環瑪電盤蓋監碼確離種積稱穩窮簡糧"
    "緊糾約纖純綱縱紛組細終經結給統繼續維編緣縮羅職聯勝腦腳臉藝節蘇藥獲營慮雖藍補裝視覽觸訂訪購貝負財責敗貨"
    "質費貼資賞賽贏趙趨踐輕連遲適邏遺郵鄰釋鐘鋼錢鐵銀錯鎖鏡長門聞閱隊陽陰階際陸險隨難靜韓頂順須顧預領頻額飄"
    "飲飾飽驅駛驗騎鮮雞麥齊齒"
)
JAPANESE = frozenset("図円択変対発売読続経済権検験駅鉄広歳気伝単厳営釈渋渉払抜拝桜栄楽様竜総緑縄縦込働峠畑辻匂枠榊駄")
ONLY_SIMPLIFIED, ONLY_TRADITIONAL = SIMPLIFIED - TRADITIONAL, TRADITIONAL - SIMPLIFIED
# Simplified characters that Japanese does not write as well.
NOT_JAPANESE = ONLY_SIMPLIFIED - frozenset("机叶画里脚据将称触双号尽属断旧来楼灯点随麦条数湾装静烟冲无")


def spans(ranges: str) -> list[tuple[int, int]]:
    """First and last code points of ranges."""
    parts = (span.partition("-") for span in ranges.split())
    return [(int(first, 16), int(last or first, 16)) for first, _, last in parts]


def unspaced_class() -> str:
    """A character of a script without spaces, as a regular expression (of Python, of RE2)."""
    both = [*spans(UNSPACED_SYLLABLES), *spans(UNSPACED_LETTERS)]
    return f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in both)}]"


@cache
def _table() -> NDArray[np.uint8]:
    """Code point → 1 + index into SCRIPTS; 0 for everything that is no letter of these scripts."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for number, ranges in enumerate(RANGES.values(), start=1):
        for first, last in spans(ranges):
            table[first : last + 1] = number
    return table


def count_letters(texts: Sequence[str]) -> NDArray[np.int64]:
    """Letters of each script in each text, shape (len(texts), len(SCRIPTS))."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), dtype=np.uint32)
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    columns = len(SCRIPTS) + 1
    counts = np.bincount(rows * columns + _table()[points], minlength=len(texts) * columns)
    return counts.reshape(len(texts), columns)[:, 1:]


def chinese_script(text: str) -> str:
    """Hans, Hant, or Hani where no character tells."""
    simplified = sum(character in ONLY_SIMPLIFIED for character in text)
    traditional = sum(character in ONLY_TRADITIONAL for character in text)
    return "Hani" if simplified == traditional else "Hans" if simplified > traditional else "Hant"
