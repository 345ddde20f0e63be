"""How a text is written: sentences or keywords, capitals, broken characters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.stop_words import STOP_WORDS
from tuwen.stages.words import CHARACTER, words_of

_LISTED = pa.array([f"{language} {word}" for language, words in STOP_WORDS.items() for word in sorted(words)])
_LANGUAGES = pa.array(sorted(STOP_WORDS))
_HIGH = r"[\x{80}-\x{BF}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"  # bytes 80 to BF, read as Latin-1 or Windows-1252
# What UTF-8 looks like when it was read as something else, and what is left when that was noticed too late.
BROKEN = (
    r"\x{FFFD}|[\x{80}-\x{84}\x{86}-\x{9F}]|[\x{E000}-\x{F8FF}]|锟斤拷|[烫屯]{3,}|ï»¿"
    rf"|[ÃÐÑ]{_HIGH}|Â[\x{{A0}}-\x{{BF}}]|â€{_HIGH}|[ãäåæçèé]{_HIGH}{_HIGH}"
)
EMOJI = r"[\x{1F000}-\x{1FAFF}\x{2600}-\x{26FF}\x{2700}-\x{27BF}\x{2B50}\x{2B55}\x{231A}\x{231B}\x{23E9}-\x{23FA}]"
SENTENCE_END = r"[.!?…。！？．｡؟۔।॥։።](?:[\p{Pe}\p{Pf}\"'」』\s]|\x{FE0F})*$"


@dataclass(frozen=True)
class Quality:
    """How a text is written, one number for each thing that rules of filtering ask about.

    `stop_word_share`    of its words, those that hold sentences of its language together, 0 to 1: low for keywords;
                         null for languages without a list and texts without words
    `word_length_mean`   characters of a word, Han characters and kana apart; null where there is no other word
    `word_length_max`    of the longest word; null as above
    `uppercase_share`    of the letters that have a case, 0 to 1; null where none has
    `emoji_share`        of the characters that are not white space, 0 to 1; null where there are none
    `ends_sentence`      the text ends in . ! ? … or their like in other scripts, closing quotes and brackets aside
    `num_broken_characters`  replacement and control characters, private use, and UTF-8 that was read as Latin-1,
                         Windows-1252 or GBK (Ã©, â€™, 锟斤拷), each sequence once

    All null where the text is null. Rules on stop words, word length and punctuation: Rae et al. 2021, appendix A.1,
    https://arxiv.org/abs/2112.11446; their lists and figures by language: https://arxiv.org/abs/2506.20920.
    """

    table = "pairs"
    reads = ("text", "language")
    writes = pa.schema(
        [
            ("stop_word_share", pa.float32()),
            ("word_length_mean", pa.float32()),
            ("word_length_max", pa.int32()),
            ("uppercase_share", pa.float32()),
            ("emoji_share", pa.float32()),
            ("ends_sentence", pa.bool_()),
            ("num_broken_characters", pa.int32()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        text = batch["text"].cast(pa.string())
        words, rows = words_of(text)
        longer = pc.invert(pc.match_substring_regex(words, CHARACTER))
        mean, longest = _lengths(words.filter(longer), rows.filter(longer), len(text))
        arrays = [
            _stop_word_share(words, rows, batch["language"].cast(pa.string())),
            mean,
            longest,
            _share(text, r"\p{Lu}", r"[\p{Lu}\p{Ll}]"),
            _share(text, EMOJI, r"[^\s\p{Z}\p{C}]|" + EMOJI),
            pc.match_substring_regex(text, SENTENCE_END),
            pc.count_substring_regex(text, BROKEN),
        ]
        return pa.record_batch(arrays, schema=self.writes)


def _stop_word_share(words: pa.Array, rows: pa.Array, languages: pa.Array) -> pa.Array:
    of_word = languages.take(rows)
    listed = pc.is_in(pc.binary_join_element_wise(of_word, words, " "), _LISTED)
    total = np.bincount(rows.to_numpy(), minlength=len(languages))
    hits = np.bincount(rows.filter(listed).to_numpy(), minlength=len(languages))
    known = pc.is_in(languages, _LANGUAGES).to_numpy(zero_copy_only=False) & (total > 0)
    return pa.array(hits / np.maximum(total, 1), pa.float32(), mask=~known)


def _lengths(words: pa.Array, rows: pa.Array, num_rows: int) -> tuple[pa.Array, pa.Array]:
    """Mean and largest length of each text's words."""
    lengths, places = pc.utf8_length(words).to_numpy(), rows.to_numpy()
    counts = np.bincount(places, minlength=num_rows)
    sums = np.bincount(places, weights=lengths, minlength=num_rows)
    longest = np.zeros(num_rows, dtype=np.int32)
    np.maximum.at(longest, places, lengths)
    none = counts == 0
    return pa.array(sums / np.maximum(counts, 1), pa.float32(), mask=none), pa.array(longest, mask=none)


def _share(text: pa.Array, part: str, whole: str) -> pa.Array:
    counts = [pc.count_substring_regex(text, pattern).cast(pa.float32()) for pattern in (part, whole)]
    return pc.divide(counts[0], pc.if_else(pc.greater(counts[1], 0), counts[1], None))
