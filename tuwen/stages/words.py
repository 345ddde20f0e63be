"""Words of texts as flat arrays, for whole batches at once.

A word is a Han character, a kana, or a run of other letters, marks and digits, in lower case and in Unicode's form
NFKC. Scripts written without spaces other than these (Thai, Lao, Khmer, Burmese) come by phrase. Apostrophes and
hyphens inside a word belong to it: https://www.unicode.org/reports/tr29/
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

CHARACTER = r"[\p{Han}\p{Hiragana}\p{Katakana}ー]"  # each a word of its own
_BETWEEN = r"[^\p{L}\p{M}\p{N}'’_-]+|[-'’_]+(?:[^\p{L}\p{M}\p{N}]|$)|(?:^|[^\p{L}\p{M}\p{N}])[-'’_]+"


def words_of(texts: pa.Array, *, cased: bool = False) -> tuple[pa.Array, pa.Array]:
    """All words of all texts in order, and for each word the number of its text; a null text has none."""
    texts = pc.utf8_normalize(texts.cast(pa.string()), "NFKC")
    texts = texts if cased else pc.utf8_lower(texts)
    spaced = pc.replace_substring_regex(texts, _BETWEEN, " ")
    spaced = pc.replace_substring_regex(spaced, f"({CHARACTER})", r" \1 ")
    lists = pc.split_pattern(spaced, " ")
    words, rows = pc.list_flatten(lists), pc.list_parent_indices(lists)
    real = pc.not_equal(words, "")
    return words.filter(real), rows.filter(real)
