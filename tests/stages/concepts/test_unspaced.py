"""What stands beside runs of characters, against a reckoning by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.stages.concepts.tokens import tokens_of
from tuwen.stages.concepts.unspaced import SYLLABLES, Neighbours, letters_of

CUTS = {  # | certainly ends a word, + certainly does not, . may
    "红狐a狸": "|红.狐|a|狸|",
    "เมาจ": "|เ+ม+า.จ|",
    "がっこう": "|が+っ+こ.う|",
    "見るコート": "|見.る|コ+ー+ト|",
    "コー 卜": "|コ+ー| |卜|",
    "က္ခ": "|က္+ခ|",
    "图、文": "|图|、|文|",
}


@pytest.mark.parametrize("text", CUTS)
def test_where_words_may_end(text: str) -> None:
    (tokens,) = tokens_of([text])
    letters = letters_of(tokens)
    signs = ["|" if free else "+" if joined else "." for free, joined in zip(*letters[2:], strict=True)]
    written = [tokens.text[start:end] for start, end in zip(tokens.starts[:-1], tokens.ends[:-1], strict=True)]
    assert "".join(sign + word for sign, word in zip(signs, [*written, ""], strict=True)) == CUTS[text]


def test_scripts_without_spaces_are_systems_of_their_own() -> None:
    (tokens,) = tokens_of(["狐カあกກ"])
    systems = letters_of(tokens).systems.tolist()
    assert systems[:3] == [SYLLABLES] * 3 and len({SYLLABLES, *systems}) == 3


def test_neighbours_are_counted_once_and_edges_each_time() -> None:
    texts = ["红狐来", "红狐去", "白狐", "狐", "狐，黑狐"]
    expected = {"left": 3 + 2, "right": 2 + 4}  # 红 白 黑, the beginning twice; 来 去, the end and a comma four times
    both = Neighbours(1)
    for chunk in (texts[:2], texts[2:][::-1]):
        for tokens in tokens_of(chunk):
            written = np.array([tokens.text[s:e] for s, e in zip(tokens.starts, tokens.ends, strict=True)])
            places = np.flatnonzero(written == "狐")
            both.add(np.zeros(len(places), dtype=np.int64), places, 1, tokens, letters_of(tokens))
    assert both.variety().tolist() == [min(expected.values())]
    assert both.alone.tolist() == [2]
