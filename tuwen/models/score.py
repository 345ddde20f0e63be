"""The score in what a judge replied, or nothing where there is doubt."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

_MOST = 4_000  # characters of a reply that are read
_NUMBER = r"(?<![A-Za-z0-9_.])-?\d+(?:\.\d+)?(?!\.?\d)(?=pts?\b|points?\b|[^A-Za-z_]|$)"
_LABEL = r"(?:score|rating|rated?|评分|得分|打分|分数|分值|评价为|給分|给分|評分|得分)"
_LINK = r"[\s\"'*_`]*(?:(?:is|of|as|at|it|:|=|->|是|为|為)[\s\"'*_`]*){0,2}"
_OUT_OF = rf"(?:\s*(?:/|out\s+of)\s*(?P<most>{_NUMBER})(?!\s*/\s*\d)|\s*(?P<percent>%))?"
_LABELLED = re.compile(
    rf"(?P<total>overall|final|total|综合|最终|总)?[\s的]*{_LABEL}{_LINK}(?P<value>{_NUMBER}){_OUT_OF}", re.I
)
_ANY = re.compile(rf"(?P<value>{_NUMBER}){_OUT_OF}", re.I)
_ALONE = re.compile(
    rf"^(?:[-*>#]+\s)?[\s*_`\"']*(?P<value>{_NUMBER}){_OUT_OF}\s*(?:分|pts?|points?)?[\s*_`\"'.。!]*$", re.I | re.M
)
_CLOSED = re.compile(
    r"\s*(?:分|pts?\b|points?\b|[.。!,;:)\]\"'*]|$)", re.I
)  # what follows a number that counts nothing
_SCALES = re.compile(
    rf"(?:on\s+a\s+)?(?:scale|range)\s*(?:of|from)?\s*(?P<low>{_NUMBER})\s*(?:to|-|–|~|and)\s*(?P<high>\d+)|"
    rf"(?:from|between)\s+(?P<low2>{_NUMBER})\s+(?:to|and)\s+(?P<high2>\d+)|"
    rf"(?P<low3>{_NUMBER})\s*(?:到|至|-|~)\s*(?P<high3>\d+)\s*分?\s*(?:的?范围|之间|的?评分|制)|"
    r"满分(?:为|是)?\s*(?P<high4>\d+)\s*分?",
    re.I,
)
_REFUSAL = re.compile(
    r"\b(?:can(?:no|')t|cannot|unable|won't|not able)\b[^.\n]{0,40}\b(?:rate|score|assess|give|assign|help|assist|see)|"
    r"(?:无法|不能|没法)[^。\n]{0,10}(?:评|打|给|判|看)",
    re.I,
)
_THOUGHT = re.compile(r"<think>.*?</think>", re.S | re.I)
_KEYS = ("score", "rating", "overall_score", "评分", "分数", "得分")
_DIGITS = {character: place for place, character in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_NUMERAL = "[零〇一二两三四五六七八九十百]+(?:点[零〇一二两三四五六七八九]+)?"
_CHINESE = re.compile(
    rf"百分之(?P<percent>{_NUMERAL})|(?P<label>{_LABEL}[\s:是为]*)(?P<labelled>{_NUMERAL})|"
    rf"(?<![一-鿿])(?P<points>{_NUMERAL})分(?![之钟辨明析别类布散享])|(?<=[打给])(?P<given>{_NUMERAL})分"
)
_SCALE_NOT_STATED = (5.0, 10.0, 100.0)  # what people take for "out of"


def score_of(reply: str, low: float, high: float) -> float | None:
    """The score on the scale from `low` to `high`; None where the reply states none, several, or one beyond the scale.

    Looked for in this order: a JSON object with a key such as `score`; numbers behind a word such as `score` or 评分
    (where one is called overall or total, that one); a number that stands alone in its line; one with what it is out
    of; the only number there is, unless it counts something. A score out of another number than `high` is taken in
    proportion. A statement of the scale ("from 0 to 100", 满分100分) is no score. Full-width digits and Chinese
    numerals count.
    """
    text = unicodedata.normalize("NFKC", reply[:_MOST])
    text = _THOUGHT.sub(" ", text)
    if "<think>" in text.lower():
        return None  # its thoughts did not end
    found = _in_json(text, high)
    if found is None:
        if re.search(r"\d,\d", text):
            return None  # decimals or thousands
        text = _CHINESE.sub(_with_digits, text).replace("−", "-")
        text, stated = _without_scale(text)
        found = _in_words(text, high, stated or high)
    return found if found is not None and low <= found <= high else None


def _in_json(text: str, high: float) -> float | None:
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        told = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    values = {value for key, value in _items(told) if key.lower() in _KEYS and isinstance(value, int | float | str)}
    if len(values) != 1 or isinstance(value := values.pop(), bool):
        return None
    return float(value) if isinstance(value, int | float) else _agreed(_ANY.finditer(value), high, high)


def _items(told: object) -> Iterable[tuple[str, object]]:
    return told.items() if isinstance(told, dict) else ()


def _in_words(text: str, high: float, most: float) -> float | None:
    labelled = list(_LABELLED.finditer(text))
    if totals := [match for match in labelled if match["total"]]:
        labelled = totals
    if labelled:
        return _agreed(labelled, high, most)
    if _REFUSAL.search(text):
        return None
    if alone := list(_ALONE.finditer(text)):
        return _agreed(alone, high, most)
    numbers = list(_ANY.finditer(text))
    fractions = [match for match in numbers if match["most"] and float(match["most"]) in (*_SCALE_NOT_STATED, high)]
    if fractions:
        return _agreed(fractions, high, most)
    return _agreed(numbers, high, most) if all(_CLOSED.match(text, match.end()) for match in numbers) else None


def _agreed(matches: Iterable[re.Match[str]], high: float, most: float) -> float | None:
    """The one value that all matches have."""
    values = {_value(match, high, most) for match in matches}
    return values.pop() if len(values) == 1 else None


def _value(match: re.Match[str], high: float, most: float) -> float | None:
    value = float(match["value"])
    out_of = float(match["most"]) if match["most"] else 100.0 if match["percent"] else most
    if out_of == high:
        return value
    return value / out_of * high if out_of > 0 and value <= out_of else None


def _without_scale(text: str) -> tuple[str, float | None]:
    """The text without statements of the scale, and where that scale ends."""
    ends = {
        float(match[name])
        for match in _SCALES.finditer(text)
        for name in match.groupdict()
        if name[:4] == "high" and match[name]
    }
    return _SCALES.sub(" ", text), ends.pop() if len(ends) == 1 else None


def _with_digits(match: re.Match[str]) -> str:
    if match["percent"]:
        return f" {_numeral(match['percent'])}% "
    if match["labelled"]:
        return f"{match['label']} {_numeral(match['labelled'])}"
    numeral = match["points"] or match["given"]
    if numeral == "十" and not match["given"]:
        return match[0]  # 十分 is "very"
    return f" {_numeral(numeral)} 分"


def _numeral(word: str) -> str:
    """八十五点五 → 85.5"""
    whole, _, fraction = word.partition("点")
    total = current = 0
    for character in whole:
        if character in _DIGITS:
            current = current * 10 + _DIGITS[character]
        else:
            unit = 10 if character == "十" else 100
            total, current = total + (current or 1) * unit, 0
    digits = "".join(str(_DIGITS[character]) for character in fraction)
    return f"{total + current}{'.' + digits if digits else ''}"
