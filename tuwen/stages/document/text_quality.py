"""Repetition and form of a document's main text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import keys_of
from tuwen.stages.nodes import flatten
from tuwen.stages.repetition import DUPLICATE, TOP, repetition, seen_before
from tuwen.stages.stop_words import STOP_WORDS
from tuwen.stages.text.quality import SENTENCE_END
from tuwen.stages.words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

SHORT_LINE = 30
_BULLET, _ELLIPSIS = r"^\s*[-*•‣▪◦●○■–·]\s", r"(?:…|\.\.\.)\s*$"
_LISTED = pa.array(sorted(f"{language} {word}" for language, words in STOP_WORDS.items() for word in words))
_SHARES = (
    "duplicate_line_share",
    "duplicate_line_character_share",
    "sentence_line_share",
    "short_line_share",
    "bullet_line_share",
    "ellipsis_line_share",
    "alphabetic_word_share",
    "word_length_mean",
    "symbol_word_ratio",
    "line_word_ratio",
)


@dataclass(frozen=True)
class TextQuality:
    """How repetitive a document's main text is, and whether it is prose: what the rules of Gopher and FineWeb2 ask
    about.

    Lines are the lines of the texts of the nodes in the region `main`; a Han character or a kana is a word.

    `num_lines`, `num_words`   lines and words; 0 where there is no text
    `num_stop_words`           words that hold sentences of the document's language together; null without a list for it
    `duplicate_line_share`, `duplicate_line_character_share`   lines that stood before in the document, among its lines
                               and by their characters
    `sentence_line_share`, `short_line_share`, `bullet_line_share`, `ellipsis_line_share`   lines that end a sentence,
                               have at most 30 characters, begin with a bullet, end in an ellipsis
    `alphabetic_word_share`    words with a letter
    `word_length_mean`         characters of a word
    `symbol_word_ratio`        `#` and ellipses per word
    `line_word_ratio`          lines per word
    `top_2gram_share`, `top_3gram_share`, `top_4gram_share`   characters of the words in the most frequent sequence of n
                               words (the longest of them), its occurrences counted one by one; 0 where none recurs
    `duplicate_5gram_share`, `duplicate_6gram_share`, `duplicate_7gram_share`, `duplicate_8gram_share`,
    `duplicate_9gram_share`, `duplicate_10gram_share`   characters of the words inside sequences of n words that stood
    before

    Shares are 0 to 1, overlapping occurrences of a top sequence apart, which may pass 1; null where there are no lines,
    or no words. All null where `nodes` is null. Rae et al. 2021, table A1, https://arxiv.org/abs/2112.11446; by
    language: https://arxiv.org/abs/2506.20920. **Differs from the paper:** duplicates are second and later occurrences,
    and lines take the place of paragraphs, since nodes are paragraphs.
    """

    table = "documents"
    reads = ("nodes", "language")
    writes = pa.schema(
        [(name, pa.int32()) for name in ("num_lines", "num_words", "num_stop_words")]
        + [(name, pa.float32()) for name in _SHARES]
        + [(f"top_{size}gram_share", pa.float32()) for size in TOP]
        + [(f"duplicate_{size}gram_share", pa.float32()) for size in DUPLICATE]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        known = batch["nodes"].is_valid().to_numpy(zero_copy_only=False)
        lines, rows = _lines(batch["nodes"])
        words, line_of_word = words_of(lines)
        owners = rows[line_of_word.to_numpy()]
        num_lines, num_words = (np.bincount(places, minlength=len(known)) for places in (rows, owners))
        figures: dict[str, Any] = dict(zip(_SHARES, _form(lines, rows, words, owners, len(known)), strict=True))
        figures |= repetition(words, owners, len(known))
        language = batch["language"].cast(pa.string())
        listed = pc.is_in(pc.binary_join_element_wise(language.take(pa.array(owners)), words, " "), _LISTED)
        stop_words = np.bincount(owners, weights=listed.fill_null(False).to_numpy(False), minlength=len(known))
        has_list = pc.is_in(language, pa.array(sorted(STOP_WORDS))).to_numpy(zero_copy_only=False)
        arrays = [pa.array(count.astype(np.int32), mask=~known) for count in (num_lines, num_words)]
        arrays.append(pa.array(stop_words.astype(np.int32), mask=~(known & has_list)))
        for name in self.writes.names[3:]:
            arrays.append(pa.array(figures[name], pa.float32(), mask=~known | np.isnan(figures[name])))
        return pa.record_batch(arrays, schema=self.writes)


def _lines(nodes: pa.ListArray) -> tuple[pa.Array, Integers]:
    """Lines of the main region that are not empty, and the row of each."""
    entries, rows = flatten(nodes)
    wanted = pc.and_(
        pc.equal(pc.struct_field(entries, "region"), "main"), pc.is_valid(pc.struct_field(entries, "text"))
    )
    wanted = pc.fill_null(wanted, False)
    split = pc.split_pattern(pc.struct_field(entries, "text").filter(wanted), "\n")
    lines, places = pc.list_flatten(split), rows.filter(wanted).take(pc.list_parent_indices(split))
    lines = pc.utf8_trim_whitespace(lines)
    real = pc.not_equal(lines, "")
    return lines.filter(real), places.filter(real).to_numpy().astype(np.int64)


def _form(lines: pa.Array, rows: Integers, words: pa.Array, owners: Integers, count: int) -> list[NDArray[np.float64]]:
    """The columns `_SHARES`; NaN where there is nothing to share."""

    def sums(places: Integers, values: pa.Array) -> NDArray[np.float64]:
        weights = values.to_numpy(zero_copy_only=False)
        return np.bincount(places, weights=weights, minlength=count).astype(np.float64)

    characters, letters = pc.utf8_length(lines), pc.utf8_length(words)
    again = pa.array(seen_before(keys_of(lines), rows))
    num_lines, num_words = (np.bincount(places, minlength=count) for places in (rows, owners))
    symbols = pc.count_substring_regex(lines, r"#|…|\.\.\.")
    of_lines = [again, pc.match_substring_regex(lines, SENTENCE_END), pc.less_equal(characters, SHORT_LINE)]
    of_lines += [pc.match_substring_regex(lines, pattern) for pattern in (_BULLET, _ELLIPSIS)]
    with np.errstate(invalid="ignore", divide="ignore"):
        repeated = sums(rows, pc.if_else(again, characters, 0)) / sums(rows, characters)
        first, *others = (sums(rows, values) / num_lines for values in of_lines)
        ratios = [
            sums(owners, pc.match_substring_regex(words, r"\pL")) / num_words,
            sums(owners, letters) / num_words,
            sums(rows, symbols) / num_words,
            np.where(num_words > 0, num_lines / num_words, np.nan),
        ]
    ratios[2] = np.where(num_words > 0, ratios[2], np.nan)
    return [first, repeated, *others, *ratios]
