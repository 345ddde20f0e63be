"""Scripts without spaces, the same to every stage."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from tuwen.stages.concepts.matcher import Matcher, make_index
from tuwen.stages.dedup.shingles import shingle
from tuwen.stages.overlap.grams import gram_hashes
from tuwen.stages.scripts import unspaced_class

UNSPACED = {
    "Han": "图形用户界面",
    "kana": "カタカナひら",
    "Bopomofo": "ㄅㄆㄇㄈㄉㄊ",
    "Yi": "ꀀꀁꀂꀃꀄꀅ",
    "Thai": "กขคงจช",
    "Lao": "ກຂຄງຈຊ",
    "Tibetan": "ཀཁགངཅཆ",
    "Burmese": "ကခဂဃငစ",
    "Khmer": "កខគឃងច",
    "Tai Le": "ᥐᥑᥒᥓᥔᥕ",
    "Tai Viet": "ꪀꪁꪂꪃꪄꪅ",
    "Balinese": "ᬓᬔᬕᬖᬗᬘ",
    "Javanese": "ꦏꦐꦑꦒꦓꦔ",
}


@pytest.mark.parametrize("script", UNSPACED)
def test_scripts_without_spaces_are_cut_by_all(script: str) -> None:
    text = UNSPACED[script]
    assert all(re.fullmatch(unspaced_class(), character) for character in text)
    assert Matcher(make_index([(text[2:4], ())])).concepts([text]).to_pylist() == [[text[2:4]]]
    (one,) = shingle(pa.array([text * 4]), 1)
    assert len(one.shingles) == len(text)  # runs of two or of four characters, one from each
    hashes, _ = gram_hashes(pa.array([text]), 1, 1)
    assert len(hashes) == len(text) - 1  # two characters are a word


@pytest.mark.parametrize("text", ["window", "окно", "نافذة", "창문입니다", "खिड़की"])
def test_others_are_not(text: str) -> None:
    assert not re.search(unspaced_class(), text)
    assert len(gram_hashes(pa.array([text]), 1, 1)[0]) == 1
